use super::digest::sha256_of;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, io, path::Path};

/// SHA-256 of every file of a model that was assembled on this machine; written when it was, read by `verify`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// File, relative to the model's directory with `/` between parts -> SHA-256, 64 hexadecimal digits.
    pub files: BTreeMap<String, String>,
}

impl Manifest {
    /// The manifest's name in a model's directory.
    pub const FILE: &str = "lexivid-manifest.json";

    /// Hashes `files`, relative to `dir`.
    pub fn of<'a>(dir: &Path, files: impl IntoIterator<Item = &'a str>) -> io::Result<Self> {
        let files = files.into_iter().map(|f| Ok((f.into(), sha256_of(&dir.join(f))?))).collect::<io::Result<_>>()?;
        Ok(Self { files })
    }

    /// Reads the manifest of `dir`; `None` if there is none.
    pub fn read(dir: &Path) -> io::Result<Option<Self>> {
        match std::fs::read_to_string(dir.join(Self::FILE)) {
            Ok(json) => Ok(Some(serde_json::from_str(&json)?)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Writes the manifest into `dir`.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        std::fs::write(dir.join(Self::FILE), serde_json::to_string_pretty(self)?)
    }
}
