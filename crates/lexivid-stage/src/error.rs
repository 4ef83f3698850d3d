use std::path::PathBuf;

/// Why a stage cannot be set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StageError {
    /// A file of the assets is missing, or not as expected.
    #[error("{path}: {reason}", path = .path.display())]
    Asset {
        /// The file.
        path: PathBuf,
        /// What was expected and what was found.
        reason: String,
    },
}

impl StageError {
    /// What the user may try, when there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            StageError::Asset { .. } => Some("scripts/stage-assets fetches them and prints their directory".into()),
        }
    }
}
