//! Similarity -> probability for models with two towers.

use crate::{label::tidy_name, label_embedding::Calibration, models::ModelError};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, io::Write, path::Path};

/// Similarity that counts as even odds for a CLIP that nobody calibrated. CLIP's similarities of matching pictures and
/// sentences lie around 0.25 to 0.3 and those of others around 0.15 to 0.2, whatever the labels; its own loss knows no
/// threshold, and b = 0 would give nearly 1 for everything.
const EVEN_ODDS: f32 = 0.25;

/// How a model's similarities become probabilities and decisions; lies beside its weights as `lexivid.json`. The scale
/// and the bias are all that it needs: `{"scale": 40.0, "bias": -10.0}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredCalibration {
    /// Scale of [`Calibration`], positive.
    pub scale: f32,
    /// Bias of [`Calibration`].
    pub bias: f32,
    /// Label -> probability from which on it counts as present.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub thresholds: BTreeMap<String, f32>,
    /// What all of it was fitted on, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fitted_on: Option<FittedOn>,
}

/// What a calibration was fitted on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FittedOn {
    /// The manifest's file name.
    pub manifest: String,
    /// SHA-256 of the manifest, 64 hexadecimal digits.
    pub sha256: String,
    /// The split of it.
    pub split: String,
    /// Pairs of example and label of which it is known whether the label is there.
    pub pairs: usize,
    /// Those of them where it is.
    pub positives: usize,
    /// Expected calibration error on these pairs before.
    pub calibration_error_before: f64,
    /// And after.
    pub calibration_error_after: f64,
}

impl StoredCalibration {
    /// The file's name.
    pub const FILE: &str = "lexivid.json";

    /// What lies in a model's directory, if anything.
    ///
    /// # Errors
    /// When it is there, but no calibration.
    pub fn read(dir: &Path) -> Result<Option<Self>, ModelError> {
        let path = dir.join(Self::FILE);
        let json = match std::fs::read_to_string(&path) {
            Ok(json) => json,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(ModelError::Io { path, source }),
        };
        match serde_json::from_str::<Self>(&json).map_err(|e| e.to_string()).and_then(Self::checked) {
            Ok(stored) => Ok(Some(stored)),
            Err(reason) => Err(ModelError::BadFile { path, reason }),
        }
    }

    fn checked(self) -> Result<Self, String> {
        let Self { scale, bias, .. } = self;
        if !(scale.is_finite() && scale > 0.0 && bias.is_finite()) {
            return Err(format!("expected a positive scale and a finite bias, got {scale} and {bias}"));
        }
        match self.thresholds.iter().find(|(_, threshold)| !(0.0..=1.0).contains(*threshold)) {
            Some((label, threshold)) => {
                Err(format!("label {label:?}: expected a threshold from 0 to 1, got {threshold}"))
            }
            None => Ok(self),
        }
    }

    /// Puts it into a model's directory, in the place of what lies there. The file appears whole or not at all.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn write(&self, dir: &Path) -> Result<(), ModelError> {
        let path = dir.join(Self::FILE);
        let write = || -> std::io::Result<()> {
            let mut file = crate::atomic::File::create(&path)?;
            serde_json::to_writer_pretty(&mut file, self)?;
            file.write_all(b"\n")?;
            file.commit()
        };
        write().map_err(|source| ModelError::Io { path: path.clone(), source })
    }

    /// Scale and bias.
    pub fn calibration(&self) -> Calibration {
        Calibration { scale: self.scale, bias: self.bias }
    }

    /// Thresholds by tidy name.
    pub(super) fn tidy_thresholds(self) -> BTreeMap<String, f32> {
        self.thresholds.into_iter().map(|(label, threshold)| (tidy_name(&label), threshold)).collect()
    }
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
        let read = || StoredCalibration::read(dir.path());
        assert_eq!(read().unwrap(), None);
        let write = |json: &str| std::fs::write(dir.path().join(StoredCalibration::FILE), json).unwrap();
        write(r#"{"scale": 40, "bias": -8.5}"#);
        assert_eq!(read().unwrap().unwrap().calibration(), Calibration { scale: 40.0, bias: -8.5 });
        for (bad, expected) in [
            (r#"{"scale": -1, "bias": 0}"#, "positive scale"),
            (r#"{"scale": 1}"#, "missing field `bias`"),
            (r#"{"scale": 1, "bias": 0, "thresholds": {"dog": 2}}"#, "label \"dog\": expected a threshold"),
            ("nonsense", "lexivid.json"),
        ] {
            write(bad);
            let error = read().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let fitted_on = FittedOn {
            manifest: "stage.jsonl".into(),
            sha256: "0".repeat(64),
            split: "val".into(),
            pairs: 100,
            positives: 7,
            calibration_error_before: 0.25,
            calibration_error_after: 0.125,
        };
        let thresholds = BTreeMap::from([("Riding  a bike".into(), 0.1)]);
        let stored = StoredCalibration { scale: 12.3, bias: -4.0, thresholds, fitted_on: Some(fitted_on) };
        stored.write(dir.path()).unwrap();
        stored.write(dir.path()).unwrap();
        assert_eq!(StoredCalibration::read(dir.path()).unwrap().as_ref(), Some(&stored));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
        assert_eq!(stored.tidy_thresholds()["riding a bike"], 0.1);
        let nowhere = StoredCalibration { scale: 1.0, bias: 0.0, thresholds: BTreeMap::new(), fitted_on: None };
        assert!(matches!(nowhere.write(&dir.path().join("no")), Err(ModelError::Io { .. })));
    }
}
