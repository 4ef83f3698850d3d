use crate::Style;
use lexivid::dataset::DatasetError;
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
    /// The assets name a picture that cannot be drawn.
    #[error("the picture of {name:?} by {style:?} cannot be drawn")]
    NoPicture {
        /// The concept.
        name: String,
        /// Whose picture it is.
        style: Style,
    },
    /// A video could not be encoded.
    #[error("{path}: cannot be encoded as H.264: {reason}", path = .path.display())]
    Film {
        /// The video.
        path: PathBuf,
        /// What FFmpeg said.
        reason: String,
    },
    /// A file or directory could not be read or written.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The manifest or the vocabulary could not be written.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The directory holds another stage.
    #[error("{path}: expected {expected}, got {got}", path = .path.display())]
    OtherStage {
        /// The description of what is there.
        path: PathBuf,
        /// What was asked for.
        expected: String,
        /// What is there.
        got: String,
    },
    /// The table of `lexivid bench method` is not usable.
    #[error("{path}: {reason}", path = .path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// What was expected and what was found.
        reason: String,
    },
    /// The observer asked to stop.
    #[error("interrupted")]
    Interrupted,
}

impl StageError {
    /// What the user may try, when there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            StageError::Asset { .. } | StageError::NoPicture { .. } => {
                Some("scripts/stage-assets fetches them and prints their directory".into())
            }
            StageError::Film { .. } => Some("FFmpeg needs its libx264 encoder for this".into()),
            StageError::OtherStage { .. } => Some("choose another directory, or delete this one".into()),
            StageError::Dataset(e) => e.hint(),
            StageError::Io { .. } | StageError::Table { .. } | StageError::Interrupted => None,
        }
    }
}
