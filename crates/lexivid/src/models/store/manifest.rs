use std::{collections::BTreeMap, io, path::Path};

/// What a model that was assembled on this machine records of its files.
#[derive(serde::Deserialize)]
pub(super) struct Manifest {
    /// File, relative to the model's directory with `/` between parts -> SHA-256, 64 hexadecimal digits.
    pub(super) files: BTreeMap<String, String>,
}

impl Manifest {
    /// The manifest's name in a model's directory.
    pub(super) const FILE: &str = "manifest.json";

    /// Reads the manifest of `dir`; `None` if there is none.
    pub(super) fn read(dir: &Path) -> io::Result<Option<Self>> {
        match std::fs::read_to_string(dir.join(Self::FILE)) {
            Ok(json) => Ok(Some(serde_json::from_str(&json)?)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }
}
