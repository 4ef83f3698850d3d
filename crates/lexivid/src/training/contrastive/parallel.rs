//! One thread a core, each with its part of the batch: candle's element-wise operations use one thread only.

use crate::training::TrainingError;
use rayon::prelude::*;
use std::ops::Range;

/// Parts that a batch is always cut into, whatever the number of cores, so that sums do not depend on the machine.
const PARTS: usize = 2;

/// `0..size` in parts of (nearly) the same size.
pub fn parts(size: usize) -> Vec<Range<usize>> {
    (0..PARTS).map(|i| size * i / PARTS..size * (i + 1) / PARTS).filter(|part| !part.is_empty()).collect()
}

/// `work` on every item, results in order.
pub fn each<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<R, TrainingError> + Sync + Send,
) -> Result<Vec<R>, TrainingError> {
    items.par_iter().map(work).collect()
}
