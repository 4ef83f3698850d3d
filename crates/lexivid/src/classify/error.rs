/// Why a video could not be classified, when neither the video nor the model is at fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClassifyError {
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// The label embeddings could not be kept on disk.
    #[error(transparent)]
    Database(#[from] crate::label_embedding::DatabaseError),
}

impl ClassifyError {
    /// What the user may try, when there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            ClassifyError::Interrupted => None,
            ClassifyError::Database(_) => Some("--no-cache does without it".into()),
        }
    }
}
