//! Beneath every room: pieces that several networks share, and the reading of weights. Knows no room.
//!
//! Everything here is made of differentiable tensor operations: gradients pass through frozen towers to learned inputs.
//! candle's `LayerNorm::forward` and `softmax_last_dim` would be silent gaps, they have no backward. They would save
//! about a tenth of the time of ViT-B/16 (8 pictures, summed over its operations).

mod activation;
mod attention;
mod layer_norm;
mod linear;
mod mlp;
mod transformer;
mod weights;

pub use activation::Activation;
pub use attention::{Attention, attend};
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use mlp::Mlp;
pub use transformer::{Encoder, EncoderBlock, EncoderConfig};
pub use weights::{Scope, Weights, WeightsError};
pub(crate) use weights::{shard_names, weight_files};

pub mod cholesky;
#[cfg(test)]
pub(crate) mod pseudo_random;
pub mod torch_legacy;

use candle_core::{D, Result, Tensor};

/// Rows of `[B, F]` divided by their lengths; a zero row stays zero.
pub fn unit_rows(x: &Tensor) -> Result<Tensor> {
    x.broadcast_div(&x.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?.maximum(f64::from(f32::MIN_POSITIVE))?)
}

/// `x / |x|`; a zero vector stays zero.
pub fn l2_normalised(mut x: Vec<f32>) -> Vec<f32> {
    let norm = x.iter().map(|v| v * v).sum::<f32>().sqrt();
    if norm > 0.0 {
        x.iter_mut().for_each(|v| *v /= norm);
    }
    x
}
