//! Digests of large files, kept between runs: hashing the weights of a model takes longer than starting it.

use super::digest::sha256_of;
use std::{
    collections::BTreeMap,
    fs::{self, Metadata},
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// Files below this size are hashed every time, in bytes: it takes ten milliseconds.
const SMALLEST: u64 = 16 << 20;

/// A file that changed less than this before it was hashed is hashed again the next time: file systems count time in
/// steps, of two seconds at worst, and may give another change in the same step the same time.
const SETTLED: Duration = Duration::from_secs(3);

/// The digests of files that have not changed since they were hashed, in a file.
#[derive(Debug)]
pub(crate) struct KnownDigests {
    file: PathBuf,
}

/// A file as it was hashed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Known {
    state: State,
    /// 64 hexadecimal digits.
    sha256: String,
}

/// What changes with a file's contents.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct State {
    bytes: u64,
    modified: SystemTime,
    /// Which file it is, and when anything of it changed; a program can set `modified` back, but not this.
    #[cfg(unix)]
    unix: (u64, u64, i64, i64),
}

impl State {
    fn of(metadata: &Metadata) -> io::Result<Self> {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt;
        Ok(Self {
            bytes: metadata.len(),
            modified: metadata.modified()?,
            #[cfg(unix)]
            unix: (metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    fn changed(&self) -> SystemTime {
        #[cfg(unix)]
        return self.modified.max(SystemTime::UNIX_EPOCH + Duration::from_secs(self.unix.2.max(0).unsigned_abs()));
        #[cfg(not(unix))]
        return self.modified;
    }
}

impl KnownDigests {
    /// The digests that `file` keeps; it need not exist.
    pub(super) fn new(file: PathBuf) -> Self {
        Self { file }
    }

    /// SHA-256 of a file, 64 hexadecimal digits; read from the file only where it is small or has changed.
    pub(crate) fn sha256_of(&self, path: &Path) -> io::Result<String> {
        let path = path.canonicalize()?;
        let state = State::of(&path.metadata()?)?;
        if state.bytes < SMALLEST {
            return sha256_of(&path);
        }
        let mut all = self.read();
        let key = path.to_string_lossy().into_owned();
        if let Some(known) = all.get(&key).filter(|known| known.state == state) {
            return Ok(known.sha256.clone());
        }
        let begun = SystemTime::now();
        let sha256 = sha256_of(&path)?;
        let settled = begun.duration_since(state.changed()).is_ok_and(|age| age >= SETTLED);
        if settled && State::of(&path.metadata()?)? == state {
            all.retain(|path, _| Path::new(path).exists());
            all.insert(key, Known { state, sha256: sha256.clone() });
            if let Err(error) = self.write(&all) {
                tracing::debug!("{}: {error}; the digest is not kept", self.file.display());
            }
        }
        Ok(sha256)
    }

    /// Whatever cannot be read is hashed anew.
    fn read(&self) -> BTreeMap<String, Known> {
        fs::read(&self.file).ok().and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default()
    }

    /// Whole or not at all, since other runs read it at the same time.
    fn write(&self, all: &BTreeMap<String, Known>) -> io::Result<()> {
        let directory = self.file.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(directory)?;
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        serde_json::to_writer(&mut file, all)?;
        file.persist(&self.file)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `head -c 16777216 /dev/zero | sha256sum`
    const ZEROS: &str = "080acf35a507ac9849cfcba47dc2ad83e01b75663a516279c8b9d243b719643e";

    fn zeros(path: &Path) {
        fs::File::create(path).unwrap().set_len(SMALLEST).unwrap();
    }

    #[test]
    fn a_file_is_hashed_until_it_has_settled_and_then_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let (weights, digests) = (dir.path().join("weights"), KnownDigests::new(dir.path().join("home/digests.json")));
        zeros(&weights);
        assert_eq!(digests.sha256_of(&weights).unwrap(), ZEROS);
        assert!(digests.read().is_empty(), "the file is too new");

        std::thread::sleep(SETTLED + Duration::from_secs(1));
        assert_eq!(digests.sha256_of(&weights).unwrap(), ZEROS);
        let mut all = digests.read();
        assert_eq!(all.len(), 1);
        // What is kept is believed: nobody hashes the file again ...
        all.values_mut().for_each(|known| known.sha256 = "as kept".into());
        digests.write(&all).unwrap();
        assert_eq!(digests.sha256_of(&weights).unwrap(), "as kept");

        // ... until it changes, even if its size and its time are made to look the same.
        let modified = weights.metadata().unwrap().modified().unwrap();
        zeros(&weights);
        fs::File::options().write(true).open(&weights).unwrap().set_modified(modified).unwrap();
        assert_eq!(digests.sha256_of(&weights).unwrap(), ZEROS);
    }

    #[test]
    fn small_files_are_hashed_and_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (config, digests) = (dir.path().join("config.json"), KnownDigests::new(dir.path().join("digests.json")));
        fs::write(&config, "{}").unwrap();
        let expected = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        assert_eq!(digests.sha256_of(&config).unwrap(), expected);
        assert!(!digests.file.exists());
    }
}
