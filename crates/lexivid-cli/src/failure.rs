//! One clear line, a hint when it can help, and the exit status.

use crate::progress::Progress;
use lexivid::{
    Error, classify::ClassifyError, expansion::ProposerError, label_embedding::DatabaseError, models::ModelError,
    soft_attributes::LanguageModelError, training::TrainingError, video::VideoError,
};
use lexivid_stage::StageError;
use std::process::ExitCode;

/// Wrong use that clap cannot see; exits with 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongUse(pub String);

/// Prints what went wrong with one of several videos; the others go on.
pub fn tell(error: &VideoError, progress: &Progress) {
    progress.say(&format!("error: {error}"));
    if let Some(hint) = error.hint() {
        progress.say(&format!("hint: {hint}"));
    }
}

/// Prints `error` and gives the exit status: 2 for wrong use, 1 for a job that failed, 130 after Ctrl-C; a reader that
/// went away (`| head`) is no failure.
pub fn report(error: &anyhow::Error) -> ExitCode {
    if error
        .chain()
        .any(|cause| cause.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe))
    {
        return ExitCode::SUCCESS;
    }
    let known = error.downcast_ref::<Error>();
    let stage = error.downcast_ref::<StageError>();
    let interrupted = matches!(
        known,
        Some(
            Error::Classify(ClassifyError::Interrupted)
                | Error::Training(TrainingError::Classify(ClassifyError::Interrupted))
                | Error::Training(TrainingError::Model(ModelError::LanguageModel(LanguageModelError::Interrupted)))
                | Error::Proposer(ProposerError::Interrupted)
        )
    ) || matches!(stage, Some(StageError::Interrupted));
    if interrupted {
        eprintln!("interrupted");
        return ExitCode::from(130);
    }
    eprintln!("error: {error:#}");
    if let Some(hint) = known.and_then(Error::hint).or_else(|| stage.and_then(StageError::hint)) {
        eprintln!("hint: {hint}");
    }
    let wrong = matches!(
        known,
        Some(
            Error::Label(_)
                | Error::Dataset(_)
                | Error::Database(
                    DatabaseError::NoSuchVocabulary { .. }
                        | DatabaseError::NoSuchLabel { .. }
                        | DatabaseError::NameTaken { .. }
                )
                | Error::Training(TrainingError::Config { .. } | TrainingError::Dataset(_))
        )
    ) || matches!(stage, Some(StageError::OtherStage { .. } | StageError::Table { .. }));
    if error.is::<WrongUse>() || wrong { ExitCode::from(2) } else { ExitCode::FAILURE }
}
