use super::{Decoder, LanguageModelError, checkpoint};
use crate::{
    label::{Kind, Label},
    nn::Compute,
};
use candle_core::{Device, Result, Tensor};
use std::path::Path;
use tokenizers::Tokenizer;

/// A frozen language model with its tokenizer: label -> H(l).
pub struct LanguageModel {
    decoder: Decoder,
    tokenizer: Tokenizer,
    layers: usize,
}

/// H(l) of a batch.
pub struct States {
    /// Of the last block that runs, every position divided by its root mean square: a few positions of language models are a hundred times
    /// as large as the others (Sun et al., arXiv 2402.17762). `[B, N, E]`.
    pub values: Tensor,
    /// 0 where there is a token, minus infinity where there is none, `[B, 1, 1, N]`.
    pub mask: Tensor,
    /// How many of the N positions are prefixes and tokens, for each.
    pub lengths: Vec<usize>,
}

/// Longer label texts are cut. No sliding window (Mistral, some of Qwen) is as short as that and the prefixes: within it attention is the same.
const MAX_TOKENS: usize = 128;

impl LanguageModel {
    /// Reads tokenizer and weights of the GGUF file or the directory in Hugging Face's layout `path`, and of its blocks the first
    /// `layers`; all of them if that is `None`.
    ///
    /// # Errors
    /// When it is neither, of a family that is not known here, or has fewer blocks.
    pub fn open(
        path: &Path,
        layers: Option<usize>,
        compute: &Compute,
    ) -> std::result::Result<Self, LanguageModelError> {
        let checkpoint = checkpoint::open(path)?;
        let decoder = Decoder::load(checkpoint.as_ref(), layers, compute)?;
        let layers = layers.unwrap_or(decoder.config().layers);
        Ok(Self { tokenizer: checkpoint.tokenizer()?, decoder, layers })
    }

    /// E.
    pub fn width(&self) -> usize {
        self.decoder.config().width
    }

    /// Blocks that run.
    pub fn layers(&self) -> usize {
        self.layers
    }

    /// Standard deviation of the token embeddings' numbers: the size that prefixes begin with.
    pub fn token_deviation(&self) -> Result<f32> {
        deviation(&self.decoder.embeddings().flatten_all()?)
    }

    /// The tokens that a label is put to the language model as, after what the model has before every text.
    pub fn tokens(&self, label: &Label) -> Result<Vec<u32>> {
        let encoding = self.tokenizer.encode(sentence(label), true).map_err(candle_core::Error::wrap)?;
        Ok(encoding.get_ids().iter().copied().take(MAX_TOKENS).collect())
    }

    /// H(l) of B labels' tokens, padded together; with `prefixes` `[m, E]` before each, N is m and the longest label's length. Gradients
    /// flow to the prefixes.
    pub fn states(&self, rows: &[&[u32]], prefixes: Option<&Tensor>) -> Result<States> {
        let longest = rows.iter().map(|row| row.len()).max().unwrap_or(0);
        // Causal attention: padding at the end changes nothing before it.
        let padded: Vec<u32> = rows
            .iter()
            .flat_map(|row| row.iter().copied().chain(std::iter::repeat_n(0, longest - row.len())))
            .collect();
        let tokens = Tensor::from_vec(padded, (rows.len(), longest), self.decoder.device())?;
        let embedded = self.decoder.embed(&tokens)?; // E(l): [B, longest, E]
        let (embedded, m) = match prefixes {
            Some(prefixes) => {
                let (m, width) = prefixes.dims2()?;
                let prefixes = prefixes.unsqueeze(0)?.broadcast_as((rows.len(), m, width))?;
                (Tensor::cat(&[&prefixes, &embedded], 1)?, m) // [P; E(l)]
            }
            None => (embedded, 0),
        };
        let last = self.decoder.last_state(&embedded)?;
        let square = last.sqr()?.mean_keepdim(2)?;
        let lengths: Vec<usize> = rows.iter().map(|row| m + row.len()).collect();
        let n = m + longest;
        let mask: Vec<f32> = lengths
            .iter()
            .flat_map(|&length| (0..n).map(move |i| if i < length { 0.0 } else { f32::NEG_INFINITY }))
            .collect();
        Ok(States {
            values: last.broadcast_div(&(square + 1e-6)?.sqrt()?)?,
            mask: Tensor::from_vec(mask, (rows.len(), 1, 1, n), self.decoder.device())?,
            lengths,
        })
    }
}

impl States {
    /// Those of one batch, padded to the longest: `parts` have one label each.
    pub fn stack(parts: &[&States]) -> Result<Self> {
        let longest = parts.iter().flat_map(|part| part.lengths.iter().copied()).max().unwrap_or(0);
        let padded = |tensor: &Tensor, dim: usize, fill: f32| -> Result<Tensor> {
            let have = tensor.dim(dim)?;
            let mut shape = tensor.dims().to_vec();
            shape[dim] = longest - have;
            if have == longest {
                return Ok(tensor.clone());
            }
            Tensor::cat(&[tensor, &Tensor::full(fill, shape, tensor.device())?], dim)
        };
        let values = parts.iter().map(|part| padded(&part.values, 1, 0.0)).collect::<Result<Vec<_>>>()?;
        let masks = parts.iter().map(|part| padded(&part.mask, 3, f32::NEG_INFINITY)).collect::<Result<Vec<_>>>()?;
        Ok(Self {
            values: Tensor::cat(&values, 0)?,
            mask: Tensor::cat(&masks, 0)?,
            lengths: parts.iter().flat_map(|part| part.lengths.iter().copied()).collect(),
        })
    }

    /// The mean over tokens, `[B, E]`.
    pub fn mean(&self) -> Result<Tensor> {
        let (batch, n, _) = self.values.dims3()?;
        let weights: Vec<f32> = self
            .lengths
            .iter()
            .flat_map(|&length| (0..n).map(move |i| if i < length { 1.0 / length as f32 } else { 0.0 }))
            .collect();
        let weights = Tensor::from_vec(weights, (batch, n, 1), self.values.device())?;
        self.values.broadcast_mul(&weights)?.sum(1)
    }
}

/// What the language model is told: the kind where it is known, the name, what it means. The last token, which alone has seen all, is a full stop.
fn sentence(label: &Label) -> String {
    let kind = match label.likely_kind() {
        Some(Kind::Entity) => "A photo of a ",
        Some(Kind::Action) => "A video of something ",
        None => "A photo of ",
    };
    let definition = label.definition.as_deref().map(|d| d.trim().trim_end_matches('.')).filter(|d| !d.is_empty());
    let definition = definition.map(|definition| format!(", {definition}")).unwrap_or_default();
    format!("{kind}{}{definition}.", label.name.trim())
}

/// Standard deviation of a vector's numbers.
pub(crate) fn deviation(values: &Tensor) -> Result<f32> {
    let values = values.to_device(&Device::Cpu)?.to_vec1::<f32>()?;
    let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / values.len() as f64;
    let square = values.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / values.len() as f64;
    Ok(square.sqrt() as f32)
}
