use super::{TextPooling, TextTransformer};
use crate::{
    nn::{Scope, WeightsError, unit_rows},
    soft_attributes::{LanguageModel, Reader, SoftAttributes, States, Widths, deviation},
};
use candle_core::{Result, Tensor};
use serde::{Deserialize, Serialize};

/// The label encoder's sizes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelEncoderConfig {
    /// The frozen language model: a GGUF file, or the name of a model that brings one ("starter").
    #[serde(default = "starter")]
    pub language_model: String,
    /// How many of its blocks run; all of them if that is not said.
    #[serde(default)]
    pub layers: Option<usize>,
    /// m, learned prefixes.
    #[serde(default = "sixteen")]
    pub prefixes: usize,
    /// k, soft attributes.
    #[serde(default = "eight")]
    pub attributes: usize,
    /// How H(l) is read.
    pub reader: Reader,
}

fn starter() -> String {
    "starter".into()
}

fn sixteen() -> usize {
    16
}

fn eight() -> usize {
    8
}

/// f_t, the label encoder, beside a frozen text encoder:
///
/// ```text
/// [P_1 .. P_m ; E(l)]          --frozen language model-->  H(l)
/// H(l)                         --prompting transformer-->  A(l) = a_1 .. a_k
/// [SOS ; A(l) ; tokens ; EOS]  --frozen text encoder---->  soft(l)
/// f_t(l) = normalise(plain(l) + g soft(l))
/// ```
///
/// plain(l) is the text encoder's embedding of the plain prompt and g a learned number that begins at 0 \[ours\], so that an untrained
/// label encoder is the plain prompt, exactly.
pub struct LabelEncoder {
    attributes: SoftAttributes,
    /// g, `[]`.
    gate: Tensor,
}

impl LabelEncoder {
    /// Reads `prefixes`, `reader` and `gate`.
    pub fn load(
        scope: &Scope,
        config: &LabelEncoderConfig,
        text: &TextTransformer,
        language: Option<&LanguageModel>,
    ) -> std::result::Result<Self, WeightsError> {
        let tokens = text.config().encoder.width;
        let widths = Widths {
            states: language.map_or(0, LanguageModel::width),
            tokens,
            token_deviation: deviation(&text.all_tokens()?.flatten_all()?)?,
        };
        Ok(Self {
            attributes: SoftAttributes::load(scope, config.reader, config.prefixes, config.attributes, widths)?,
            gate: scope.tensor("gate", &[])?,
        })
    }

    /// From label to A(l).
    pub fn attributes(&self) -> &SoftAttributes {
        &self.attributes
    }

    /// g.
    pub fn gate(&self) -> &Tensor {
        &self.gate
    }

    /// soft(l) of B labels, `[B, D]`, L2-normalised, and A(l), `[B, k, W_t]`. `names`: the text encoder's tokens of every label's name, start and end
    /// included; an empty one stands for no name at all: `[SOS ; A(l) ; EOS]`.
    pub fn soft(
        &self,
        text: &TextTransformer,
        states: Option<&States>,
        names: &[Vec<u32>],
        special: SpecialTokens,
    ) -> Result<(Tensor, Tensor)> {
        let a = self.attributes.forward(states, names.len())?; // [B, k, W_t]
        let k = self.attributes.attributes();
        let pooling = text.config().pooling;
        // SigLIP has no start token.
        let begins = usize::from(pooling != TextPooling::Last);
        let context = text.config().context;
        let rows: Vec<Vec<u32>> = names
            .iter()
            .map(|name| {
                let mut ids: Vec<u32> = match name.as_slice() {
                    [] => special.start.into_iter().take(begins).chain([special.end]).collect(),
                    ids => ids.to_vec(),
                };
                // What is cut of a long name is its end, never the end token.
                let room = context.saturating_sub(k).max(begins + 1);
                if ids.len() > room {
                    ids.truncate(room - 1);
                    ids.push(special.end);
                }
                ids
            })
            .collect();
        let longest = match pooling {
            TextPooling::Last => context.saturating_sub(k),
            _ => rows.iter().map(Vec::len).max().unwrap_or(0),
        };
        let pooled_at: Vec<usize> = rows
            .iter()
            .map(|ids| match pooling {
                TextPooling::Last => k + longest - 1,
                _ => k + ids.len() - 1,
            })
            .collect();
        let padded: Vec<u32> =
            rows.iter().flat_map(|ids| (0..longest).map(|i| *ids.get(i).unwrap_or(&special.pad))).collect();
        let ids = Tensor::from_vec(padded, (rows.len(), longest), a.device())?;
        let embedded = text.token_embeddings(&ids)?; // [B, longest, W_t]
        let start = embedded.narrow(1, 0, begins)?;
        let rest = embedded.narrow(1, begins, longest - begins)?;
        let sequence = Tensor::cat(&[&start, &a, &rest], 1)?; // [SOS ; A(l) ; tokens ; EOS]
        let soft = text.forward(&sequence, &pooled_at, false)?.embedding;
        Ok((unit_rows(&soft)?, a))
    }

    /// f_t(l): `plain` and `soft` `[B, D]`, L2-normalised -> `[B, D]`, L2-normalised.
    pub fn combine(&self, plain: &Tensor, soft: &Tensor) -> Result<Tensor> {
        unit_rows(&(plain + soft.broadcast_mul(&self.gate)?)?)
    }
}

/// Tokens of the text encoder that are no words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpecialTokens {
    /// Where the family has one.
    pub start: Option<u32>,
    /// Ends every text.
    pub end: u32,
    /// Fills shorter texts.
    pub pad: u32,
}
