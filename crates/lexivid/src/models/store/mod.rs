//! Where models live, and how they get there.
//!
//! - A **directory** is used where it is.
//! - A **hub id** (`owner/name`, or `owner/name@revision`) lives in the hub's own cache, shared with Python:
//!   `$HF_HUB_CACHE`, else `$HF_HOME/hub`, else `~/.cache/huggingface/hub`.
//! - Models **assembled** on this machine, such as `starter` and `i3d`, live in `models/` under `$LEXIVID_HOME`, else under
//!   `lexivid` in the user's cache directory.

mod hub;
#[cfg(test)]
mod tests;

use super::{
    ModelError, SUPPORTED,
    assembly::check_version,
    digest::{git_blob_of, sha256_of},
    known_digests::KnownDigests,
    manifest::Manifest,
    model_type, motion, starter,
};
use etcetera::BaseStrategy;
use hub::HubId;
use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

/// The places where models are kept.
#[derive(Debug, Clone)]
pub struct Store {
    /// What lexivid keeps for itself.
    pub home: PathBuf,
    /// The hub's cache.
    pub hub_cache: PathBuf,
    /// The hub's address, where it is not the public one (`$HF_ENDPOINT`).
    pub hub_endpoint: Option<String>,
}

/// A model that can be loaded without a network.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Installed {
    /// What [`crate::models::load`] takes.
    pub name: String,
    /// Its directory.
    pub path: PathBuf,
    /// Bytes of all its files.
    pub size: u64,
    /// How it came here.
    pub kind: Kind,
}

/// How a model came to this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Put together here, from packages or by training.
    Assembled,
    /// From the hub.
    Hub,
}

/// How far a download is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The file that is being fetched, or the step of an assembly.
    pub file: &'a str,
    /// Bytes so far.
    pub done: u64,
    /// Bytes in all; 0 where they are not counted.
    pub total: u64,
}

/// What `verify` says of one file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FileCheck {
    /// The file, relative to the model's directory.
    pub file: String,
    /// What was found.
    pub state: FileState,
}

/// A file against its recorded digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FileState {
    /// As recorded.
    Ok,
    /// Its contents are not those that were recorded.
    Bad,
    /// It is not there.
    Missing,
    /// There is no record to compare with.
    Unrecorded,
}

impl Store {
    /// The places that the environment names, or the defaults.
    ///
    /// # Errors
    /// When a default is needed, but the user has no home directory.
    pub fn from_env() -> Result<Self, ModelError> {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let user = || etcetera::choose_base_strategy().map_err(|e| ModelError::NoHome { reason: e.to_string() });
        let home = match set("LEXIVID_HOME") {
            Some(home) => home,
            None => user()?.cache_dir().join("lexivid"),
        };
        let hub_cache = match (set("HF_HUB_CACHE"), set("HF_HOME")) {
            (Some(cache), _) => cache,
            (None, Some(home)) => home.join("hub"),
            // Not the platform's cache directory: the hub's clients use this one everywhere.
            (None, None) => user()?.home_dir().join(".cache/huggingface/hub"),
        };
        Ok(Self { home, hub_cache, hub_endpoint: env::var("HF_ENDPOINT").ok().filter(|e| !e.is_empty()) })
    }

    /// The file in which label embeddings are kept between runs.
    pub fn label_database(&self) -> PathBuf {
        self.home.join("labels.sqlite")
    }

    /// The directory in which frozen features are kept between trainings.
    pub fn features(&self) -> PathBuf {
        self.home.join("features")
    }

    /// The file in which attributes that a language model wrote are kept between runs: `path` is the language model's, `sha256` its digest.
    pub fn text_attributes(&self, path: &Path, sha256: &str) -> PathBuf {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        self.home.join("attributes").join(format!("{name}-{}.jsonl", &sha256[..8]))
    }

    /// The directory in which packed weights are kept between runs.
    pub fn packed(&self) -> PathBuf {
        self.home.join("packed")
    }

    /// What is known of the contents of large files without reading them.
    pub(crate) fn known_digests(&self) -> KnownDigests {
        KnownDigests::new(self.home.join("digests.json"))
    }

    /// The directory of an assembled model, whether it is there or not.
    pub fn assembled(&self, name: &str) -> PathBuf {
        self.home.join("models").join(name)
    }

    /// The files of a language model: a GGUF file, one in the directory of an installed model, or else that directory, in
    /// Hugging Face's layout.
    ///
    /// # Errors
    /// When there is none of them, or a file is missing.
    pub fn language_model(&self, name: &str) -> Result<PathBuf, ModelError> {
        if Path::new(name).is_file() {
            return Ok(name.into());
        }
        let (dir, place) = self.find(name)?;
        let io = |source| ModelError::Io { path: dir.clone(), source };
        let files = fs::read_dir(&dir).map_err(io)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>();
        let ggufs = files.map_err(io)?.into_iter().filter(|path| path.extension().is_some_and(|e| e == "gguf"));
        match (ggufs.min(), hub::missing_file(&dir, &hub::NEEDED_OF_LANGUAGE)) {
            (Some(gguf), _) => Ok(gguf),
            (None, None) => Ok(dir),
            (None, Some(file)) if place == Kind::Hub => Err(ModelError::Incomplete { name: name.into(), file }),
            (None, Some(_)) => Err(ModelError::NoLanguageModel { name: name.into() }),
        }
    }

    /// The directory of an installed model.
    ///
    /// # Errors
    /// When it is not installed, or only half of it is, or it was put together by another version of this program.
    pub fn path(&self, name: &str) -> Result<PathBuf, ModelError> {
        let (dir, place) = self.find(name)?;
        match name {
            starter::NAME => check_version(&dir, starter::VERSION)?,
            motion::NAME => check_version(&dir, motion::VERSION)?,
            _ => {}
        }
        match hub::missing_file(&dir, &hub::NEEDED).filter(|_| place == Kind::Hub) {
            Some(file) => Err(ModelError::Incomplete { name: name.into(), file }),
            None => Ok(dir),
        }
    }

    /// The directory of an installed model, whole or not.
    fn find(&self, name: &str) -> Result<(PathBuf, Kind), ModelError> {
        let assembled = self.assembled(name);
        if is_plain(name) && assembled.is_dir() {
            return Ok((assembled, Kind::Assembled));
        }
        if Path::new(name).is_dir() {
            return Ok((name.into(), Kind::Assembled));
        }
        let snapshot = HubId::parse(name).and_then(|id| id.snapshot(&self.hub_cache));
        let dir = snapshot.ok_or_else(|| ModelError::NotInstalled { name: name.into() })?;
        Ok((dir, Kind::Hub))
    }

    /// Fetches a model, or what is missing of it, and returns its directory. A directory is left as it is.
    ///
    /// # Errors
    /// When the hub cannot be reached, or has no such model, or not one that can be loaded; when a file arrives broken.
    pub fn pull(&self, name: &str, progress: &dyn Fn(Progress)) -> Result<PathBuf, ModelError> {
        if Path::new(name).is_dir() {
            return Ok(name.into());
        }
        match HubId::parse(name) {
            _ if name == starter::NAME => self.assemble(name, starter::pull, progress),
            _ if name == motion::NAME => self.assemble(name, motion::pull, progress),
            Some(id) => hub::pull(self, &id, progress),
            None if is_plain(name) && self.assembled(name).is_dir() => Ok(self.assembled(name)),
            None => Err(ModelError::UnknownName { name: name.into() }),
        }
    }

    /// Has a model put together by its `pull`.
    fn assemble(
        &self,
        name: &str,
        pull: impl Fn(&Path, &dyn Fn(&str)) -> Result<(), ModelError>,
        progress: &dyn Fn(Progress),
    ) -> Result<PathBuf, ModelError> {
        let dir = self.assembled(name);
        pull(&dir, &|step| progress(Progress { file: step, done: 0, total: 0 }))?;
        Ok(dir)
    }

    /// All models in the store, sorted by name; of those in the hub's cache only what can be loaded.
    pub fn list(&self) -> Result<Vec<Installed>, ModelError> {
        let io = |source| ModelError::Io { path: self.home.clone(), source };
        let mut models = Vec::new();
        for path in subdirectories(&self.home.join("models")).map_err(io)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            // Downloads in progress have hidden names.
            if is_plain(&name) {
                let size = size_of(&path).map_err(io)?;
                models.push(Installed { name, path, size, kind: Kind::Assembled });
            }
        }
        for (name, path) in hub::snapshots(&self.hub_cache).map_err(io)? {
            let loadable = model_type(&path).is_ok_and(|t| SUPPORTED.contains(&t.as_str()));
            if loadable && hub::missing_file(&path, &hub::NEEDED).is_none() {
                let size = size_of(&path).map_err(io)?;
                models.push(Installed { name, path, size, kind: Kind::Hub });
            }
        }
        models.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(models)
    }

    /// Compares every file of an installed model with what was recorded of it: the manifest of an assembled model, or
    /// the names of the hub's blobs, which are their digests.
    pub fn verify(&self, name: &str) -> Result<Vec<FileCheck>, ModelError> {
        let dir = match HubId::parse(name).and_then(|id| id.snapshot(&self.hub_cache)) {
            // Not `path`, which would refuse a model of which a file is missing.
            Some(snapshot) if !Path::new(name).is_dir() => snapshot,
            _ => self.path(name)?,
        };
        let io = |source| ModelError::Io { path: dir.clone(), source };
        if let Some(manifest) = Manifest::read(&dir).map_err(io)? {
            let checks = manifest.files.into_iter().map(|(file, recorded)| {
                let state = compare(&dir.join(&file), |path| Ok(sha256_of(path)? == recorded))?;
                Ok(FileCheck { file, state })
            });
            return checks.collect::<io::Result<_>>().map_err(io);
        }
        let mut checks = Vec::new();
        for entry in fs::read_dir(&dir).map_err(io)? {
            let path = entry.map_err(io)?.path();
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            checks.push(FileCheck { file, state: blob_state(&path).map_err(io)? });
        }
        if let Some(file) = hub::missing_file(&dir, &hub::NEEDED).filter(|file| checks.iter().all(|c| c.file != *file))
        {
            checks.push(FileCheck { file, state: FileState::Missing });
        }
        checks.sort_by(|a, b| a.file.cmp(&b.file));
        Ok(checks)
    }
}

/// A file of the hub's cache against the name of the blob that it links to.
fn blob_state(path: &Path) -> io::Result<FileState> {
    let blob = fs::read_link(path).ok().and_then(|target| Some(target.file_name()?.to_str()?.to_owned()));
    compare(path, |path| match blob.as_deref().map(|name| (name, name.len())) {
        Some((name, 64)) => Ok(sha256_of(path)? == name),
        Some((name, 40)) => Ok(git_blob_of(path)? == name),
        _ => Err(io::ErrorKind::Unsupported.into()),
    })
    .or_else(|e| if e.kind() == io::ErrorKind::Unsupported { Ok(FileState::Unrecorded) } else { Err(e) })
}

fn compare(path: &Path, same: impl FnOnce(&Path) -> io::Result<bool>) -> io::Result<FileState> {
    if !path.exists() {
        return Ok(FileState::Missing);
    }
    Ok(if same(path)? { FileState::Ok } else { FileState::Bad })
}

/// Whether `name` is one visible path component, so that it cannot lead out of the store.
fn is_plain(name: &str) -> bool {
    !name.starts_with('.') && Path::new(name).file_name().is_some_and(|file| file == name)
}

/// The directories in `dir`; none if `dir` is not there.
fn subdirectories(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    Ok(paths.into_iter().filter(|path| path.is_dir()).collect())
}

/// Bytes of all files in `dir`, links followed.
fn size_of(dir: &Path) -> io::Result<u64> {
    let mut size = 0;
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        size += match fs::metadata(&path) {
            Ok(data) if data.is_dir() => size_of(&path)?,
            Ok(data) => data.len(),
            // A link whose blob was removed takes no space.
            Err(e) if e.kind() == io::ErrorKind::NotFound => 0,
            Err(e) => return Err(e),
        };
    }
    Ok(size)
}
