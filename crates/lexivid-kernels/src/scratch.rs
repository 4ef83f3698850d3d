use crate::aligned::Aligned;
use bytemuck::Pod;
use std::cell::RefCell;

thread_local! {
    /// Of the task that runs in this thread, kept from one to the next: fresh pages are dear.
    pub(crate) static SCRATCH: RefCell<Aligned<u8>> = RefCell::new(Aligned::zeroed(0));
}

/// Cuts slices off a scratch buffer; each begins at a multiple of 64 bytes.
pub(crate) struct Cut<'a>(pub &'a mut [u8]);

impl<'a> Cut<'a> {
    pub fn bytes<T: Pod>(len: usize) -> usize {
        (len * size_of::<T>()).next_multiple_of(64)
    }

    pub fn off<T: Pod>(&mut self, len: usize) -> &'a mut [T] {
        let (cut, rest) = std::mem::take(&mut self.0).split_at_mut(Self::bytes::<T>(len));
        self.0 = rest;
        &mut bytemuck::cast_slice_mut(cut)[..len]
    }
}
