//! Weights of a model in Hugging Face's layout: one `model.safetensors`, or shards listed in
//! `model.safetensors.index.json`.

use candle_core::{DType, Device, Tensor, safetensors::BufferedSafetensors};
use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
};

/// Why weights could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The directory has neither a weight file nor an index of shards.
    #[error("{dir}: expected model.safetensors or model.safetensors.index.json, found neither", dir = .dir.display())]
    NoWeights {
        /// The model's directory.
        dir: PathBuf,
    },
    /// A file could not be read.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not what its name says.
    #[error("{path}: expected {expected}, got {got}", path = .path.display())]
    BadFile {
        /// The file.
        path: PathBuf,
        /// What it should be.
        expected: &'static str,
        /// What is wrong with it.
        got: String,
    },
    /// A tensor is in none of the files.
    #[error("{path}: no tensor {tensor:?}, expected one of shape {expected:?}", path = .path.display())]
    MissingTensor {
        /// The file, or the index, that should have it.
        path: PathBuf,
        /// The tensor's full name.
        tensor: String,
        /// The shape that the configuration asks for.
        expected: Vec<usize>,
    },
    /// A tensor has another shape than the configuration says.
    #[error("{path}: tensor {tensor:?}: expected shape {expected:?}, got {got:?}", path = .path.display())]
    Shape {
        /// The file that has it.
        path: PathBuf,
        /// The tensor's full name.
        tensor: String,
        /// The shape that the configuration asks for.
        expected: Vec<usize>,
        /// The shape in the file.
        got: Vec<usize>,
    },
    /// The tensor engine failed.
    #[error("weights: {0}")]
    Tensor(#[from] candle_core::Error),
}

/// The weight files of one model, in memory as they are on disk; tensors are converted when they are asked for.
pub struct Weights {
    shards: Vec<(PathBuf, BufferedSafetensors)>,
    /// Tensor -> index into `shards`.
    shard_of: HashMap<String, usize>,
    /// What to name when a tensor is missing: the file, or the index.
    source: PathBuf,
    device: Device,
}

impl Weights {
    /// Reads `model.safetensors`, or the shards that `model.safetensors.index.json` lists, from `dir`. Tensors go to
    /// `device` as f32, whatever they are stored as.
    pub fn open(dir: &Path, device: &Device) -> Result<Self, WeightsError> {
        let (source, files) = weight_files(dir)?;
        let mut shards = Vec::with_capacity(files.len());
        let mut shard_of = HashMap::new();
        for path in files {
            let bytes = std::fs::read(&path).map_err(|source| WeightsError::Io { path: path.clone(), source })?;
            let shard = BufferedSafetensors::new(bytes).map_err(|e| WeightsError::BadFile {
                path: path.clone(),
                expected: "a safetensors file",
                got: e.to_string(),
            })?;
            shard_of.extend(shard.tensors().into_iter().map(|(name, _)| (name, shards.len())));
            shards.push((path, shard));
        }
        Ok(Self { shards, shard_of, source, device: device.clone() })
    }

    /// The top of the tensors' names.
    pub fn root(&self) -> Scope<'_> {
        Scope { weights: self, prefix: String::new() }
    }
}

/// The weight files of `dir`, after the file that names them: the one file itself, or the index.
pub(crate) fn weight_files(dir: &Path) -> Result<(PathBuf, Vec<PathBuf>), WeightsError> {
    let single = dir.join("model.safetensors");
    if single.is_file() {
        return Ok((single.clone(), vec![single]));
    }
    let index = dir.join("model.safetensors.index.json");
    if !index.is_file() {
        return Err(WeightsError::NoWeights { dir: dir.into() });
    }
    let text = std::fs::read_to_string(&index).map_err(|source| WeightsError::Io { path: index.clone(), source })?;
    let shards = shard_names(&text).map_err(|got| WeightsError::BadFile {
        path: index.clone(),
        expected: "an index of safetensors shards",
        got,
    })?;
    let files = shards.into_iter().map(|name| dir.join(name)).collect();
    Ok((index, files))
}

/// The shards that a `model.safetensors.index.json` names, each once; plain file names only, so that an index cannot
/// lead out of its directory.
pub(crate) fn shard_names(index: &str) -> Result<BTreeSet<String>, String> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: HashMap<String, String>,
    }
    let index: Index = serde_json::from_str(index).map_err(|e| e.to_string())?;
    let names: BTreeSet<String> = index.weight_map.into_values().collect();
    match names.iter().find(|name| Path::new(name).file_name().is_none_or(|file| file != name.as_str())) {
        Some(name) => Err(format!("shard {name:?}, which is no plain file name")),
        None => Ok(names),
    }
}

/// The tensors under one prefix of their names.
#[derive(Clone)]
pub struct Scope<'a> {
    weights: &'a Weights,
    prefix: String,
}

impl Scope<'_> {
    /// The tensors under `{prefix}{name}.`.
    pub fn enter(&self, name: &str) -> Self {
        Self { weights: self.weights, prefix: format!("{}{name}.", self.prefix) }
    }

    /// The tensor `{prefix}{name}` in f32.
    ///
    /// # Errors
    /// When it is missing, or has another shape than `expected`.
    pub fn tensor(&self, name: &str, expected: &[usize]) -> Result<Tensor, WeightsError> {
        let tensor = format!("{}{name}", self.prefix);
        let Some(&shard) = self.weights.shard_of.get(&tensor) else {
            let path = self.weights.source.clone();
            return Err(WeightsError::MissingTensor { path, tensor, expected: expected.into() });
        };
        let (path, file) = &self.weights.shards[shard];
        let got = file.get(&tensor)?.shape().to_vec();
        if got != expected {
            return Err(WeightsError::Shape { path: path.clone(), tensor, expected: expected.into(), got });
        }
        Ok(file.load(&tensor, &self.weights.device)?.to_dtype(DType::F32)?)
    }
}
