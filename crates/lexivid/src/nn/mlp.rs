use super::{Activation, Linear, Scope, WeightsError};
use candle_core::{Result, Tensor};

/// Two linear layers with an activation between them.
#[derive(Debug, Clone)]
pub struct Mlp {
    fc1: Linear,
    activation: Activation,
    fc2: Linear,
}

impl Mlp {
    /// Reads `fc1` (`width` -> `hidden`) and `fc2` (back).
    pub fn load(
        scope: &Scope,
        width: usize,
        hidden: usize,
        activation: Activation,
    ) -> std::result::Result<Self, WeightsError> {
        Ok(Self {
            fc1: Linear::load(&scope.enter("fc1"), width, hidden)?,
            activation,
            fc2: Linear::load(&scope.enter("fc2"), hidden, width)?,
        })
    }

    /// `[.., W]` -> `[.., W]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.fc2.forward(&self.activation.forward(&self.fc1.forward(x)?)?)
    }
}
