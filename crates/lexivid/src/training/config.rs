use super::TrainingError;
use crate::models::Precision;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::path::Path;

/// A TOML file, and its text: what decides what a run comes to.
///
/// # Errors
/// When it cannot be read, or has other fields than expected.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<(T, String), TrainingError> {
    let bad = |reason: String| TrainingError::Config { path: path.into(), reason };
    let text = std::fs::read_to_string(path).map_err(|e| bad(e.to_string()))?;
    let config = toml::from_str(&text).map_err(|e| bad(e.to_string().trim_end().replace('\n', " ")))?;
    Ok((config, text))
}

/// What products multiply while something is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrainingPrecision {
    /// f32.
    #[default]
    F32,
    /// bf16, sums in f32.
    Bf16,
}

impl From<TrainingPrecision> for Precision {
    fn from(precision: TrainingPrecision) -> Self {
        match precision {
            TrainingPrecision::F32 => Precision::F32,
            TrainingPrecision::Bf16 => Precision::Bf16,
        }
    }
}
