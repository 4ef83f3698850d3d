use super::{Scope, WeightsError};
use candle_core::{Result, Tensor};

/// y = x W^T + b.
#[derive(Debug, Clone)]
pub struct Linear {
    /// W^T, `[in, out]`, transposed once so that batches are one plain matrix product.
    weight: Tensor,
    /// b, `[out]`.
    bias: Option<Tensor>,
}

impl Linear {
    /// From W `[out, in]` and b `[out]`.
    pub fn new(weight: &Tensor, bias: Option<Tensor>) -> Result<Self> {
        Ok(Self { weight: weight.t()?, bias })
    }

    /// Reads `weight` `[output, input]` and `bias` `[output]`.
    pub fn load(scope: &Scope, input: usize, output: usize) -> std::result::Result<Self, WeightsError> {
        Ok(Self::new(&scope.tensor("weight", &[output, input])?, Some(scope.tensor("bias", &[output])?))?)
    }

    /// Reads `weight` `[output, input]`; there is no bias.
    pub fn load_without_bias(scope: &Scope, input: usize, output: usize) -> std::result::Result<Self, WeightsError> {
        Ok(Self::new(&scope.tensor("weight", &[output, input])?, None)?)
    }

    /// `[.., in]` -> `[.., out]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (input, output) = self.weight.dims2()?;
        let mut shape = x.dims().to_vec();
        if let Some(last) = shape.last_mut() {
            *last = output;
        }
        // One product over all rows: candle would broadcast W over the batch, a copy for every entry.
        let y = x.reshape(((), input))?.matmul(&self.weight)?.reshape(shape)?;
        match &self.bias {
            Some(bias) => y.broadcast_add(bias),
            None => Ok(y),
        }
    }
}
