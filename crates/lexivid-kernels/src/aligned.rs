use bytemuck::{Pod, Zeroable};
use std::marker::PhantomData;

/// Bytes of one line of the cache, and of one row of a tile.
pub(crate) const LINE: usize = size_of::<Line>();

#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// A buffer that begins at a multiple of 64 bytes and keeps its memory when it shrinks: fresh pages are dear.
#[derive(Debug, Clone, Default)]
pub(crate) struct Aligned<T> {
    lines: Vec<Line>,
    len: usize,
    of: PhantomData<T>,
}

impl<T: Pod> Aligned<T> {
    pub fn zeroed(len: usize) -> Self {
        let mut new = Self { lines: Vec::new(), len: 0, of: PhantomData };
        new.resize(len);
        new
    }

    /// Elements that were there keep their values; new ones are zero, or what was there before a shrinking.
    pub fn resize(&mut self, len: usize) {
        let lines = (len * size_of::<T>()).div_ceil(size_of::<Line>());
        if lines > self.lines.len() {
            self.lines.resize(lines, Line([0; 64]));
        }
        self.len = len;
    }
}

impl<T: Pod> std::ops::Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &bytemuck::cast_slice(&self.lines)[..self.len]
    }
}

impl<T: Pod> std::ops::DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.len]
    }
}
