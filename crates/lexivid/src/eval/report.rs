use super::Evaluation;
use crate::decisions::{ModelSummary, Settings};
use serde::Serialize;

/// An evaluation with everything that is needed to make it again; what `--json` prints.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EvaluationReport {
    /// The manifest as the user named it.
    pub manifest: String,
    /// SHA-256 of the manifest, 64 hexadecimal digits.
    pub manifest_sha256: String,
    /// The split that was evaluated; `None`: all of it.
    pub split: Option<String>,
    /// The vocabulary as the user named it.
    pub vocabulary: String,
    /// The model that looked.
    pub model: ModelSummary,
    /// How it looked.
    pub settings: Settings,
    /// The examples that could not be read, and are no part of the evaluation.
    pub failed: Vec<Failed>,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// What was measured.
    #[serde(flatten)]
    pub evaluation: Evaluation,
}

/// An example that could not be read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Failed {
    /// Its video.
    pub video: String,
    /// Why.
    pub error: String,
}
