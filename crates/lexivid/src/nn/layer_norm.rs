use super::{Scope, WeightsError, trained, values};
use candle_core::{D, Device, Result, Tensor};
use lexivid_kernels::{Isa, layer_norm_rows};

/// Layer normalisation over the last dimension (Ba, Kiros, Hinton, arXiv 1607.06450).
#[derive(Debug, Clone)]
pub struct LayerNorm {
    /// Gain, `[W]`.
    weight: Tensor,
    /// `[W]`.
    bias: Tensor,
    eps: f64,
    isa: Isa,
}

impl LayerNorm {
    /// Reads `weight` and `bias`, both `[width]`.
    pub fn load(scope: &Scope, width: usize, eps: f64) -> std::result::Result<Self, WeightsError> {
        let (weight, bias) = (scope.tensor("weight", &[width])?, scope.tensor("bias", &[width])?);
        Ok(Self { weight, bias, eps, isa: scope.compute().isa })
    }

    /// `[.., W]` -> `[.., W]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if matches!(x.device(), Device::Cpu) && !x.track_op() && !self.weight.track_op() {
            let mut rows = values(x)?;
            self.rows(&mut rows)?;
            return Tensor::from_vec(rows, x.shape(), x.device());
        }
        if matches!(x.device(), Device::Cpu) && self.weight.track_op() {
            return trained::layer_norm(x, &self.weight, &self.bias, self.eps, self.isa);
        }
        let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        let variance = centred.sqr()?.mean_keepdim(D::Minus1)?; // [.., 1]
        let normalised = centred.broadcast_div(&(variance + self.eps)?.sqrt()?)?;
        normalised.broadcast_mul(&self.weight)?.broadcast_add(&self.bias)
    }

    /// Rows `[M, W]`, in place, on the CPU.
    pub fn rows(&self, x: &mut [f32]) -> Result<()> {
        layer_norm_rows(self.isa, x, &self.weight.to_vec1()?, &self.bias.to_vec1()?, self.eps as f32);
        Ok(())
    }
}
