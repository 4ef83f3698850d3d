//! Packed matrices of a network, kept on disk between runs: mapping them takes milliseconds, reading and packing them anew most of a start.

use crate::atomic;
use lexivid_kernels::{MappedFile, Matrix, Precision};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// How they lie in the file; changes with [`Matrix`]'s layout, too.
const LAYOUT: u32 = 1;
/// Ends every file, after the length of the index.
const END: &[u8; 8] = b"lexipack";

/// What the file holds. It stands behind the matrices.
#[derive(Debug, Serialize, Deserialize)]
struct Index {
    layout: u32,
    /// What the matrices were packed from: whatever changes when they do.
    of: String,
    /// The files that they were packed from. Where these are gone, nobody needs the matrices.
    source: PathBuf,
    /// Of all matrices: where the index begins.
    bytes: usize,
    matrices: BTreeMap<String, Place>,
}

/// A matrix in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    offset: usize,
    columns: usize,
    width: usize,
    bits: usize,
}

/// The file of one network.
#[derive(Debug)]
pub(crate) struct Packed {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// From an earlier run.
    Kept { file: MappedFile, index: Index },
    /// This run writes it.
    New { file: atomic::File, index: Index },
    /// It cannot be written, or has been put in its place.
    Closed,
}

impl Packed {
    /// What `directory`, which is made where it is missing, keeps as `name`, if that was packed `of` the same; or else a new file in its place. `source` is the directory with the weights.
    pub fn open(directory: &Path, name: &str, source: &Path, of: &str) -> Self {
        let path = directory.join(name);
        let index = Index { layout: LAYOUT, of: of.into(), source: source.into(), bytes: 0, matrices: BTreeMap::new() };
        let state = match read(&path) {
            Ok((file, kept)) if (kept.layout, kept.of.as_str()) == (LAYOUT, of) => State::Kept { file, index: kept },
            _ => match fs::create_dir_all(directory).and_then(|()| atomic::File::create(&path)) {
                Ok(file) => State::New { file, index },
                Err(error) => {
                    tracing::debug!("{}: {error}; packed weights are not kept", path.display());
                    State::Closed
                }
            },
        };
        Self { path, state: Mutex::new(state) }
    }

    /// The matrix `name` as it is kept; or as `pack` makes it, and then it is kept.
    pub fn matrix<E>(
        &self,
        name: String,
        (columns, width): (usize, usize),
        precision: Precision,
        pack: impl FnOnce() -> Result<Matrix, E>,
    ) -> Result<Matrix, E> {
        let bits = match precision {
            Precision::F32 => 32,
            Precision::Bf16 => 16,
            Precision::Int8 => 8,
        };
        if let State::Kept { file, index } = &*self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            let place = index.matrices.get(&name);
            let place = place.filter(|place| (place.columns, place.width, place.bits) == (columns, width, bits));
            if let Some(matrix) = place.and_then(|p| Matrix::map(file, p.offset, columns, width, precision)) {
                return Ok(matrix);
            }
        }
        let matrix = pack()?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::New { file, index } = &mut *state {
            match matrix.write(file) {
                Ok(()) => {
                    index.matrices.insert(name, Place { offset: index.bytes, columns, width, bits });
                    index.bytes += Matrix::written_len(columns, width, precision);
                }
                Err(error) => {
                    tracing::debug!("{}: {error}; packed weights are not kept", self.path.display());
                    *state = State::Closed;
                }
            }
        }
        Ok(matrix)
    }

    /// Puts a new file in its place, and takes away those whose weights are gone.
    pub fn keep(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::Kept { .. }) {
            return;
        }
        if let State::New { file, index } = std::mem::replace(&mut *state, State::Closed) {
            let directory = self.path.parent().unwrap_or(Path::new("."));
            if let Err(error) = finish(file, &index).and_then(|()| sweep(directory)) {
                tracing::debug!("{}: {error}; packed weights may not be kept", self.path.display());
            }
        }
    }
}

fn finish(mut file: atomic::File, index: &Index) -> io::Result<()> {
    let json = serde_json::to_vec(index)?;
    file.write_all(&json)?;
    file.write_all(&(json.len() as u64).to_le_bytes())?;
    file.write_all(END)?;
    file.commit()
}

/// Everything that is not such a file is an error, and none of it is believed.
fn read(path: &Path) -> io::Result<(MappedFile, Index)> {
    let bad = || io::Error::new(io::ErrorKind::InvalidData, "no packed weights");
    let file = MappedFile::open(&File::open(path)?)?;
    let rest = file.bytes().strip_suffix(END).ok_or_else(bad)?;
    let (rest, length) = rest.split_last_chunk::<8>().ok_or_else(bad)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| bad())?;
    let start = rest.len().checked_sub(length).ok_or_else(bad)?;
    let index: Index = serde_json::from_slice(&rest[start..])?;
    let mut places = index.matrices.values();
    match index.bytes == start && places.all(|place| place.offset.is_multiple_of(64)) {
        true => Ok((file, index)),
        false => Err(bad()),
    }
}

/// Takes away the files in `directory` whose weights are gone.
fn sweep(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if read(&path).is_ok_and(|(_, index)| !index.source.exists()) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    const PRECISION: Precision = Precision::Bf16;

    fn pack() -> Result<Matrix, Infallible> {
        Ok(Matrix::pack(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2, 3, PRECISION))
    }

    fn bytes(matrix: &Matrix) -> Vec<u8> {
        let mut bytes = Vec::new();
        matrix.write(&mut bytes).unwrap();
        bytes
    }

    /// Whether both matrices were there without packing them; new ones are kept.
    fn finds(directory: &Path, source: &Path, of: &str) -> bool {
        let packed = Packed::open(directory, "image-bf16", source, of);
        let mut found = true;
        for name in ["a", "b"] {
            let matrix = packed.matrix(name.into(), (2, 3), PRECISION, || {
                found = false;
                pack()
            });
            assert!(bytes(&matrix.unwrap()) == bytes(&pack().unwrap()), "{name}");
        }
        packed.keep();
        found
    }

    #[test]
    fn matrices_are_packed_once_as_long_as_what_they_are_packed_from_stays() {
        let (directory, source) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let directory = directory.path().join("packed");
        assert!(!finds(&directory, source.path(), "one"));
        assert!(finds(&directory, source.path(), "one"));
        assert!(!finds(&directory, source.path(), "another"));
        assert!(finds(&directory, source.path(), "another"));
        // Another shape is packed, as if nothing were there.
        let packed = Packed::open(&directory, "image-bf16", source.path(), "another");
        let other = packed
            .matrix("a".into(), (3, 2), PRECISION, || Ok::<_, Infallible>(Matrix::pack(&[0.0; 6], 3, 2, PRECISION)));
        assert_eq!(other.unwrap().columns(), 3);
    }

    #[test]
    fn damaged_files_are_written_anew() {
        let (directory, source) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        finds(directory.path(), source.path(), "one");
        let path = directory.path().join("image-bf16");
        let whole = fs::read(&path).unwrap();
        for damaged in [Vec::new(), whole[..whole.len() - 1].to_vec(), whole[64..].to_vec(), b"lexipack".to_vec()] {
            // By renaming, as files that may be mapped are replaced.
            let mut file = atomic::File::create(&path).unwrap();
            file.write_all(&damaged).unwrap();
            file.commit().unwrap();
            assert!(!finds(directory.path(), source.path(), "one"), "{} bytes", damaged.len());
            assert!(finds(directory.path(), source.path(), "one"));
        }
    }

    #[test]
    fn matrices_of_weights_that_are_gone_go_too() {
        let (directory, source) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        finds(directory.path(), source.path(), "one");
        fs::rename(directory.path().join("image-bf16"), directory.path().join("old")).unwrap();
        let other = directory.path().join("something else");
        fs::write(&other, "of somebody's").unwrap();
        drop(source);
        let source = tempfile::tempdir().unwrap();
        finds(directory.path(), source.path(), "two");
        assert!(!directory.path().join("old").exists());
        assert!(other.exists());
    }

    #[test]
    fn where_nothing_can_be_written_matrices_are_packed_all_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a file");
        fs::write(&file, "").unwrap();
        assert!(!finds(&file.join("packed"), directory.path(), "one"));
        assert!(!finds(&file.join("packed"), directory.path(), "one"));
    }
}
