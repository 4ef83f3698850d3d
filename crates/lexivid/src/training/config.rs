use super::TrainingError;
use serde::de::DeserializeOwned;
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
