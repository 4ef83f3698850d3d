//! One vector for a phrase, from the states of a language model.

use candle_core::{Result, Tensor};
use tokenizers::Tokenizer;

use super::{Decoder, LanguageModelError, checkpoint::Checkpoint};
use crate::nn::{Compute, unit_rows};

/// States in the middle say what the words are; late states at the end say what the phrase is about.
const MEAN_LAYER: usize = 8;
const LAST_LAYER: usize = 24;
/// Longer phrases are cut.
const MAX_TOKENS: usize = 256;

/// Phrase -> the mean over its tokens of the states after block 8, and the last token's state after block 24; each
/// L2-normalised.
pub struct PhraseEncoder {
    decoder: Decoder,
    tokenizer: Tokenizer,
}

impl PhraseEncoder {
    /// Reads tokenizer and weights, dequantised.
    ///
    /// # Errors
    /// When the model has fewer than 24 blocks, or a file of it is not as it should be.
    pub fn load(checkpoint: &dyn Checkpoint, compute: &Compute) -> std::result::Result<Self, LanguageModelError> {
        let decoder = Decoder::load(checkpoint, Some(LAST_LAYER), compute)?;
        Ok(Self { tokenizer: checkpoint.tokenizer()?, decoder })
    }

    /// B non-empty phrases -> `[B, 2 E]`. The result for a phrase does not depend on the others.
    pub fn encode(&self, phrases: &[String]) -> Result<Tensor> {
        let mut rows = phrases
            .iter()
            .map(|phrase| {
                let encoding = self.tokenizer.encode(phrase.as_str(), false).map_err(candle_core::Error::wrap)?;
                Ok(encoding.get_ids().to_vec())
            })
            .collect::<Result<Vec<Vec<u32>>>>()?;
        for (row, phrase) in rows.iter_mut().zip(phrases) {
            if row.len() > MAX_TOKENS {
                tracing::warn!("{phrase:?} has {} tokens; only the first {MAX_TOKENS} count", row.len());
                row.truncate(MAX_TOKENS);
            }
        }
        let longest = rows.iter().map(Vec::len).max().unwrap_or(0);
        // Causal attention: padding at the end changes nothing before it.
        let padded: Vec<u32> = rows
            .iter()
            .flat_map(|row| row.iter().copied().chain(std::iter::repeat_n(0, longest - row.len())))
            .collect();
        let tokens = Tensor::from_vec(padded, (rows.len(), longest), self.decoder.device())?;
        let states = self.decoder.hidden_states(&self.decoder.embed(&tokens)?)?;
        let features = rows
            .iter()
            .enumerate()
            .map(|(i, row)| {
                let mean = states[MEAN_LAYER].get(i)?.narrow(0, 0, row.len())?.mean_keepdim(0)?; // [1, E]
                let last = states[LAST_LAYER].get(i)?.narrow(0, row.len() - 1, 1)?; // [1, E]
                Tensor::cat(&[unit_rows(&mean)?, unit_rows(&last)?], 1)
            })
            .collect::<Result<Vec<_>>>()?;
        Tensor::cat(&features, 0)
    }
}
