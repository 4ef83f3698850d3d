//! One file a model: its label embeddings as rows of little-endian f32, `[R, D]`, without a header.

use super::DatabaseError;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// Rows that are read at once: a whole vocabulary is few reads, and memory stays bounded.
const ROWS_AT_ONCE: usize = 4096;

pub struct MatrixFile {
    path: PathBuf,
    row_bytes: usize,
}

impl MatrixFile {
    /// `dimension` (D) is at least 1.
    pub fn of(directory: &Path, model: &str, dimension: usize) -> Self {
        Self { path: directory.join(format!("{model}.f32")), row_bytes: 4 * dimension }
    }

    /// Writes whole rows from row `first` on. They are on disk when this returns.
    pub fn write(&self, first: u64, rows: &[u8]) -> Result<(), DatabaseError> {
        let write = || -> io::Result<()> {
            let is_new = !self.path.exists();
            if let (true, Some(directory)) = (is_new, self.path.parent()) {
                fs::create_dir_all(directory)?;
            }
            let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(&self.path)?;
            file.seek(SeekFrom::Start(first * self.row_bytes as u64))?;
            file.write_all(rows)?;
            file.sync_data()?;
            // A new file outlives a power cut only once its directory is on disk, and that one's directory.
            for directory in self.path.ancestors().skip(1).take(if is_new { 2 } else { 0 }) {
                File::open(directory)?.sync_all()?;
            }
            Ok(())
        };
        write().map_err(|source| self.error(source))
    }

    /// Calls `each` with the place in `rows` and the bytes of every row that the file has; `rows` ascend.
    pub fn read(&self, rows: &[u64], mut each: impl FnMut(usize, &[u8])) -> Result<(), DatabaseError> {
        let mut file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            file => file.map_err(|source| self.error(source))?,
        };
        let (mut buffer, mut at) = (Vec::new(), 0);
        for run in rows.chunk_by(|a, b| a + 1 == *b).flat_map(|run| run.chunks(ROWS_AT_ONCE)) {
            let mut read = || -> io::Result<()> {
                file.seek(SeekFrom::Start(run[0] * self.row_bytes as u64))?;
                buffer.clear();
                Read::by_ref(&mut file).take((run.len() * self.row_bytes) as u64).read_to_end(&mut buffer)?;
                Ok(())
            };
            read().map_err(|source| self.error(source))?;
            for (i, bytes) in buffer.chunks_exact(self.row_bytes).enumerate() {
                each(at + i, bytes);
            }
            at += run.len();
        }
        Ok(())
    }

    fn error(&self, source: io::Error) -> DatabaseError {
        DatabaseError::Matrix { path: self.path.clone(), source }
    }
}
