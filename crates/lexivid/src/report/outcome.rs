use crate::decisions::Classification;
use serde::{Deserialize, Serialize};

/// What became of one video. As JSON it is the [`Classification`] itself, or `{"path", "error"}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Outcome {
    /// It was classified.
    Done(Box<Classification>),
    /// It could not be.
    Failed {
        /// The video as the user named it.
        path: String,
        /// Why, in one line.
        error: String,
    },
}
