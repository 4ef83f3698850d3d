use std::path::PathBuf;

/// Why the label embedding database could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// SQLite could not do it.
    #[error("label embedding database: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A matrix file could not be read or written.
    #[error("label embedding database: {path}: {source}", path = .path.display())]
    Matrix {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A later version of this program made it.
    #[error(
        "label embedding database {path}: expected version {known} or before, got {found}: a later lexivid made it",
        path = .path.display()
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The version that this program makes.
        known: i64,
    },
    /// Embeddings of a model are not as wide as those that it gave before.
    #[error("label embedding database: expected embeddings of width {expected}, got {got}")]
    Width {
        /// As stored.
        expected: usize,
        /// As given.
        got: usize,
    },
    /// No label was ever added to a vocabulary of this name.
    #[error("no vocabulary {name:?}; expected one of {found:?}")]
    NoSuchVocabulary {
        /// As given.
        name: String,
        /// The vocabularies that there are.
        found: Vec<String>,
    },
    /// A vocabulary does not have the label.
    #[error("vocabulary {vocabulary:?} has no label {label:?}")]
    NoSuchLabel {
        /// The vocabulary.
        vocabulary: String,
        /// The label's name as given.
        label: String,
    },
    /// A label cannot get the name of another.
    #[error("vocabulary {vocabulary:?} already has a label {label:?}")]
    NameTaken {
        /// The vocabulary.
        vocabulary: String,
        /// The name.
        label: String,
    },
}

impl DatabaseError {
    /// What the user may try, when there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            DatabaseError::NoSuchVocabulary { name, .. } => {
                Some(format!("`lexivid labels add --labels-file FILE --vocabulary {name}` makes one"))
            }
            DatabaseError::NoSuchLabel { vocabulary, .. } => {
                Some(format!("`lexivid labels list --vocabulary {vocabulary}` names what it has"))
            }
            _ => None,
        }
    }
}
