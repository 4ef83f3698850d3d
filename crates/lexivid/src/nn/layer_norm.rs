use super::{Scope, WeightsError};
use candle_core::{D, Result, Tensor};

/// Layer normalisation over the last dimension (Ba, Kiros, Hinton, arXiv 1607.06450).
#[derive(Debug, Clone)]
pub struct LayerNorm {
    /// Gain, `[W]`.
    weight: Tensor,
    /// `[W]`.
    bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    /// Reads `weight` and `bias`, both `[width]`.
    pub fn load(scope: &Scope, width: usize, eps: f64) -> std::result::Result<Self, WeightsError> {
        Ok(Self { weight: scope.tensor("weight", &[width])?, bias: scope.tensor("bias", &[width])?, eps })
    }

    /// `[.., W]` -> `[.., W]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        let variance = centred.sqr()?.mean_keepdim(D::Minus1)?; // [.., 1]
        let normalised = centred.broadcast_div(&(variance + self.eps)?.sqrt()?)?;
        normalised.broadcast_mul(&self.weight)?.broadcast_add(&self.bias)
    }
}
