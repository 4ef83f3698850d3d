use crate::soft_attributes::LanguageModelError;
use std::{f32::consts::TAU, path::Path};

/// Families of language models. All are Llama's decoder (Touvron et al., arXiv 2302.13971); they differ in what is done to queries,
/// keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Llama, SmolLM and SmolLM2.
    Llama,
    /// Mistral. Its sliding window is the longest input here: within it, attention is Llama's.
    Mistral,
    /// Qwen2 and Qwen2.5: biases on queries, keys and values.
    Qwen2,
    /// Qwen3: norms on every head of queries and keys.
    Qwen3,
}

impl Family {
    /// Whether queries, keys and values have biases.
    pub fn has_biases(self) -> bool {
        self == Family::Qwen2
    }

    /// Whether every head of queries and keys is normalised.
    pub fn has_head_norms(self) -> bool {
        self == Family::Qwen3
    }
}

/// Which numbers of a head turn together in the projections as they are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairs {
    /// 2 i and 2 i + 1: llama.cpp's order for Llama.
    Neighbours,
    /// i and i + d / 2: Hugging Face's order.
    Halves,
}

/// Hyper-parameters of a decoder.
#[derive(Debug, Clone, PartialEq)]
pub struct DecoderConfig {
    /// Which family it is of.
    pub family: Family,
    /// Rows of the token embedding.
    pub vocabulary: usize,
    /// Width E of the hidden states.
    pub width: usize,
    /// Blocks.
    pub layers: usize,
    /// H, query heads.
    pub heads: usize,
    /// G, key and value heads; each serves `heads / kv_heads` query heads.
    pub kv_heads: usize,
    /// d, width of a head.
    pub head_width: usize,
    /// F, width inside the MLPs.
    pub mlp_width: usize,
    /// Longest input in tokens.
    pub context: usize,
    /// Epsilon of the RMS norms.
    pub rms_epsilon: f32,
    /// By what angle every pair of a head turns from one position to the next, `[d / 2]`.
    pub frequencies: Vec<f32>,
    /// What these pairs are.
    pub pairs: Pairs,
    /// Whether the output head is the token embedding.
    pub tied: bool,
}

/// No size is beyond this: products of two then fit.
const GREATEST_SIZE: usize = 1 << 24;

impl DecoderConfig {
    /// What cannot be, before anything is computed.
    pub(super) fn check(self, path: &Path) -> Result<Self, LanguageModelError> {
        let bad = |expected: String, got: String| LanguageModelError::BadFile { path: path.to_owned(), expected, got };
        let Self { vocabulary, width, layers, heads, kv_heads, head_width, mlp_width, .. } = self;
        for (name, size) in [
            ("token embeddings", vocabulary),
            ("width", width),
            ("blocks", layers),
            ("heads", heads),
            ("heads of keys", kv_heads),
            ("width of a head", head_width),
            ("width inside the MLPs", mlp_width),
        ] {
            if !(1..=GREATEST_SIZE).contains(&size) {
                return Err(bad(format!("{name} from 1 to {GREATEST_SIZE}"), size.to_string()));
            }
        }
        if heads % kv_heads != 0 {
            return Err(bad(format!("{heads} heads that share out among heads of keys"), kv_heads.to_string()));
        }
        if head_width % 2 != 0 {
            return Err(bad("an even width of a head".into(), head_width.to_string()));
        }
        if self.frequencies.len() != head_width / 2 || !self.frequencies.iter().all(|f| f.is_finite()) {
            let got = format!("{} of them: {:?} ..", self.frequencies.len(), self.frequencies.first());
            return Err(bad(format!("{} finite rotary frequencies", head_width / 2), got));
        }
        Ok(self)
    }
}

/// base^(-2 i / d) for pair i (Su et al., arXiv 2104.09864), `[d / 2]`.
pub(super) fn frequencies(base: f32, head_width: usize) -> Vec<f32> {
    let pairs = head_width / 2;
    (0..pairs).map(|i| base.powf(-(i as f32) / pairs as f32)).collect()
}

/// How Llama 3.1 stretches its rotary frequencies over longer contexts: slow ones by `factor`, fast ones not at all, and a ramp
/// between (`_compute_llama3_parameters` in transformers' `modeling_rope_utils.py`).
#[derive(Debug, Clone, Copy, serde::Deserialize)]
pub(super) struct Llama3Scaling {
    factor: f32,
    low_freq_factor: f32,
    high_freq_factor: f32,
    original_max_position_embeddings: f32,
}

impl Llama3Scaling {
    pub fn apply(self, frequencies: &mut [f32]) {
        let Self { factor, low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: context } =
            self;
        for frequency in frequencies {
            let turns = context * *frequency / TAU; // within the context that it was trained on
            // 1: as it is, 0: stretched.
            let kept = ((turns - low) / (high - low)).clamp(0.0, 1.0);
            *frequency = (1.0 - kept) * *frequency / factor + kept * *frequency;
        }
    }
}
