//! The Hugging Face hub: its cache on disk, and fetching from it.

use super::{FileState, ModelError, Progress, Store, blob_state, subdirectories};
use crate::nn::{shard_names, weight_files};
use hf_hub::{
    Cache, Repo, RepoType,
    api::sync::{Api, ApiBuilder, ApiRepo},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Without these a model cannot be loaded; the weights come besides.
pub(super) const NEEDED: [&str; 3] = ["config.json", "preprocessor_config.json", "tokenizer.json"];
/// The same of a language model.
pub(super) const NEEDED_OF_LANGUAGE: [&str; 2] = ["config.json", "tokenizer.json"];
/// These are fetched where there are any.
const OPTIONAL: [&str; 4] = ["tokenizer_config.json", "lexivid.json", "MODEL.md", "README.md"];
const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// How often a broken connection is taken up again.
const RETRIES: usize = 3;

/// `owner/name` or `owner/name@revision`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HubId {
    repository: String,
    revision: String,
}

impl HubId {
    /// `None` if `name` cannot be a hub id. Neither part can lead out of the cache.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (repository, revision) = name.split_once('@').unwrap_or((name, "main"));
        let part = |part: &str| {
            !part.is_empty()
                && !part.starts_with('.')
                && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
        };
        let (owner, model) = repository.split_once('/')?;
        (part(owner) && part(model) && revision.split('/').all(part))
            .then(|| Self { repository: repository.into(), revision: revision.into() })
    }

    fn name(&self) -> String {
        match self.revision.as_str() {
            "main" => self.repository.clone(),
            revision => format!("{}@{revision}", self.repository),
        }
    }

    fn repo(&self) -> Repo {
        Repo::with_revision(self.repository.clone(), RepoType::Model, self.revision.clone())
    }

    /// The directory in the cache that this id stands for, complete or not.
    pub(super) fn snapshot(&self, cache: &Path) -> Option<PathBuf> {
        let repository = cache.join(self.repo().folder_name());
        let commit = match fs::read_to_string(repository.join("refs").join(&self.revision)) {
            Ok(commit) => commit.trim().to_owned(),
            // A revision may be a commit itself.
            Err(_) => self.revision.clone(),
        };
        let snapshot = repository.join("snapshots").join(commit);
        snapshot.is_dir().then_some(snapshot)
    }
}

/// All snapshots that a reference in the cache names, with the ids that name them.
pub(super) fn snapshots(cache: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for repository in subdirectories(cache)? {
        let folder = repository.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(name) = folder.strip_prefix("models--").and_then(|name| name.split_once("--")) else {
            continue;
        };
        for revision in references(&repository.join("refs"), "")? {
            let id = HubId { repository: format!("{}/{}", name.0, name.1), revision };
            if let Some(snapshot) = id.snapshot(cache) {
                found.push((id.name(), snapshot));
            }
        }
    }
    Ok(found)
}

/// The names of the references in `dir`: files, in nested directories for names such as `refs/pr/1`.
fn references(dir: &Path, prefix: &str) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    let Ok(entries) = fs::read_dir(dir) else { return Ok(names) };
    for entry in entries {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        match entry.file_type()?.is_dir() {
            true => names.extend(references(&entry.path(), &format!("{name}/"))?),
            false => names.push(name),
        }
    }
    Ok(names)
}

/// The first file that a snapshot lacks to be loaded, of `needed` and the weights.
pub(super) fn missing_file(snapshot: &Path, needed: &[&str]) -> Option<String> {
    if let Some(file) = needed.iter().find(|file| !snapshot.join(file).is_file()) {
        return Some((*file).into());
    }
    match weight_files(snapshot) {
        Ok((_, files)) => {
            let missing = files.into_iter().find(|file| !file.is_file())?;
            Some(missing.file_name()?.to_string_lossy().into_owned())
        }
        Err(_) => Some(WEIGHTS.into()),
    }
}

/// Fetches what is missing of a model into the hub's cache. Files arrive under temporary names, are taken up again after
/// an interruption, and are compared with their digests.
pub(super) fn pull(store: &Store, id: &HubId, progress: &dyn Fn(Progress)) -> Result<PathBuf, ModelError> {
    let failed = |reason: String| ModelError::Hub { name: id.name(), reason };
    let mut builder = ApiBuilder::from_cache(Cache::new(store.hub_cache.clone()))
        .with_progress(false)
        .with_retries(RETRIES)
        .with_user_agent("lexivid", env!("CARGO_PKG_VERSION"));
    if let Some(endpoint) = &store.hub_endpoint {
        builder = builder.with_endpoint(endpoint.trim_end_matches('/').into());
    }
    let api = builder.build().map_err(|e| failed(e.to_string()))?;
    let repo = api.repo(id.repo());
    let info = repo.info().map_err(|e| failed(e.to_string()))?;
    let has = |file: &str| info.siblings.iter().any(|s| s.rfilename == file);

    let weights = match (has(WEIGHTS), has(INDEX)) {
        (true, _) => WEIGHTS,
        (false, true) => INDEX,
        (false, false) => {
            return Err(failed(format!(
                "expected {WEIGHTS} or {INDEX}, found neither at revision {}; other revisions may have one (refs/pr/N \
                 of the hub's conversions: {}@refs/pr/N)",
                id.revision, id.repository
            )));
        }
    };
    if let Some(file) = NEEDED.iter().find(|file| !has(file)) {
        return Err(failed(format!("expected {file}, found none")));
    }

    let fetch = |file: &str| -> Result<PathBuf, ModelError> {
        let present = id.snapshot(&store.hub_cache).filter(|s| s.ends_with(&info.sha)).map(|s| s.join(file));
        match present.filter(|path| path.is_file()) {
            Some(path) => Ok(path),
            None => download(&api, &repo, store, id, file, progress),
        }
    };
    for file in NEEDED.into_iter().chain(OPTIONAL.into_iter().filter(|file| has(file))) {
        fetch(file)?;
    }
    let path = fetch(weights)?;
    if weights == INDEX {
        let bad = |reason| ModelError::BadFile { path: path.clone(), reason };
        let index = fs::read_to_string(&path).map_err(|e| bad(e.to_string()))?;
        for shard in shard_names(&index).map_err(bad)? {
            fetch(&shard)?;
        }
    }
    store.path(&id.name())
}

/// Fetches one file and compares it with its digest.
fn download(
    api: &Api,
    repo: &ApiRepo,
    store: &Store,
    id: &HubId,
    file: &str,
    progress: &dyn Fn(Progress),
) -> Result<PathBuf, ModelError> {
    let failed = |reason: String| ModelError::Hub { name: id.name(), reason: format!("{file}: {reason}") };
    let metadata = api.metadata(&repo.url(file)).map_err(|e| failed(e.to_string()))?;
    if !metadata.etag().chars().all(|c| c.is_ascii_alphanumeric()) {
        return Err(failed(format!("expected a digest as its tag, got {:?}", metadata.etag())));
    }
    // hf-hub asks for the bytes behind the part that it has, and fails for ever if there are none.
    let part = Cache::new(store.hub_cache.clone()).repo(id.repo()).blob_path(metadata.etag()).with_extension("part");
    if fs::metadata(&part).is_ok_and(|part| part.len() >= metadata.size() as u64) {
        fs::remove_file(&part).map_err(|source| ModelError::Io { path: part, source })?;
    }
    let report = Report { file, done: 0, total: 0, progress };
    let path = repo.download_with_progress(file, report).map_err(|e| failed(e.to_string()))?;
    let io = |source| ModelError::Io { path: path.clone(), source };
    match blob_state(&path).map_err(io)? {
        FileState::Ok | FileState::Unrecorded => Ok(path),
        FileState::Bad | FileState::Missing => {
            // Neither the blob nor its link may be taken for a good file later.
            let blob = fs::canonicalize(&path).map_err(io)?;
            fs::remove_file(&path).and_then(|()| fs::remove_file(blob)).map_err(io)?;
            Err(failed("arrived broken, its digest is wrong; it was removed".into()))
        }
    }
}

/// Passes hf-hub's progress on.
struct Report<'a> {
    file: &'a str,
    done: u64,
    total: u64,
    progress: &'a dyn Fn(Progress),
}

impl hf_hub::api::Progress for Report<'_> {
    fn init(&mut self, size: usize, _: &str) {
        (self.done, self.total) = (0, size as u64);
    }

    fn update(&mut self, size: usize) {
        self.done += size as u64;
        (self.progress)(Progress { file: self.file, done: self.done, total: self.total });
    }

    fn finish(&mut self) {}
}
