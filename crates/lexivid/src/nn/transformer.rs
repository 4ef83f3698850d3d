use super::{Activation, Attention, LayerNorm, Mlp, Scope, WeightsError};
use candle_core::{Result, Tensor};

/// Sizes of a stack of transformer blocks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EncoderConfig {
    /// W.
    pub width: usize,
    /// L, the number of blocks.
    pub layers: usize,
    /// Attention heads; divides `width`.
    pub heads: usize,
    /// Width inside the MLPs.
    pub mlp_width: usize,
    /// Activation of the MLPs.
    pub activation: Activation,
    /// Epsilon of every layer norm.
    pub layer_norm_eps: f64,
}

/// One pre-norm block: x + attention(norm(x)), then x + mlp(norm(x)).
#[derive(Debug, Clone)]
pub struct EncoderBlock {
    norm1: LayerNorm,
    attention: Attention,
    norm2: LayerNorm,
    mlp: Mlp,
}

impl EncoderBlock {
    /// Reads `layer_norm1`, `self_attn`, `layer_norm2` and `mlp`.
    pub fn load(scope: &Scope, config: &EncoderConfig) -> std::result::Result<Self, WeightsError> {
        let &EncoderConfig { width, heads, mlp_width, activation, layer_norm_eps, .. } = config;
        Ok(Self {
            norm1: LayerNorm::load(&scope.enter("layer_norm1"), width, layer_norm_eps)?,
            attention: Attention::load(&scope.enter("self_attn"), width, heads)?,
            norm2: LayerNorm::load(&scope.enter("layer_norm2"), width, layer_norm_eps)?,
            mlp: Mlp::load(&scope.enter("mlp"), width, mlp_width, activation)?,
        })
    }

    /// `x`: `[B, S, W]`; `mask` broadcastable to `[B, H, S, S]`. Returns `[B, S, W]`.
    pub fn forward(&self, x: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        let normed = self.norm1.forward(x)?;
        let x = (x + self.attention.forward(&normed, &normed, mask)?)?;
        let mixed = self.mlp.forward(&self.norm2.forward(&x)?)?;
        x + mixed
    }
}

/// A stack of blocks.
#[derive(Debug, Clone)]
pub struct Encoder {
    /// The blocks, from the input on.
    pub blocks: Vec<EncoderBlock>,
}

impl Encoder {
    /// Reads `layers.0` to `layers.{L-1}`.
    pub fn load(scope: &Scope, config: &EncoderConfig) -> std::result::Result<Self, WeightsError> {
        let layers = scope.enter("layers");
        let blocks = (0..config.layers)
            .map(|l| EncoderBlock::load(&layers.enter(&l.to_string()), config))
            .collect::<std::result::Result<_, _>>()?;
        Ok(Self { blocks })
    }

    /// `x`: `[B, S, W]`; `mask` broadcastable to `[B, H, S, S]`. Returns the last block's output `[B, S, W]`; every
    /// block's output, in order, goes to `each`.
    pub fn forward(&self, x: Tensor, mask: Option<&Tensor>, mut each: impl FnMut(&Tensor)) -> Result<Tensor> {
        let mut x = x;
        for block in &self.blocks {
            x = block.forward(&x, mask)?;
            each(&x);
        }
        Ok(x)
    }
}
