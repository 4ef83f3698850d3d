//! Frozen transformer blocks on the CPU, on `lexivid-kernels`: weights packed once, the residual stream in f32, everything
//! between two products in the layout and precision that the next one wants.
//!
//! Gradients pass through to the input (`op`); weights are constants and get none, but for the blocks that
//! `nn::trained` packs anew for every step (`weight_gradients`).

mod block;
mod cache;
mod gradient;
mod head_norms;
mod linear;
mod norm;
mod op;
mod rotary;
mod stack;
mod weight_gradients;

pub use block::{AttentionSizes, Block, Mlp};
pub use cache::Cache;
pub(super) use gradient::Kept;
pub use head_norms::HeadNorms;
pub use linear::Linear;
pub use norm::Norm;
pub use rotary::Rotary;
pub use stack::Stack;
pub(super) use weight_gradients::{WeightGradients, norm_weights_gradient};

use candle_core::{Result, Tensor};
use std::sync::Arc;

/// `linear` of `[.., in]`, with a gradient for `x`.
pub(super) fn track_linear(linear: &Arc<Linear>, x: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op1(op::LinearOp(linear.clone()))
}
