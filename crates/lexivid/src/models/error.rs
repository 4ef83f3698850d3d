use crate::{label_embedding::TokenizerError, nn::WeightsError, soft_attributes::LanguageModelError};
use std::path::PathBuf;

/// Why a model could not be fetched, loaded or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// No model of this name is installed, and it is no directory.
    #[error("model {name:?} is not installed")]
    NotInstalled {
        /// The name as given.
        name: String,
    },
    /// No model has such a name, so it cannot be fetched either.
    #[error("expected `starter`, `i3d`, a hub id such as openai/clip-vit-base-patch16, or a directory, got {name:?}")]
    UnknownName {
        /// The name as given.
        name: String,
    },
    /// The model has no image and text tower to train beside.
    #[error("{name}: expected a model with an image and a text tower (CLIP, SigLIP), got one without")]
    NoTowers {
        /// The name as given.
        name: String,
    },
    /// The model was not trained with a label encoder.
    #[error("{name}: expected a model with a label encoder, got one without")]
    NoLabelEncoder {
        /// The name as given.
        name: String,
    },
    /// The model brings no language model.
    #[error(
        "expected a language model, a GGUF file or a directory in Hugging Face's layout, or an installed model that brings one, got {name:?}"
    )]
    NoLanguageModel {
        /// The name as given.
        name: String,
    },
    /// The device is not there, or this program was built without it.
    #[error("device {name} is not available here")]
    NoDevice {
        /// The name as given.
        name: String,
    },
    /// No such device.
    #[error("expected a device cpu, cuda, cuda:N or metal, got {name:?}")]
    UnknownDevice {
        /// The name as given.
        name: String,
    },
    /// The instructions that `LEXIVID_ISA` asks for are not to be had.
    #[error("LEXIVID_ISA: {0}")]
    Isa(#[from] lexivid_kernels::UnknownIsa),
    /// The model does not compute in this precision.
    #[error("{model}: expected precision {expected}, got {got}")]
    Precision {
        /// The model.
        model: String,
        /// What it can do.
        expected: &'static str,
        /// What was asked for.
        got: lexivid_kernels::Precision,
    },
    /// The model's probabilities do not come from one scale and one bias.
    #[error("{name}: expected a model with two towers (CLIP, SigLIP): only those have a scale and a bias to fit")]
    NotCalibratable {
        /// The name as given.
        name: String,
    },
    /// A file of the model is missing or not as expected.
    #[error("{path}: {reason}", path = .path.display())]
    BadFile {
        /// The file.
        path: PathBuf,
        /// What was expected and what was found.
        reason: String,
    },
    /// A package or file that a model is made of could not be fetched.
    #[error("fetching {what}: {reason}")]
    Fetch {
        /// The package or file.
        what: String,
        /// What went wrong.
        reason: String,
    },
    /// The tensor engine failed.
    #[error("model: {0}")]
    Tensor(#[from] candle_core::Error),
    /// The weights could not be read.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The language model could not be read.
    #[error(transparent)]
    LanguageModel(#[from] LanguageModelError),
    /// A text could not be tokenized.
    #[error("tokenizer: {0}")]
    Tokenizer(#[from] TokenizerError),
    /// A model in the hub's cache lacks a file: its download was interrupted.
    #[error("model {name:?} is only half downloaded: {file} is missing")]
    Incomplete {
        /// The name as given.
        name: String,
        /// A file that is missing.
        file: String,
    },
    /// The hub could not be reached, or has not what is needed.
    #[error("{name}: {reason}")]
    Hub {
        /// The hub id.
        name: String,
        /// What went wrong.
        reason: String,
    },
    /// The store could not be read or written.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// The place.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The user has no home directory, and no other place was named.
    #[error("no place for models: {reason}")]
    NoHome {
        /// What the system said.
        reason: String,
    },
}

impl ModelError {
    /// What the user may try, when there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            ModelError::NotInstalled { name }
                if [super::starter::NAME, super::motion::NAME].contains(&name.as_str()) || name.contains('/') =>
            {
                Some(format!("`lexivid models pull {name}` fetches it"))
            }
            ModelError::NotInstalled { .. } => Some("`lexivid models list` names those that are".into()),
            ModelError::NotCalibratable { .. } => Some("--model names another".into()),
            ModelError::NoDevice { name } => {
                let feature = name.split(':').next().unwrap_or(name);
                Some(format!("`cargo build --release --features {feature}` builds lexivid with it"))
            }
            ModelError::Incomplete { name, .. } => Some(format!("`lexivid models pull {name}` goes on with it")),
            ModelError::NoHome { .. } => Some("set LEXIVID_HOME and HF_HOME".into()),
            _ => None,
        }
    }
}
