use super::{AdamW, TrainingError, average::Average};
use candle_core::{Device, Tensor, safetensors};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

/// The state of a run, beside the model that it has come to: a directory of its own that appears when it is whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// `step-00001000`.
    pub path: PathBuf,
    /// Steps taken.
    pub step: u64,
}

/// `state.json`.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    step: u64,
    /// Seconds that the run has taken.
    seconds: f64,
    /// SHA-256 of the run's configuration.
    configuration: String,
    /// Steps that have a part in the average of weights.
    #[serde(default)]
    averaged: u64,
}

const WEIGHTS: &str = "training.safetensors";
const STATE: &str = "state.json";
const PREFIX: &str = "step-";

impl Checkpoint {
    /// The checkpoints of a run, oldest first.
    pub fn all(out: &Path) -> Result<Vec<Self>, TrainingError> {
        let directory = directory(out);
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(TrainingError::io(directory)(e)),
        };
        let mut all = Vec::new();
        for entry in entries {
            let path = entry.map_err(TrainingError::io(&directory))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            // What is only half written has another name.
            if let Some(step) = name.strip_prefix(PREFIX).and_then(|step| step.parse().ok()) {
                all.push(Self { path, step });
            }
        }
        all.sort_by_key(|checkpoint| checkpoint.step);
        Ok(all)
    }

    /// Writes the run's state, and what `save` adds; all but the newest `keep` checkpoints are removed.
    pub(super) fn write(
        out: &Path,
        optimizer: &AdamW,
        average: &Average,
        configuration: &str,
        seconds: f64,
        keep: usize,
        save: impl FnOnce(&Path) -> Result<(), TrainingError>,
    ) -> Result<Self, TrainingError> {
        let directory = directory(out);
        fs::create_dir_all(&directory).map_err(TrainingError::io(&directory))?;
        let partial = tempfile::Builder::new().prefix(".partial-").tempdir_in(&directory);
        let partial = partial.map_err(TrainingError::io(&directory))?;
        save(partial.path())?;

        let mut tensors = HashMap::new();
        for (name, weight) in &optimizer.weights {
            let shaped = |values: &[f32]| Tensor::from_slice(values, weight.variable.shape(), &Device::Cpu);
            tensors.insert(format!("weight.{name}"), weight.variable.as_tensor().clone());
            tensors.insert(format!("first_moment.{name}"), shaped(&weight.first_moment)?);
            tensors.insert(format!("second_moment.{name}"), shaped(&weight.second_moment)?);
            if let Some(sum) = average.sums.get(name) {
                tensors.insert(format!("sum.{name}"), shaped(sum)?);
            }
        }
        safetensors::save(&tensors, partial.path().join(WEIGHTS))?;
        let step = optimizer.steps;
        let state = State { step, seconds, configuration: digest(configuration), averaged: average.count };
        let json = serde_json::to_vec_pretty(&state).expect("plain fields");
        fs::write(partial.path().join(STATE), json).map_err(TrainingError::io(partial.path()))?;

        let path = directory.join(format!("{PREFIX}{step:08}"));
        if path.is_dir() {
            fs::remove_dir_all(&path).map_err(TrainingError::io(&path))?;
        }
        fs::rename(partial.keep(), &path).map_err(TrainingError::io(&path))?;
        let all = Self::all(out)?;
        for old in &all[..all.len().saturating_sub(keep.max(1))] {
            fs::remove_dir_all(&old.path).map_err(TrainingError::io(&old.path))?;
        }
        Ok(Self { path, step })
    }

    /// Puts weights and averages where they were. Returns the seconds that the run had taken.
    pub(super) fn restore(
        &self,
        optimizer: &mut AdamW,
        average: &mut Average,
        configuration: &str,
    ) -> Result<f64, TrainingError> {
        let bad = |file: &str, reason: String| TrainingError::BadCheckpoint { path: self.path.join(file), reason };
        let json = fs::read_to_string(self.path.join(STATE)).map_err(|e| bad(STATE, e.to_string()))?;
        let state: State = serde_json::from_str(&json).map_err(|e| bad(STATE, e.to_string()))?;
        if state.configuration != digest(configuration) {
            return Err(TrainingError::OtherRun { checkpoint: self.path.clone() });
        }
        let tensors = safetensors::load(self.path.join(WEIGHTS), &Device::Cpu);
        let tensors = tensors.map_err(|e| bad(WEIGHTS, e.to_string()))?;
        for (name, weight) in &mut optimizer.weights {
            let tensor = |kind: &str| {
                let name = format!("{kind}.{name}");
                match tensors.get(&name) {
                    Some(tensor) if tensor.dims() == weight.variable.dims() => Ok(tensor),
                    Some(tensor) => {
                        let (expected, got) = (weight.variable.dims(), tensor.dims());
                        Err(bad(WEIGHTS, format!("{name}: expected shape {expected:?}, got {got:?}")))
                    }
                    None => Err(bad(WEIGHTS, format!("expected a tensor {name}, found none"))),
                }
            };
            weight.variable.set(tensor("weight")?)?;
            weight.first_moment = tensor("first_moment")?.flatten_all()?.to_vec1()?;
            weight.second_moment = tensor("second_moment")?.flatten_all()?.to_vec1()?;
            if state.averaged > 0 {
                average.sums.insert(name.clone(), tensor("sum")?.flatten_all()?.to_vec1()?);
            }
        }
        average.count = state.averaged;
        optimizer.steps = state.step;
        Ok(state.seconds)
    }
}

fn directory(out: &Path) -> PathBuf {
    out.join("checkpoints")
}

fn digest(configuration: &str) -> String {
    format!("{:x}", Sha256::digest(configuration))
}
