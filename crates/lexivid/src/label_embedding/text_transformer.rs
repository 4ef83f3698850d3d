//! The text towers of CLIP and SigLIP.

use crate::nn::{Encoder, EncoderConfig, LayerNorm, Linear, Scope, SelfMask, WeightsError};
use candle_core::{DType, Result, Tensor};
use lexivid_kernels::Precision;

/// Sizes of a text tower.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TextConfig {
    /// Rows of the token embedding.
    pub vocabulary: usize,
    /// Longest sequence, in tokens, start and end included: 77 for CLIP, 64 for SigLIP.
    pub context: usize,
    /// The blocks.
    pub encoder: EncoderConfig,
    /// Where a sequence's embedding is read, and how.
    pub pooling: TextPooling,
    /// D, the width of the joint space.
    pub projection: usize,
}

/// Which position of a sequence becomes its embedding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextPooling {
    /// CLIP: the first position that holds the end-of-sequence token. Attention is causal, so what follows that
    /// position does not matter.
    EndOfSequence {
        /// The token's id.
        id: u32,
    },
    /// CLIP with the `eos_token_id` 2 that its configurations carried before transformers #24773: the position of the
    /// highest id, which in CLIP's vocabulary is the end of sequence.
    HighestId,
    /// SigLIP: the last position, padding included. Attention goes both ways and, as in training, padding is not
    /// masked.
    Last,
}

impl TextPooling {
    /// The position in `ids` that is pooled, 0 for an empty sequence; as transformers has it also where the token is
    /// missing.
    pub fn position(self, ids: &[u32]) -> usize {
        match self {
            TextPooling::EndOfSequence { id } => ids.iter().position(|&i| i == id).unwrap_or(0),
            TextPooling::HighestId => {
                let highest = ids.iter().max();
                ids.iter().position(|i| Some(i) == highest).unwrap_or(0)
            }
            TextPooling::Last => ids.len().saturating_sub(1),
        }
    }

    fn is_causal(self) -> bool {
        !matches!(self, TextPooling::Last)
    }
}

/// What the tower says about a batch of sequences.
#[derive(Debug, Clone)]
pub struct TextOutput {
    /// Hidden states `[B, S, W]` each: the first block's input, then every block's output; empty unless asked for.
    pub hidden: Vec<Tensor>,
    /// The projection at the pooled position, `[B, D]`, not normalised.
    pub embedding: Tensor,
}

/// A text tower.
#[derive(Debug)]
pub struct TextTransformer {
    config: TextConfig,
    /// `[vocabulary, W]`; in bf16 if products are no longer f32: it is a quarter of the text tower's weights.
    tokens: Tensor,
    /// `[context, W]`.
    positions: Tensor,
    encoder: Encoder,
    norm: LayerNorm,
    projection: Linear,
}

impl TextTransformer {
    /// Reads `text_model.*` and, for CLIP, `text_projection.weight`, from the top of the names.
    pub fn load(root: &Scope, config: &TextConfig) -> std::result::Result<Self, WeightsError> {
        let EncoderConfig { width, layer_norm_eps, .. } = config.encoder;
        let scope = root.enter("text_model");
        let embeddings = scope.enter("embeddings");
        let projection = match config.pooling {
            TextPooling::Last => Linear::load(&scope.enter("head"), width, config.projection)?,
            TextPooling::EndOfSequence { .. } | TextPooling::HighestId => {
                Linear::load_without_bias(&root.enter("text_projection"), width, config.projection)?
            }
        };
        let tokens = embeddings.enter("token_embedding").tensor("weight", &[config.vocabulary, width])?;
        let stored = match root.compute().precision {
            // A rounded copy would not follow the weights that are trained.
            _ if root.is_trainable() => DType::F32,
            Precision::F32 => DType::F32,
            Precision::Bf16 | Precision::Int8 => DType::BF16,
        };
        Ok(Self {
            config: *config,
            tokens: tokens.to_dtype(stored)?,
            positions: embeddings.enter("position_embedding").tensor("weight", &[config.context, width])?,
            encoder: Encoder::load(&scope.enter("encoder"), &config.encoder)?,
            norm: LayerNorm::load(&scope.enter("final_layer_norm"), width, layer_norm_eps)?,
            projection,
        })
    }

    /// The tower's sizes.
    pub fn config(&self) -> &TextConfig {
        &self.config
    }

    /// The token embedding, `[vocabulary, W]`, in f32.
    pub fn all_tokens(&self) -> Result<Tensor> {
        self.tokens.to_dtype(DType::F32)
    }

    /// Token ids `[B, S]` (u32) -> token embeddings `[B, S, W]`, positions not added yet.
    pub fn token_embeddings(&self, ids: &Tensor) -> Result<Tensor> {
        let (batch, length) = ids.dims2()?;
        let rows = self.tokens.index_select(&ids.flatten_all()?, 0)?.to_dtype(DType::F32)?;
        rows.reshape((batch, length, self.config.encoder.width))
    }

    /// `tokens`: token embeddings `[B, S, W]`, positions not added, S at most the context: those of
    /// [`TextTransformer::token_embeddings`], or any others, such as soft attributes. `pooled_at`: for every sequence
    /// the position whose state becomes the embedding (see [`TextPooling::position`]).
    ///
    /// # Errors
    /// When S is over the context, or `pooled_at` does not name one position of each sequence.
    pub fn forward(&self, tokens: &Tensor, pooled_at: &[usize], keep_hidden: bool) -> Result<TextOutput> {
        let (batch, length, width) = tokens.dims3()?;
        if pooled_at.len() != batch || pooled_at.iter().any(|&at| at >= length) {
            candle_core::bail!("expected {batch} pooled positions below {length}, got {pooled_at:?}");
        }
        let x = tokens.broadcast_add(&self.positions.narrow(0, 0, length)?)?; // [B, S, W]
        let mask = match self.config.pooling.is_causal() {
            true => SelfMask::Causal,
            false => SelfMask::None,
        };
        let mut hidden = Vec::new();
        if keep_hidden {
            hidden.push(x.clone());
        }
        let last = self.encoder.forward(x, mask, keep_hidden.then_some(&mut hidden))?;
        let rows: Vec<u32> = pooled_at.iter().enumerate().map(|(b, at)| (b * length + at) as u32).collect();
        let rows = Tensor::from_vec(rows, batch, tokens.device())?;
        let pooled = last.reshape((batch * length, width))?.index_select(&rows, 0)?; // [B, W]
        // The final norm works row by row, so it may as well come after the choice of rows.
        Ok(TextOutput { hidden, embedding: self.projection.forward(&self.norm.forward(&pooled)?)? })
    }
}

#[cfg(test)]
mod tests {
    use super::TextPooling;

    #[test]
    fn the_pooled_position_follows_the_configuration() {
        let ids = [49406, 320, 49407, 49407, 49407];
        assert_eq!(TextPooling::EndOfSequence { id: 49407 }.position(&ids), 2);
        assert_eq!(TextPooling::HighestId.position(&ids), 2);
        assert_eq!(TextPooling::Last.position(&ids), 4);
    }

    #[test]
    fn a_missing_end_of_sequence_pools_the_first_position_as_transformers_does() {
        assert_eq!(TextPooling::EndOfSequence { id: 7 }.position(&[1, 2]), 0);
        assert_eq!(TextPooling::Last.position(&[]), 0);
    }
}
