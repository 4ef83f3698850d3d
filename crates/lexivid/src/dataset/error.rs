use crate::label::LabelError;
use std::path::PathBuf;

/// Why a manifest or a vocabulary is not usable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// The file could not be read or written.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// The manifest or vocabulary.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line of a manifest is no example.
    #[error("{path}, line {line}: {reason}", path = .path.display())]
    Line {
        /// The manifest.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What was expected and what was found.
        reason: String,
    },
    /// The manifest has no example.
    #[error("{path}: no example in it", path = .path.display())]
    Empty {
        /// The manifest.
        path: PathBuf,
    },
    /// No example is of the split that was asked for.
    #[error("{path}: no example of split {split:?}; expected one of {found:?}", path = .path.display())]
    NoSuchSplit {
        /// The manifest.
        path: PathBuf,
        /// The split as given.
        split: String,
        /// The splits that there are.
        found: Vec<String>,
    },
    /// The labels themselves are not usable.
    #[error(transparent)]
    Label(#[from] LabelError),
    /// A label's opposite is not a label of the vocabulary, or does not name it back.
    #[error("label {label:?}: expected as opposite another label that names it back, got {opposite:?}, {reason}")]
    Opposite {
        /// The label.
        label: String,
        /// What it names as its opposite.
        opposite: String,
        /// What is wrong with that.
        reason: String,
    },
}

impl DatasetError {
    /// What the user may try, when there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            DatasetError::Line { .. } | DatasetError::Empty { .. } => {
                Some(r#"an example a line: {"video": "a.mp4", "positives": ["dog"], "negatives": "*"}"#.into())
            }
            DatasetError::Label(e) => e.hint(),
            _ => None,
        }
    }
}
