use super::{LanguageModel, PromptingConfig, PromptingTransformer, States};
use crate::nn::{Activation, Linear, Scope, WeightsError};
use candle_core::{Result, Tensor};
use serde::{Deserialize, Serialize};

/// How soft attributes come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, tag = "kind")]
pub enum Reader {
    /// The method's: a transformer reads H(l).
    Prompting(PromptingConfig),
    /// A baseline: the mean of H(l) through one hidden layer of this width.
    Pooled {
        /// Width of the hidden layer.
        width: usize,
    },
    /// A baseline: the same for every label, learned (CoOp, Zhou et al., arXiv 2109.01134); no language model.
    Shared,
}

impl Reader {
    /// Whether a language model is read.
    pub fn reads(&self) -> bool {
        !matches!(self, Reader::Shared)
    }
}

/// Label text -> A(l), soft attributes in the space of the text encoder's tokens; all that is learned on this way.
pub struct SoftAttributes {
    /// P, `[m, E]`.
    prefixes: Option<Tensor>,
    reader: Reading,
    attributes: usize,
    /// What the reader's numbers, of size one, are multiplied by: the size of the text encoder's token embeddings.
    token_deviation: f64,
}

enum Reading {
    Prompting(PromptingTransformer),
    Pooled { hidden: Linear, output: Linear },
    Shared(Tensor), // [k, W_t]
}

/// Widths on both sides.
#[derive(Debug, Clone, Copy)]
pub struct Widths {
    /// E, of the language model; 0 without one.
    pub states: usize,
    /// W_t, of the text encoder's tokens.
    pub tokens: usize,
    /// Standard deviation of the text encoder's token embeddings.
    pub token_deviation: f32,
}

impl SoftAttributes {
    /// Reads `prefixes` and `reader`: m = `prefixes` before the label, k = `attributes`.
    pub fn load(
        scope: &Scope,
        reader: Reader,
        prefixes: usize,
        attributes: usize,
        widths: Widths,
    ) -> std::result::Result<Self, WeightsError> {
        let Widths { states, tokens, token_deviation } = widths;
        let inner = scope.enter("reader");
        let reader = match reader {
            Reader::Prompting(config) => {
                Reading::Prompting(PromptingTransformer::load(&inner, config, attributes, states, tokens)?)
            }
            Reader::Pooled { width } => Reading::Pooled {
                hidden: Linear::load(&inner.enter("hidden"), states, width)?,
                output: Linear::load(&inner.enter("output"), width, attributes * tokens)?,
            },
            Reader::Shared => Reading::Shared(inner.tensor("attributes", &[attributes, tokens])?),
        };
        let has_prefixes = prefixes > 0 && !matches!(reader, Reading::Shared(_));
        let prefixes = has_prefixes.then(|| scope.tensor("prefixes", &[prefixes, states])).transpose()?;
        Ok(Self { prefixes, reader, attributes, token_deviation: token_deviation.into() })
    }

    /// P, where there are any: H(l) then changes in training.
    pub fn prefixes(&self) -> Option<&Tensor> {
        self.prefixes.as_ref()
    }

    /// k.
    pub fn attributes(&self) -> usize {
        self.attributes
    }

    /// H(l) of B labels.
    pub fn states(&self, model: &LanguageModel, rows: &[&[u32]]) -> Result<States> {
        model.states(rows, self.prefixes.as_ref())
    }

    /// A(l) of B labels, `[B, k, W_t]`; `states` may be `None` where no language model is read.
    pub fn forward(&self, states: Option<&States>, batch: usize) -> Result<Tensor> {
        let read = match (&self.reader, states) {
            (Reading::Prompting(transformer), Some(states)) => transformer.forward(&states.values, &states.mask)?,
            (Reading::Pooled { hidden, output }, Some(states)) => {
                let hidden = Activation::Gelu.forward(&hidden.forward(&states.mean()?)?)?; // [B, width]
                output.forward(&hidden)?.reshape((batch, self.attributes, ()))?
            }
            (Reading::Shared(attributes), _) => {
                let (k, width) = attributes.dims2()?;
                attributes.unsqueeze(0)?.broadcast_as((batch, k, width))?.contiguous()?
            }
            _ => candle_core::bail!("soft attributes: expected the states of a language model, got none"),
        };
        read * self.token_deviation
    }
}
