use crate::nn::{EncoderConfig, Scope, WeightsError};
use lexivid_kernels::{Isa, Operand, layer_norm, layer_norm_gradient, rms_norm, rms_norm_gradient};

/// Normalisation before attention and MLP.
#[derive(Debug, Clone)]
pub enum Norm {
    /// Layer normalisation.
    Layer {
        /// `[W]`.
        gain: Vec<f32>,
        /// `[W]`.
        bias: Vec<f32>,
        /// Added to the variance.
        eps: f32,
    },
    /// By the root mean square.
    Rms {
        /// `[W]`.
        gain: Vec<f32>,
        /// Added to the mean square.
        eps: f32,
    },
}

impl Norm {
    /// A layer norm: reads `weight` and `bias`.
    pub fn load(scope: &Scope, config: &EncoderConfig) -> Result<Self, WeightsError> {
        let values = |name| scope.values(name, &[config.width]);
        Ok(Norm::Layer { gain: values("weight")?, bias: values("bias")?, eps: config.layer_norm_eps as f32 })
    }

    /// Rows `[M, W]` -> the left operand of a product.
    pub fn apply(&self, isa: Isa, x: &[f32], out: &mut Operand) {
        match self {
            Norm::Layer { gain, bias, eps } => layer_norm(isa, x, gain, bias, *eps, out),
            Norm::Rms { gain, eps } => rms_norm(isa, x, gain, *eps, out),
        }
    }

    /// Adds to `dx` what passes through of `dy`; `x`, `dy`, `dx`: `[M, W]`.
    pub fn gradient(&self, isa: Isa, x: &[f32], dy: &[f32], dx: &mut [f32]) {
        match self {
            Norm::Layer { gain, eps, .. } => layer_norm_gradient(isa, x, dy, gain, *eps, dx),
            Norm::Rms { gain, eps } => rms_norm_gradient(isa, x, dy, gain, *eps, dx),
        }
    }
}
