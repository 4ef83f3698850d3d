//! Beneath every room: pieces that several networks share, and the reading of weights. Knows no room.
//!
//! Networks exist twice: as differentiable tensor operations on any device, and, for the CPU, on `lexivid-kernels`: frozen
//! ([`frozen`]), with gradients for their inputs only, or to be trained (`trained`). candle's `LayerNorm::forward` and `softmax_last_dim` are not used: they have
//! no backward and say nothing.

mod activation;
mod attention;
mod compute;
mod layer_norm;
mod linear;
mod mlp;
mod packed;
mod residual;
mod sublayer;
mod transformer;
mod weights;

pub use activation::Activation;
pub use attention::{Attention, attend};
pub use compute::Compute;
#[cfg(test)]
pub(crate) use compute::on_every_path;
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use mlp::Mlp;
pub(crate) use packed::Packed;
pub use residual::{Residual, ResidualConfig};
pub use sublayer::{AttentionSublayer, MlpSublayer};
#[cfg(test)]
pub(crate) use transformer::EncoderBlock;
pub(crate) use transformer::causal_mask;
pub use transformer::{Encoder, EncoderConfig, SelfMask};
pub use weights::{Scope, Start, Weights, WeightsError};
pub(crate) use weights::{shard_names, weight_files};

pub mod cholesky;
pub mod frozen;
pub mod numpy_pickle;
#[cfg(test)]
pub(crate) mod pseudo_random;
pub mod torch_legacy;
mod trained;

use candle_core::{D, Result, Tensor};

/// All values of a tensor on the CPU, row-major.
fn values(x: &Tensor) -> Result<Vec<f32>> {
    x.flatten_all()?.to_vec1()
}

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
