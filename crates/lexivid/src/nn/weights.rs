//! Weights of a model in Hugging Face's layout: one `model.safetensors`, or shards listed in
//! `model.safetensors.index.json`.

use super::{Compute, Packed};
use candle_core::{DType, Device, Tensor, Var};
use lexivid_kernels::{Matrix, Precision};
use safetensors::tensor::Metadata;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
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

/// The weights of one model, from files or from their start values. A tensor is read and converted when it is asked for, and
/// never kept, unless it is to be trained: whoever packs it has it once in memory, not twice.
pub struct Weights {
    origin: Origin,
    /// Where weights are to be trained: a variable for every tensor that was asked for.
    variables: Option<Mutex<BTreeMap<String, Var>>>,
    /// Where matrices are kept as they were packed.
    packed: Option<Packed>,
    compute: Compute,
}

enum Origin {
    Files(Files),
    Start(Box<Start>),
}

/// What a weight that was never trained starts from: its name and shape -> its values, row-major.
pub type Start = dyn Fn(&str, &[usize]) -> Result<Vec<f32>, WeightsError> + Send + Sync;

struct Files {
    shards: Vec<Shard>,
    /// Tensor -> index into `shards`.
    shard_of: HashMap<String, usize>,
    /// What to name when a tensor is missing: the file, or the index.
    source: PathBuf,
}

struct Shard {
    path: PathBuf,
    header: Metadata,
    /// Where in the file the tensors begin.
    data: u64,
}

impl Shard {
    fn open(path: PathBuf) -> Result<Self, WeightsError> {
        let io = |source| WeightsError::Io { path: path.clone(), source };
        let bad = |got: String| WeightsError::BadFile { path: path.clone(), expected: "a safetensors file", got };
        let mut file = File::open(&path).map_err(io)?;
        let size = file.metadata().map_err(io)?.len();
        let mut length = [0; 8];
        file.read_exact(&mut length).map_err(|e| bad(e.to_string()))?;
        let data = u64::from_le_bytes(length).saturating_add(8);
        if data > size {
            return Err(bad(format!("a header of {} bytes in a file of {size}", data - 8)));
        }
        let mut header = vec![0; data as usize - 8];
        file.read_exact(&mut header).map_err(io)?;
        let header: Metadata = serde_json::from_slice(&header).map_err(|e| bad(e.to_string()))?;
        if size - data != header.data_len() as u64 {
            return Err(bad(format!("{} bytes of tensors, the header tells of {}", size - data, header.data_len())));
        }
        Ok(Self { path, header, data })
    }

    /// Hands the bytes of `range` to `each` in pieces of whole numbers: a large tensor is in memory once, not twice.
    fn read(
        &self,
        range: (usize, usize),
        mut each: impl FnMut(&[u8]) -> candle_core::Result<()>,
    ) -> Result<(), WeightsError> {
        const PIECE: usize = 4 << 20;
        let io = |source| WeightsError::Io { path: self.path.clone(), source };
        let mut file = File::open(&self.path).map_err(io)?;
        file.seek(SeekFrom::Start(self.data + range.0 as u64)).map_err(io)?;
        let mut left = range.1 - range.0;
        let mut piece = vec![0; PIECE.min(left)];
        while left > 0 {
            let now = left.min(PIECE);
            file.read_exact(&mut piece[..now]).map_err(io)?;
            each(&piece[..now])?;
            left -= now;
        }
        Ok(())
    }
}

impl Files {
    fn values(&self, tensor: String, expected: &[usize]) -> Result<Vec<f32>, WeightsError> {
        let Some(&shard) = self.shard_of.get(&tensor) else {
            let path = self.source.clone();
            return Err(WeightsError::MissingTensor { path, tensor, expected: expected.into() });
        };
        let shard = &self.shards[shard];
        let Some(info) = shard.header.info(&tensor) else {
            return Err(WeightsError::MissingTensor { path: shard.path.clone(), tensor, expected: expected.into() });
        };
        if info.shape != expected {
            let (path, got) = (shard.path.clone(), info.shape.clone());
            return Err(WeightsError::Shape { path, tensor, expected: expected.into(), got });
        }
        let dtype = info.dtype.try_into()?;
        let mut values = Vec::with_capacity(expected.iter().product());
        shard.read(info.data_offsets, |piece| {
            let elements = piece.len() / DType::size_in_bytes(&dtype);
            let piece = Tensor::from_raw_buffer(piece, dtype, &[elements], &Device::Cpu)?.to_dtype(DType::F32)?;
            values.extend(piece.to_vec1::<f32>()?);
            Ok(())
        })?;
        Ok(values)
    }
}

impl Weights {
    /// Looks into `model.safetensors`, or the shards that `model.safetensors.index.json` lists, in `dir`. Tensors go to the
    /// device as f32, whatever they are stored as.
    pub fn open(dir: &Path, compute: &Compute) -> Result<Self, WeightsError> {
        let (source, files) = weight_files(dir)?;
        let mut shards = Vec::with_capacity(files.len());
        let mut shard_of = HashMap::new();
        for path in files {
            let shard = Shard::open(path)?;
            shard_of.extend(shard.header.tensors().into_keys().map(|name| (name, shards.len())));
            shards.push(shard);
        }
        let origin = Origin::Files(Files { shards, shard_of, source });
        Ok(Self { origin, variables: None, packed: None, compute: compute.clone() })
    }

    /// Weights to be trained, from their start values.
    pub fn start(start: Box<Start>, compute: &Compute) -> Self {
        Self { origin: Origin::Start(start), variables: Some(Mutex::default()), packed: None, compute: compute.clone() }
    }

    /// The same weights, to be trained: networks that read them compute with candle's tensors, and gradients reach them.
    pub fn trainable(self) -> Self {
        Self { variables: Some(Mutex::default()), ..self }
    }

    /// Bytes of the tensors in the files; 0 where there are none.
    pub(crate) fn bytes(&self) -> u64 {
        match &self.origin {
            Origin::Files(files) => files.shards.iter().map(|shard| shard.header.data_len() as u64).sum(),
            Origin::Start(_) => 0,
        }
    }

    /// The same weights, their matrices kept in a file as they are packed, or mapped from it.
    pub(crate) fn packed(self, packed: Packed) -> Self {
        Self { packed: Some(packed), ..self }
    }

    /// When everything has been read: what was packed is kept.
    pub(crate) fn keep_packed(&self) {
        self.packed.iter().for_each(Packed::keep);
    }

    /// The tensors that were asked for so far, by name; none where they are not to be trained.
    pub fn variables(&self) -> BTreeMap<String, Var> {
        self.variables.as_ref().map(|v| v.lock().unwrap_or_else(PoisonError::into_inner).clone()).unwrap_or_default()
    }

    /// The top of the tensors' names.
    pub fn root(&self) -> Scope<'_> {
        Scope { weights: self, prefix: String::new(), compute: self.compute.clone() }
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
    compute: Compute,
}

impl Scope<'_> {
    /// The tensors under `{prefix}{name}.`.
    pub fn enter(&self, name: &str) -> Self {
        Self { prefix: format!("{}{name}.", self.prefix), ..self.clone() }
    }

    /// The same tensors, for networks that compute in another precision.
    pub fn in_precision(&self, precision: Precision) -> Self {
        Self { compute: Compute { precision, ..self.compute.clone() }, ..self.clone() }
    }

    /// The tensor `{prefix}{name}` in f32: a variable where weights are to be trained.
    ///
    /// # Errors
    /// When it is missing, or has another shape than `expected`.
    pub fn tensor(&self, name: &str, expected: &[usize]) -> Result<Tensor, WeightsError> {
        let tensor = Tensor::from_vec(self.values(name, expected)?, expected, &self.compute().device)?;
        let Some(variables) = &self.weights.variables else { return Ok(tensor) };
        let variable = Var::from_tensor(&tensor)?;
        let tensor = variable.as_tensor().clone();
        variables.lock().unwrap_or_else(PoisonError::into_inner).insert(format!("{}{name}", self.prefix), variable);
        Ok(tensor)
    }

    /// The values of the tensor `{prefix}{name}`, row-major; otherwise as [`Scope::tensor`].
    pub fn values(&self, name: &str, expected: &[usize]) -> Result<Vec<f32>, WeightsError> {
        let tensor = format!("{}{name}", self.prefix);
        match &self.weights.origin {
            Origin::Files(files) => files.values(tensor, expected),
            Origin::Start(start) => start(&tensor, expected),
        }
    }

    /// The packed matrix `[columns, width]` that `pack` makes of tensors of this prefix, or of an earlier run that kept it as `{prefix}{name}`.
    pub(crate) fn matrix(
        &self,
        name: &str,
        columns: usize,
        width: usize,
        pack: impl FnOnce() -> Result<Matrix, WeightsError>,
    ) -> Result<Matrix, WeightsError> {
        match &self.weights.packed {
            Some(packed) => {
                packed.matrix(format!("{}{name}", self.prefix), (columns, width), self.compute.precision, pack)
            }
            None => pack(),
        }
    }

    /// Whether networks are to be built so that their weights can be trained.
    pub fn is_trainable(&self) -> bool {
        self.weights.variables.is_some()
    }

    /// Where and how the weights are to be used.
    pub fn compute(&self) -> &Compute {
        &self.compute
    }
}
