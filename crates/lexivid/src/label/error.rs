/// Why a list of labels is not usable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabelError {
    /// No label was given.
    #[error("no labels given")]
    Empty,
}

impl LabelError {
    /// What the user may try, when there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            LabelError::Empty => Some("--labels \"dog, guitar, riding a bike\" or --labels-file labels.txt".into()),
        }
    }
}
