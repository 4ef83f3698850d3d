//! `--trace`: when every span of the library ran, and on which thread, in Chrome's trace format.

use anyhow::Context;
use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};
use tracing_chrome::{ChromeLayer, ChromeLayerBuilder, FlushGuard};
use tracing_subscriber::Registry;

/// What writes the spans to `path`; the file is whole once the guard is dropped.
pub fn layer(path: &Path) -> anyhow::Result<(ChromeLayer<Registry>, FlushGuard)> {
    let file = File::create(path).with_context(|| path.display().to_string())?;
    let file = TraceFile { file: Some(file), path: path.into() };
    Ok(ChromeLayerBuilder::new().writer(file).include_locations(false).build())
}

/// tracing-chrome panics where it cannot write. A full disk costs the rest of the trace, and nothing else.
struct TraceFile {
    /// Until writing to it failed.
    file: Option<File>,
    path: PathBuf,
}

impl Write for TraceFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.file.as_mut().map(|file| file.write(bytes)) {
            Some(Ok(written)) => return Ok(written),
            Some(Err(error)) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Some(Err(error)) => {
                // Not through `tracing`: this is called by what listens to it.
                eprintln!("warning: {}: {error}; the trace ends here", self.path.display());
                self.file = None;
            }
            None => {}
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
