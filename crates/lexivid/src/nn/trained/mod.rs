//! Transformer blocks, and halves of them, whose weights are trained, on the CPU: the kernels' sublayers of [`super::frozen`], packed anew for
//! every step, as operations of candle's autodiff with gradients for input and weights.
//!
//! Products are as precise as [`super::Compute`] says; weights, gradients and the residual stream are f32.

mod block;
mod layer_norm;
mod sublayer;

pub use block::TrainedBlock;
pub(super) use layer_norm::layer_norm;
pub use sublayer::TrainedSublayer;

use candle_core::{CpuStorage, Layout, Result, bail};

fn contiguous<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&values[start..end]),
        _ => bail!("a trained layer: expected contiguous f32"),
    }
}
