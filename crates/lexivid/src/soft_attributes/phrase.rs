//! Vectors for a phrase, from the states of a language model.

use candle_core::{Result, Tensor};
use tokenizers::Tokenizer;

use super::{Decoder, LanguageModelError, checkpoint::Checkpoint};
use crate::nn::{Compute, unit_rows};

/// Longer phrases are cut.
const MAX_TOKENS: usize = 256;

/// Phrases that the language model is given at once.
const TOGETHER: usize = 16;

/// What is read of a phrase: the states after a block, counted from 1. States in the middle say what the words are; late states at the end say what
/// comes next, and so what the phrase is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The block.
    pub block: usize,
    /// Where.
    pub at: At,
}

/// Where the states of a phrase are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// The mean over its tokens.
    Mean,
    /// Its last token.
    Last,
    /// Its last token, L2-normalised: up to constant factors, what the language model's last norm makes of it.
    LastNormalised,
}

/// Phrase -> readings of its states.
pub struct PhraseEncoder {
    decoder: Decoder,
    tokenizer: Tokenizer,
}

impl PhraseEncoder {
    /// Reads tokenizer and weights, dequantised.
    ///
    /// # Errors
    /// When a file of the model is not as it should be.
    pub fn load(checkpoint: &dyn Checkpoint, compute: &Compute) -> std::result::Result<Self, LanguageModelError> {
        Ok(Self { tokenizer: checkpoint.tokenizer()?, decoder: Decoder::load(checkpoint, None, compute)? })
    }

    /// B non-empty phrases -> R readings of each, `[B, R, E]`. The result for a phrase does not depend on the others.
    ///
    /// # Errors
    /// When the model has fewer blocks than are read.
    pub fn encode(&self, phrases: &[String], readings: &[Reading]) -> Result<Tensor> {
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
        // Phrases of about one length go together, so that little is padded.
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by_key(|&phrase| rows[phrase].len());
        let mut features = vec![None; rows.len()];
        for together in order.chunks(TOGETHER) {
            let of_these: Vec<&[u32]> = together.iter().map(|&phrase| &rows[phrase][..]).collect();
            for (&phrase, read) in together.iter().zip(self.read(&of_these, readings)?) {
                features[phrase] = Some(read);
            }
        }
        Tensor::stack(&features.into_iter().flatten().collect::<Vec<_>>(), 0)
    }

    /// Tokens of phrases -> R readings of each, `[R, E]`.
    fn read(&self, rows: &[&[u32]], readings: &[Reading]) -> Result<Vec<Tensor>> {
        let longest = rows.iter().map(|row| row.len()).max().unwrap_or(0);
        // Causal attention: padding at the end changes nothing before it.
        let padded: Vec<u32> = rows
            .iter()
            .flat_map(|row| row.iter().copied().chain(std::iter::repeat_n(0, longest - row.len())))
            .collect();
        let tokens = Tensor::from_vec(padded, (rows.len(), longest), self.decoder.device())?;
        let states = self.decoder.hidden_states(&self.decoder.embed(&tokens)?)?;
        let read = |reading: &Reading, phrase: usize, length: usize| {
            let Some(states) = states.get(reading.block) else {
                candle_core::bail!("expected at least {} blocks, got {}", reading.block, states.len() - 1)
            };
            let states = states.get(phrase)?; // [L, E]
            match reading.at {
                At::Mean => states.narrow(0, 0, length)?.mean_keepdim(0),
                At::Last => states.narrow(0, length - 1, 1),
                At::LastNormalised => unit_rows(&states.narrow(0, length - 1, 1)?),
            }
        };
        let of_phrase = |(phrase, row): (usize, &&[u32])| {
            let of = readings.iter().map(|reading| read(reading, phrase, row.len()));
            Tensor::cat(&of.collect::<Result<Vec<_>>>()?, 0) // [R, E]
        };
        rows.iter().enumerate().map(of_phrase).collect()
    }
}
