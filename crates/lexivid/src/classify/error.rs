/// Why a video could not be classified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClassifyError {
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
}

impl ClassifyError {
    /// What the user may try, when there is something.
    pub fn hint(&self) -> Option<String> {
        None
    }
}
