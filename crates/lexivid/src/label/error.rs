use std::path::PathBuf;

/// Why a list of labels is not usable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabelError {
    /// No label was given.
    #[error("no labels given")]
    Empty,
    /// The file could not be read.
    #[error("{path}: {source}", path = .path.display())]
    Unreadable {
        /// The labels file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file's extension names no format that is known.
    #[error("{path}: expected a labels file ending in .txt, .csv, .json, .yaml or .yml", path = .path.display())]
    UnknownFormat {
        /// The labels file.
        path: PathBuf,
    },
    /// The file's content does not fit its format.
    #[error("{path}: {reason}", path = .path.display())]
    Malformed {
        /// The labels file.
        path: PathBuf,
        /// Where, what was expected and what was found.
        reason: String,
    },
    /// A threshold is not a probability.
    #[error("label {label:?}: expected a threshold from 0 to 1, got {threshold}")]
    BadThreshold {
        /// The label's name.
        label: String,
        /// The threshold as given.
        threshold: f32,
    },
}

impl LabelError {
    /// What the user may try, when there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            LabelError::Empty => Some("--labels \"dog, guitar, riding a bike\" or --labels-file labels.txt".into()),
            LabelError::Malformed { .. } => Some(
                "fields are name, kind (entity or action), definition, synonyms, threshold; only name is needed".into(),
            ),
            _ => None,
        }
    }
}
