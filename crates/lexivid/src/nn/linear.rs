use super::{Scope, WeightsError, frozen, values};
use candle_core::{Device, Result, Tensor};
use std::sync::Arc;

/// y = x W^T + b.
#[derive(Debug, Clone)]
pub struct Linear(Weight);

#[derive(Debug, Clone)]
enum Weight {
    /// Differentiable, on any device.
    Tensors {
        /// W^T, `[in, out]`, transposed once so that batches are one plain matrix product.
        weight: Tensor,
        /// b, `[out]`.
        bias: Option<Tensor>,
    },
    /// Constant, packed, on the CPU.
    Frozen(Arc<frozen::Linear>),
}

impl Linear {
    /// Reads `weight` `[output, input]` and `bias` `[output]`.
    pub fn load(scope: &Scope, input: usize, output: usize) -> std::result::Result<Self, WeightsError> {
        let weight = scope.tensor("weight", &[output, input])?;
        Ok(Self::new(&weight, Some(scope.tensor("bias", &[output])?), scope)?)
    }

    /// Reads `weight` `[output, input]`; there is no bias.
    pub fn load_without_bias(scope: &Scope, input: usize, output: usize) -> std::result::Result<Self, WeightsError> {
        Ok(Self::new(&scope.tensor("weight", &[output, input])?, None, scope)?)
    }

    /// From W `[out, in]` and b `[out]`, for the scope's device, and for training if the scope is.
    pub fn new(weight: &Tensor, bias: Option<Tensor>, scope: &Scope) -> Result<Self> {
        Ok(Self(match &scope.compute().device {
            Device::Cpu if !scope.is_trainable() => {
                Weight::Frozen(frozen::Linear::new(weight, bias.as_ref(), scope.compute())?.into())
            }
            _ => Weight::Tensors { weight: weight.t()?, bias },
        }))
    }

    /// The packed weights, on the CPU.
    pub fn frozen(&self) -> Option<&frozen::Linear> {
        match &self.0 {
            Weight::Frozen(linear) => Some(linear),
            Weight::Tensors { .. } => None,
        }
    }

    /// `[.., in]` -> `[.., out]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut shape = x.dims().to_vec();
        match &self.0 {
            Weight::Tensors { weight, bias } => {
                let (input, output) = weight.dims2()?;
                *shape.last_mut().expect("at least one dimension") = output;
                // One product over all rows: candle would broadcast W over the batch, a copy for every entry.
                let y = x.reshape(((), input))?.matmul(weight)?.reshape(shape)?;
                match bias {
                    Some(bias) => y.broadcast_add(bias),
                    None => Ok(y),
                }
            }
            Weight::Frozen(linear) if x.track_op() => frozen::track_linear(linear, x),
            Weight::Frozen(linear) => {
                *shape.last_mut().expect("at least one dimension") = linear.weight.columns();
                Tensor::from_vec(linear.rows(&values(x)?), shape, x.device())
            }
        }
    }
}
