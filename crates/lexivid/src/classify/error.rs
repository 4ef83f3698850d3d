use crate::{label_embedding::DatabaseError, models::ModelError, video::VideoError};

/// Why a video could not be classified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClassifyError {
    /// The video is at fault; others may fare better.
    #[error(transparent)]
    Video(#[from] VideoError),
    /// The model is at fault.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The label embeddings could not be kept on disk.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
}

impl ClassifyError {
    /// What the user may try, when there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            ClassifyError::Video(e) => e.hint(),
            ClassifyError::Model(e) => e.hint(),
            ClassifyError::Database(e) => e.hint().or(Some("--no-cache does without it".into())),
            ClassifyError::Interrupted => None,
        }
    }
}
