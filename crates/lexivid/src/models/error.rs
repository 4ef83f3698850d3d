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
    /// A text could not be tokenized.
    #[error("tokenizer: {0}")]
    Tokenizer(String),
}

impl ModelError {
    /// What the user may try, when there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            ModelError::NotInstalled { name } => Some(format!("`lexivid models pull {name}` fetches it")),
            _ => None,
        }
    }
}
