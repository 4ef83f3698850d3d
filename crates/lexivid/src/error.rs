//! One error for callers who do not care which room it came from.

use crate::{
    classify::ClassifyError,
    dataset::DatasetError,
    eval::EvalError,
    expansion::{ProposerError, ReviewError},
    frames::{PreprocessingError, SamplingError},
    label::LabelError,
    label_embedding::DatabaseError,
    models::ModelError,
    report::ReportError,
    training::TrainingError,
    video::VideoError,
};

/// Any error of this library; each room has its own typed error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A media file could not be opened or decoded.
    #[error(transparent)]
    Video(#[from] VideoError),
    /// The windows that were asked for are not possible.
    #[error(transparent)]
    Sampling(#[from] SamplingError),
    /// A model's preprocessing is not one that is known here.
    #[error(transparent)]
    Preprocessing(#[from] PreprocessingError),
    /// A label or a list of labels is not usable.
    #[error(transparent)]
    Label(#[from] LabelError),
    /// The label embedding database could not do what was asked of it.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A manifest or a vocabulary is not usable.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// A model could not be fetched, loaded or run.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A classification could not be carried out.
    #[error(transparent)]
    Classify(#[from] ClassifyError),
    /// Something could not be evaluated or calibrated.
    #[error(transparent)]
    Eval(#[from] EvalError),
    /// A language model could not be asked for labels.
    #[error(transparent)]
    Proposer(#[from] ProposerError),
    /// A file of proposals could not be read or written.
    #[error(transparent)]
    Review(#[from] ReviewError),
    /// A report could not be written.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// A training could not begin or go on.
    #[error(transparent)]
    Training(#[from] TrainingError),
}

impl Error {
    /// What the user may try, when there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Video(e) => e.hint(),
            Error::Label(e) => e.hint(),
            Error::Database(e) => e.hint(),
            Error::Dataset(e) => e.hint(),
            Error::Model(e) => e.hint(),
            Error::Classify(e) => e.hint(),
            Error::Training(e) => e.hint(),
            Error::Eval(e) => e.hint(),
            Error::Proposer(e) => e.hint(),
            Error::Review(_) | Error::Sampling(_) | Error::Preprocessing(_) | Error::Report(_) => None,
        }
    }
}
