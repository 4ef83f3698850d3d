//! Similarity -> probability for models with two towers.

use crate::label_embedding::Calibration;
use serde::Deserialize;
use std::path::Path;

/// Where a directory may say how its similarities become probabilities: `{"scale": 40.0, "bias": -10.0}`.
pub(super) const FILE: &str = "lexivid.json";

/// Similarity that counts as even odds for a CLIP that nobody calibrated. CLIP's similarities of matching pictures and
/// sentences lie around 0.25 to 0.3 and those of others around 0.15 to 0.2, whatever the labels; its own loss knows no
/// threshold, and b = 0 would give nearly 1 for everything.
const EVEN_ODDS: f32 = 0.25;

/// The contents of [`FILE`].
///
/// # Errors
/// When it is there, but no calibration.
pub(super) fn read(dir: &Path) -> Result<Option<Calibration>, String> {
    #[derive(Deserialize)]
    struct File {
        scale: f32,
        bias: f32,
    }
    let json = match std::fs::read_to_string(dir.join(FILE)) {
        Ok(json) => json,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e.to_string()),
    };
    let File { scale, bias } = serde_json::from_str(&json).map_err(|e| e.to_string())?;
    if !(scale.is_finite() && scale > 0.0 && bias.is_finite()) {
        return Err(format!("expected a positive scale and a finite bias, got {scale} and {bias}"));
    }
    Ok(Some(Calibration { scale, bias }))
}

/// A stand-in for CLIP: its own scale 1 / tau, and even odds at a similarity of 0.25.
pub(super) fn uncalibrated(scale: f32) -> Calibration {
    Calibration { scale, bias: -scale * EVEN_ODDS }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stand_in_has_even_odds_at_a_quarter() {
        let calibration = uncalibrated(100.0);
        assert!((calibration.probability(0.25) - 0.5).abs() < 1e-6);
        assert!(calibration.probability(0.30) > 0.99 && calibration.probability(0.20) < 0.01);
    }

    #[test]
    fn a_calibration_file_is_checked() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()).unwrap(), None);
        std::fs::write(dir.path().join(FILE), r#"{"scale": 40, "bias": -8.5}"#).unwrap();
        assert_eq!(read(dir.path()).unwrap(), Some(Calibration { scale: 40.0, bias: -8.5 }));
        for bad in [r#"{"scale": -1, "bias": 0}"#, r#"{"scale": 1}"#, "nonsense"] {
            std::fs::write(dir.path().join(FILE), bad).unwrap();
            assert!(read(dir.path()).is_err(), "{bad}");
        }
    }
}
