use crate::nn::{Activation, Attention, LayerNorm, Linear, Mlp, Scope, WeightsError};
use candle_core::{Result, Tensor};
use serde::{Deserialize, Serialize};

/// Sizes of a prompting transformer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptingConfig {
    /// Blocks; the method has 2 to 4.
    pub blocks: usize,
    /// W, between H(l) and the text encoder.
    pub width: usize,
    /// Heads of every attention; divides `width`.
    pub heads: usize,
}

/// H(l) -> A(l): k learned queries read the states of the language model.
pub struct PromptingTransformer {
    /// `[k, W]`.
    queries: Tensor,
    /// E -> W.
    input: Linear,
    blocks: Vec<Block>,
    norm: LayerNorm,
    /// W -> the width of the text encoder's tokens.
    output: Linear,
}

/// Pre-norm: self-attention among the queries, attention to H(l), MLP.
struct Block {
    norm1: LayerNorm,
    among: Attention,
    norm2: LayerNorm,
    reading: Attention,
    norm3: LayerNorm,
    mlp: Mlp,
}

const EPS: f64 = 1e-5;

impl PromptingTransformer {
    /// Reads `queries`, `input`, `blocks.{i}`, `norm` and `output`: from states of width `states` to k = `attributes` of width `tokens`.
    pub fn load(
        scope: &Scope,
        config: PromptingConfig,
        attributes: usize,
        states: usize,
        tokens: usize,
    ) -> std::result::Result<Self, WeightsError> {
        let PromptingConfig { blocks, width, heads } = config;
        let blocks = (0..blocks).map(|i| {
            let scope = scope.enter("blocks").enter(&i.to_string());
            let norm = |name| LayerNorm::load(&scope.enter(name), width, EPS);
            let attention = |name| Attention::load(&scope.enter(name), width, heads);
            Ok(Block {
                norm1: norm("layer_norm1")?,
                among: attention("self_attn")?,
                norm2: norm("layer_norm2")?,
                reading: attention("cross_attn")?,
                norm3: norm("layer_norm3")?,
                mlp: Mlp::load(&scope.enter("mlp"), width, 4 * width, Activation::Gelu)?,
            })
        });
        Ok(Self {
            queries: scope.tensor("queries", &[attributes, width])?,
            input: Linear::load(&scope.enter("input"), states, width)?,
            blocks: blocks.collect::<std::result::Result<_, WeightsError>>()?,
            norm: LayerNorm::load(&scope.enter("norm"), width, EPS)?,
            output: Linear::load(&scope.enter("output"), width, tokens)?,
        })
    }

    /// `states`: H(l), `[B, N, E]`; `mask`: `[B, 1, 1, N]`, minus infinity where there is no token. Returns A(l), `[B, k, W_t]`.
    pub fn forward(&self, states: &Tensor, mask: &Tensor) -> Result<Tensor> {
        let context = self.input.forward(states)?; // [B, N, W]
        let (k, width) = self.queries.dims2()?;
        let mut x = self.queries.unsqueeze(0)?.broadcast_as((states.dim(0)?, k, width))?.contiguous()?; // [B, k, W]
        for block in &self.blocks {
            let normed = block.norm1.forward(&x)?;
            x = (&x + block.among.forward(&normed, &normed, None)?)?;
            x = (&x + block.reading.forward(&block.norm2.forward(&x)?, &context, Some(mask))?)?;
            x = (&x + block.mlp.forward(&block.norm3.forward(&x)?)?)?;
        }
        self.output.forward(&self.norm.forward(&x)?)
    }
}
