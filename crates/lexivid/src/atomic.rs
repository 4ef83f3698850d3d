//! Files that appear whole or not at all.

use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

/// A file under construction beside its place; dropped without [`File::commit`], it leaves nothing behind.
#[derive(Debug)]
pub struct File {
    file: BufWriter<tempfile::NamedTempFile>,
    path: PathBuf,
}

impl File {
    /// Begins a file that will stand at `path`, whose directory exists.
    pub fn create(path: &Path) -> io::Result<Self> {
        let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        // Temporary files are for their owner only; these become files like any other, subject to the umask.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        Ok(Self { file: BufWriter::new(builder.tempfile_in(directory)?), path: path.into() })
    }

    /// Puts it in its place, over what stands there.
    pub fn commit(self) -> io::Result<()> {
        self.file.into_inner().map_err(|e| e.into_error())?.persist(&self.path).map_err(|e| e.error)?;
        Ok(())
    }
}

impl Write for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
