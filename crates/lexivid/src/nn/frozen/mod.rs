//! Frozen transformer blocks on the CPU, on `lexivid-kernels`: weights packed once, the residual stream in f32, everything
//! between two products in the layout and precision that the next one wants.
//!
//! Gradients pass through to the input (`op`); weights are constants and get none, but for the halves of blocks that
//! `nn::trained` packs anew for every step (`weight_gradients`).

mod attention;
mod block;
mod linear;
mod mlp;
mod norm;
mod op;
mod rotary;
mod stack;
mod weight_gradients;

pub use attention::{AttentionSizes, AttentionSublayer, KeptAttention};
pub use block::{Block, Kept, Workspace};
pub use linear::Linear;
pub use mlp::{KeptMlp, Mlp, MlpSublayer};
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
