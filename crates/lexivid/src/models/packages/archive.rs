//! Members of zip files and gzipped tar files.

use super::ModelError;
use flate2::read::GzDecoder;
use std::{
    fmt::Display,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};
use zip::{ZipArchive, result::ZipError};

/// An opened and checked package.
pub(crate) struct Archive {
    /// The package.
    name: &'static str,
    format: Format,
}

enum Format {
    Zip(ZipArchive<File>),
    /// Read anew for every member: it has no index.
    TarGz(PathBuf),
}

impl Archive {
    pub(super) fn zip(name: &'static str, path: &Path) -> Result<Self, ZipError> {
        Ok(Self { name, format: Format::Zip(ZipArchive::new(File::open(path)?)?) })
    }

    pub(super) fn tar_gz(name: &'static str, path: PathBuf) -> Self {
        Self { name, format: Format::TarGz(path) }
    }

    /// Writes the only member whose path ends with `suffix` to `to`.
    pub fn extract(&mut self, suffix: &str, to: &Path) -> Result<(), ModelError> {
        let what = format!("{suffix} of {}", self.name);
        let failed = |reason: &dyn Display| ModelError::Fetch { what: what.clone(), reason: reason.to_string() };
        let found = match &mut self.format {
            Format::Zip(archive) => extract_from_zip(archive, suffix, to).map_err(|e| failed(&e))?,
            Format::TarGz(archive) => extract_from_tar(archive, suffix, to).map_err(|e| failed(&e))?,
        };
        match found.len() {
            1 => Ok(()),
            _ => Err(failed(&format!("expected one such file in the package, got {found:?}"))),
        }
    }

    /// Text of the only member whose path ends with `suffix`.
    pub fn text(&mut self, suffix: &str, scratch: &Path) -> Result<String, ModelError> {
        let path = scratch.join("member");
        self.extract(suffix, &path)?;
        fs::read_to_string(&path).map_err(|e| ModelError::BadFile { path, reason: e.to_string() })
    }
}

/// Names of the members that end with `suffix`; the only one is written to `to`.
fn extract_from_zip(archive: &mut ZipArchive<File>, suffix: &str, to: &Path) -> Result<Vec<String>, ZipError> {
    let names = archive.file_names().map(|name| Ok(name?.into_owned())).collect::<Result<Vec<_>, ZipError>>()?;
    let names: Vec<String> = names.into_iter().filter(|name| name.ends_with(suffix)).collect();
    if let [name] = names.as_slice() {
        io::copy(&mut archive.by_name(name)?, &mut File::create(to)?)?;
    }
    Ok(names)
}

/// Names of the files that end with `suffix`; the last one is written to `to`.
fn extract_from_tar(archive: &Path, suffix: &str, to: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for member in tar::Archive::new(GzDecoder::new(File::open(archive)?)).entries()? {
        let mut member = member?;
        let name = member.path()?.to_string_lossy().into_owned();
        if member.header().entry_type().is_file() && name.ends_with(suffix) {
            io::copy(&mut member, &mut File::create(to)?)?;
            names.push(name);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};

    #[test]
    fn the_only_member_of_that_name_is_read() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("package.tar.gz");
        let mut builder = tar::Builder::new(GzEncoder::new(File::create(&path).expect("creates"), Compression::fast()));
        for (name, contents) in [("p-1/LICENSE", "free"), ("p-1/a/weights", "abc"), ("p-1/b/weights", "def")] {
            let mut header = tar::Header::new_gnu();
            header.set_size(contents.len() as u64);
            builder.append_data(&mut header, name, contents.as_bytes()).expect("appends");
        }
        builder.into_inner().and_then(GzEncoder::finish).expect("finishes");

        let mut archive = Archive::tar_gz("p", path);
        assert_eq!(archive.text("/LICENSE", dir.path()).expect("is there"), "free");
        assert_eq!(archive.text("/b/weights", dir.path()).expect("is there"), "def");
        for suffix in ["/weights", "/nothing"] {
            let message = archive.text(suffix, dir.path()).expect_err("two, none").to_string();
            assert!(message.contains("expected one such file"), "{message}");
        }
    }
}
