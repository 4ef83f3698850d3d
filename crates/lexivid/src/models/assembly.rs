//! Directories of models that are put together on this machine.

use super::{ModelError, manifest::Manifest};
use candle_core::{Device, safetensors};
use candle_nn::VarBuilder;
use serde::de::DeserializeOwned;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// A model being put together.
pub(super) struct Assembly<'a> {
    /// For what is needed on the way only.
    pub scratch: PathBuf,
    /// What is to become the model's directory. Has a directory `LICENSES`.
    pub model: PathBuf,
    /// Told of every step.
    pub progress: &'a dyn Fn(&str),
}

/// Lets `build` fill a directory, and puts it at `dest` with a manifest of this version. It appears there complete or not at all; one that is
/// already there is replaced.
///
/// # Errors
/// Those of `build`, and when `dest` cannot be written.
pub(super) fn assemble(
    dest: &Path,
    version: u32,
    progress: &dyn Fn(&str),
    build: impl FnOnce(&Assembly) -> Result<(), ModelError>,
) -> Result<(), ModelError> {
    let failed = |e| bad(dest, e);
    let parent = dest.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(failed)?;
    // Beside the destination, so that the last step is a rename; hidden, so that it is no model yet.
    let scratch = tempfile::Builder::new().prefix(".assembly-").tempdir_in(parent).map_err(failed)?;
    let model = scratch.path().join("model");
    fs::create_dir_all(model.join("LICENSES")).map_err(failed)?;
    build(&Assembly { scratch: scratch.path().to_owned(), model: model.clone(), progress })?;
    Manifest::write(&model, version).map_err(|e| bad(&model, e))?;
    match fs::rename(dest, scratch.path().join("previous")) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(failed(e)),
        _ => fs::rename(&model, dest).map_err(failed),
    }
}

impl Assembly<'_> {
    /// Writes a file of the model.
    pub fn write(&self, file: &str, contents: Vec<u8>) -> Result<(), ModelError> {
        let path = self.model.join(file);
        fs::write(&path, contents).map_err(|e| bad(&path, e))
    }
}

/// Errors unless the model in `dir` has the layout that this program writes.
pub(super) fn check_version(dir: &Path, version: u32) -> Result<(), ModelError> {
    let got = match Manifest::read(dir) {
        Ok(Some(found)) if found.version == version => return Ok(()),
        Ok(Some(found)) => format!("layout {}", found.version),
        Ok(None) => "nothing".into(),
        Err(e) => e.to_string(),
    };
    let reason = format!("expected layout {version}, got {got}; pull the model again");
    Err(ModelError::BadFile { path: dir.join(Manifest::FILE), reason })
}

/// Reads a JSON file of a model.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, ModelError> {
    let json = fs::read(path).map_err(|e| bad(path, e))?;
    serde_json::from_slice(&json).map_err(|e| bad(path, e.into()))
}

/// Weights of a model, in safetensors.
pub(super) fn read_weights(path: &Path) -> Result<VarBuilder<'static>, ModelError> {
    let tensors = safetensors::load(path, &Device::Cpu)
        .map_err(|e| ModelError::BadFile { path: path.to_owned(), reason: e.to_string() })?;
    Ok(VarBuilder::from_tensors(tensors, candle_core::DType::F32, &Device::Cpu))
}

fn bad(path: &Path, error: io::Error) -> ModelError {
    ModelError::BadFile { path: path.to_owned(), reason: error.to_string() }
}
