use crate::nn::WeightsError;
use std::path::PathBuf;

/// Why a language model could not be read or asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LanguageModelError {
    /// A file could not be read.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{path}: expected {expected}, got {got}", path = .path.display())]
    BadFile {
        /// The file.
        path: PathBuf,
        /// What was expected.
        expected: String,
        /// What was found.
        got: String,
    },
    /// The model is of a family that is not known here, or uses something of its family's that is not.
    #[error("{path}: expected {what} {expected}, got {got}", path = .path.display())]
    Unsupported {
        /// The file that says so.
        path: PathBuf,
        /// What it says: "model_type", "tokenizer.ggml.pre".
        what: Box<str>,
        /// What is known here.
        expected: Box<str>,
        /// What it has.
        got: Box<str>,
    },
    /// More blocks are wanted than there are.
    #[error("{path}: expected at least {expected} blocks, got {got}", path = .path.display())]
    Blocks {
        /// The model.
        path: PathBuf,
        /// How many are wanted.
        expected: usize,
        /// How many it has.
        got: usize,
    },
    /// The template of its chats could not be filled in.
    #[error("{path}: expected a chat template that takes a question, got: {reason}", path = .path.display())]
    ChatTemplate {
        /// The model.
        path: PathBuf,
        /// What the template says.
        reason: String,
    },
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// Its weights could not be read.
    #[error(transparent)]
    Weights(Box<WeightsError>),
    /// The tensor engine failed.
    #[error("language model: {0}")]
    Tensor(#[from] candle_core::Error),
}

impl From<WeightsError> for LanguageModelError {
    fn from(error: WeightsError) -> Self {
        Self::Weights(Box::new(error))
    }
}
