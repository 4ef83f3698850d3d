use crate::{
    classify::ClassifyError, dataset::DatasetError, eval::EvalError, label_embedding::TokenizerError,
    models::ModelError, nn::WeightsError,
};
use std::path::PathBuf;

/// Why a training cannot begin or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainingError {
    /// The configuration is not usable.
    #[error("{path}: {reason}", path = .path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What was expected and what was found.
        reason: String,
    },
    /// There is a run in the output directory already.
    #[error("{out}: expected an empty directory, found a run that is at step {step}", out = .out.display())]
    RunExists {
        /// The directory.
        out: PathBuf,
        /// How far the run is.
        step: u64,
    },
    /// A run can only go on as it began.
    #[error("{checkpoint}: was made with another configuration", checkpoint = .checkpoint.display())]
    OtherRun {
        /// The checkpoint.
        checkpoint: PathBuf,
    },
    /// A checkpoint is not as expected.
    #[error("{path}: {reason}", path = .path.display())]
    BadCheckpoint {
        /// The checkpoint, or a file of it.
        path: PathBuf,
        /// What was expected and what was found.
        reason: String,
    },
    /// Loss or gradients are NaN or infinite.
    #[error("step {step}: {what} is not finite; {last}", last = last_good(.checkpoint))]
    NotFinite {
        /// The step.
        step: u64,
        /// The loss, or the weight whose gradient it is.
        what: String,
        /// The last checkpoint, if there is one.
        checkpoint: Option<PathBuf>,
    },
    /// A weight that should be trained gets no gradient.
    #[error("no gradient reaches {weight}")]
    NoGradient {
        /// The weight.
        weight: String,
    },
    /// There is too little to learn from.
    #[error("{what}: expected {expected}, got {got}")]
    Data {
        /// Of what.
        what: String,
        /// What is needed.
        expected: String,
        /// What there is.
        got: String,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The data set is not usable.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// Validation failed.
    #[error(transparent)]
    Eval(#[from] EvalError),
    /// An example could not be looked at, or the user asked to stop.
    #[error(transparent)]
    Classify(#[from] ClassifyError),
    /// The model failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Weights could not be read.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A text could not be tokenized.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The tensor engine failed.
    #[error("training: {0}")]
    Tensor(#[from] candle_core::Error),
}

fn last_good(checkpoint: &Option<PathBuf>) -> String {
    match checkpoint {
        Some(path) => format!("the last good checkpoint is {}", path.display()),
        None => "there is no checkpoint yet".into(),
    }
}

impl TrainingError {
    /// What the user may try, when there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            TrainingError::RunExists { .. } => Some("--resume goes on with it".into()),
            TrainingError::OtherRun { .. } => Some("name another output directory, or train with the old file".into()),
            TrainingError::NotFinite { .. } => Some("try a lower rate or a longer warm-up".into()),
            TrainingError::Model(e) => e.hint(),
            TrainingError::Classify(e) => e.hint(),
            _ => None,
        }
    }

    pub(super) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        |source| Self::Io { path, source }
    }
}
