use crate::nn::{Attention, EncoderConfig, LayerNorm, Mlp, Scope, WeightsError};
use candle_core::{Result, Tensor};

/// SigLIP's head: one learned query attends to all patches, then an MLP beside a residual (the "MAP head" of
/// big_vision, `SiglipMultiheadAttentionPoolingHead` of transformers).
#[derive(Debug, Clone)]
pub(super) struct AttentionPooling {
    /// The learned query, `[1, 1, W]`.
    probe: Tensor,
    attention: Attention,
    norm: LayerNorm,
    mlp: Mlp,
}

impl AttentionPooling {
    /// Reads `probe`, `attention`, `layernorm` and `mlp`.
    pub(super) fn load(scope: &Scope, config: &EncoderConfig) -> std::result::Result<Self, WeightsError> {
        let &EncoderConfig { width, heads, mlp_width, activation, layer_norm_eps, .. } = config;
        Ok(Self {
            probe: scope.tensor("probe", &[1, 1, width])?,
            attention: Attention::load_stacked(&scope.enter("attention"), width, heads)?,
            norm: LayerNorm::load(&scope.enter("layernorm"), width, layer_norm_eps)?,
            mlp: Mlp::load(&scope.enter("mlp"), width, mlp_width, activation)?,
        })
    }

    /// Patches `[B, N, W]` -> `[B, 1, W]`.
    pub(super) fn forward(&self, patches: &Tensor) -> Result<Tensor> {
        let (batch, _, width) = patches.dims3()?;
        let query = self.probe.broadcast_as((batch, 1, width))?.contiguous()?;
        let x = self.attention.forward(&query, patches, None)?; // [B, 1, W]
        let mixed = self.mlp.forward(&self.norm.forward(&x)?)?;
        x + mixed
    }
}
