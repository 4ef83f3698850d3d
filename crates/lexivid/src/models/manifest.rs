//! The record of a model that was assembled on this machine.

use super::digest::sha256_of;
use std::{collections::BTreeMap, fs, io, path::Path};

/// What an assembled model consists of.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Manifest {
    /// Layout of the directory; every kind of model counts its own.
    pub(super) version: u32,
    /// File, relative to the model's directory with `/` between parts -> SHA-256, 64 hexadecimal digits.
    pub(super) files: BTreeMap<String, String>,
}

impl Manifest {
    /// The manifest's name in a model's directory.
    pub(super) const FILE: &str = "manifest.json";

    /// Reads the manifest of `dir`; `None` if there is none.
    pub(super) fn read(dir: &Path) -> io::Result<Option<Self>> {
        match fs::read_to_string(dir.join(Self::FILE)) {
            Ok(json) => Ok(Some(serde_json::from_str(&json)?)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Records all files below `dir`, and writes the record there.
    pub(super) fn write(dir: &Path, version: u32) -> io::Result<()> {
        let mut files = BTreeMap::new();
        record(dir, "", &mut files)?;
        fs::write(dir.join(Self::FILE), serde_json::to_vec_pretty(&Self { version, files })?)
    }
}

/// Adds the files below `dir` to `files`, their names behind `prefix`.
fn record(dir: &Path, prefix: &str, files: &mut BTreeMap<String, String>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = format!("{prefix}{}", path.file_name().unwrap_or_default().to_string_lossy());
        match path.is_dir() {
            true => record(&path, &format!("{name}/"), files)?,
            false => {
                files.insert(name, sha256_of(&path)?);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_files_in_all_directories() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Manifest::read(dir.path()).unwrap(), None);
        fs::create_dir(dir.path().join("LICENSES")).unwrap();
        fs::write(dir.path().join("weights"), "abc").unwrap();
        fs::write(dir.path().join("LICENSES/mit.txt"), "hello\n").unwrap();
        Manifest::write(dir.path(), 3).unwrap();
        let manifest = Manifest::read(dir.path()).unwrap().unwrap();
        assert_eq!(manifest.version, 3);
        let digests = [
            ("LICENSES/mit.txt", "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"),
            ("weights", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ];
        assert_eq!(manifest.files, digests.map(|(file, digest)| (file.to_owned(), digest.to_owned())).into());
    }
}
