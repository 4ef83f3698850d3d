use super::{Activation, Linear, Scope, WeightsError};
use candle_core::{Result, Tensor};

/// Size of a residual head.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResidualConfig {
    /// Width between the two layers.
    pub hidden: usize,
    /// What the head's output is multiplied by.
    #[serde(default = "tenth")]
    pub scale: f64,
}

fn tenth() -> f64 {
    0.1
}

/// x + scale * W_2 GELU(W_1 x + b_1) + scale * b_2: a correction of embeddings that begins as none, since the second layer begins at 0
/// (FROSTER, Huang et al., arXiv 2402.03241).
#[derive(Debug, Clone)]
pub struct Residual {
    fc1: Linear,
    fc2: Linear,
    scale: f64,
}

impl Residual {
    /// Reads `fc1` (`width` -> hidden) and `fc2` (back).
    pub fn load(scope: &Scope, width: usize, config: ResidualConfig) -> std::result::Result<Self, WeightsError> {
        Ok(Self {
            fc1: Linear::load(&scope.enter("fc1"), width, config.hidden)?,
            fc2: Linear::load(&scope.enter("fc2"), config.hidden, width)?,
            scale: config.scale,
        })
    }

    /// `[B, W]` -> `[B, W]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let correction = self.fc2.forward(&Activation::Gelu.forward(&self.fc1.forward(x)?)?)?;
        x + (correction * self.scale)?
    }
}
