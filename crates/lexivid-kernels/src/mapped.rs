//! Packed weights that stay on disk: the system reads what is used of them, keeps it while it has memory to spare, and shares it among processes.

use crate::aligned::Aligned;
use bytemuck::Pod;
use memmap2::Mmap;
use std::{fs::File, io, marker::PhantomData, ops::Deref, sync::Arc};

/// A file in memory.
#[derive(Debug, Clone)]
pub struct MappedFile(Arc<Mmap>);

impl MappedFile {
    /// Maps all of it. Whoever changes or shortens the file from then on changes weights, or stops the program: such files are put in their
    /// place whole, by renaming, and never written again.
    ///
    /// # Errors
    /// When the system cannot map it.
    pub fn open(file: &File) -> io::Result<Self> {
        // SAFETY: the file is not written to any more, which is the caller's to see to (above); what is read of it are numbers, any of whose bits are valid.
        Ok(Self(Arc::new(unsafe { Mmap::map(file)? })))
    }

    /// What it holds.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// `len` elements from a byte on; none where the file ends before.
    pub(crate) fn panels<T: Pod>(&self, from: usize, len: usize) -> Option<Panels<T>> {
        let end = from.checked_add(len.checked_mul(size_of::<T>())?)?;
        self.0.get(from..end)?;
        Some(Panels::File { file: self.clone(), from, len, of: PhantomData })
    }
}

/// Elements in memory, or in a file.
#[derive(Debug, Clone)]
pub(crate) enum Panels<T> {
    Memory(Aligned<T>),
    File { file: MappedFile, from: usize, len: usize, of: PhantomData<T> },
}

impl<T: Pod> Deref for Panels<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::Memory(elements) => elements,
            Self::File { file, from, len, .. } => bytemuck::cast_slice(&file.0[*from..from + len * size_of::<T>()]),
        }
    }
}

#[cfg(all(test, not(miri)))]
mod tests {
    use super::MappedFile;
    use crate::{Matrix, Precision};
    use std::io::Write;

    fn written(matrices: &[&Matrix]) -> MappedFile {
        let mut file = tempfile::tempfile().unwrap();
        for matrix in matrices {
            matrix.write(&mut file).unwrap();
        }
        file.flush().unwrap();
        MappedFile::open(&file).unwrap()
    }

    #[test]
    fn what_was_written_is_found_again() {
        let [columns, width] = [37, 45];
        let weights: Vec<f32> = (0..columns * width).map(|i| (i as f32 * 0.37).sin()).collect();
        for precision in [Precision::F32, Precision::Bf16, Precision::Int8] {
            let matrix = Matrix::pack(&weights, columns, width, precision);
            let file = written(&[&matrix, &matrix]);
            let len = Matrix::written_len(columns, width, precision);
            assert_eq!(file.bytes().len(), 2 * len, "{precision}");
            for offset in [0, len] {
                let found = Matrix::map(&file, offset, columns, width, precision).unwrap();
                let mut again = Vec::new();
                found.write(&mut again).unwrap();
                assert!(again == file.bytes()[offset..][..len], "{precision}");
                assert_eq!((found.columns(), found.width(), found.precision()), (columns, width, precision));
            }
            assert!(Matrix::map(&file, 2 * len, columns, width, precision).is_none());
            assert!(Matrix::map(&file, len + 64, columns, width, precision).is_none());
        }
    }
}
