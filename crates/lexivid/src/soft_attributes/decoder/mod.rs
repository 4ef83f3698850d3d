//! A frozen decoder-only language model (Llama and its kin) that gives its hidden states, H(l) of the method.
//!
//! Gradients flow through it to learned inputs, on the CPU through [`frozen`] blocks, elsewhere through tensor operations.

mod tensors;
mod weights;

use super::{
    LanguageModelError,
    checkpoint::{Checkpoint, DecoderConfig},
};
use crate::nn::{
    Compute, SelfMask,
    frozen::{self, Rotary},
};
use candle_core::{Device, Result, Tensor, bail};
use lexivid_kernels::Matrix;
use std::sync::Arc;
use weights::BlockWeights;

/// The language model, without its output head.
pub struct Decoder {
    config: DecoderConfig,
    embeddings: Tensor, // [vocabulary, E]
    blocks: Blocks,
}

enum Blocks {
    /// Differentiable, on any device.
    Tensors(Vec<tensors::Block>),
    /// Constant, packed, on the CPU.
    Frozen(Box<frozen::Stack>),
}

impl Decoder {
    /// Reads the embeddings and the first `layers` blocks, all of them if that is `None`, into f32.
    ///
    /// # Errors
    /// When there are fewer blocks, or a tensor is missing or has another shape than the configuration says.
    pub fn load(
        checkpoint: &dyn Checkpoint,
        layers: Option<usize>,
        compute: &Compute,
    ) -> std::result::Result<Self, LanguageModelError> {
        let on_kernels = matches!(compute.device, Device::Cpu);
        Self::load_as(checkpoint, layers, compute, on_kernels)
    }

    /// As [`Decoder::load`], on the kernels or as tensor operations.
    pub(super) fn load_as(
        checkpoint: &dyn Checkpoint,
        layers: Option<usize>,
        compute: &Compute,
        on_kernels: bool,
    ) -> std::result::Result<Self, LanguageModelError> {
        let config = checkpoint.config().clone();
        let layers = layers.unwrap_or(config.layers);
        if layers > config.layers {
            let path = checkpoint.path().to_owned();
            return Err(LanguageModelError::Blocks { path, expected: layers, got: config.layers });
        }
        let shape = [config.vocabulary, config.width];
        let embeddings = checkpoint.values("embed_tokens.weight", &shape)?;
        let weights = (0..layers).map(|layer| BlockWeights::read(checkpoint, layer));
        let blocks = if on_kernels {
            let blocks = weights.map(|weights| Ok(frozen_block(weights?, &config, compute)));
            let blocks = blocks.collect::<std::result::Result<_, LanguageModelError>>()?;
            Blocks::Frozen(Box::new(frozen::Stack::new(blocks, compute.precision)))
        } else {
            let blocks = weights.map(|weights| Ok(tensors::Block::new(weights?, &config, &compute.device)?));
            Blocks::Tensors(blocks.collect::<std::result::Result<_, LanguageModelError>>()?)
        };
        Ok(Self { embeddings: Tensor::from_vec(embeddings, &shape, &compute.device)?, config, blocks })
    }

    /// Hyper-parameters.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// Where the weights are.
    pub fn device(&self) -> &Device {
        self.embeddings.device()
    }

    /// Of all tokens, `[vocabulary, E]`.
    pub fn embeddings(&self) -> &Tensor {
        &self.embeddings
    }

    /// Token ids `[B, T]` (u32) -> token embeddings E(l), `[B, T, E]`.
    pub fn embed(&self, tokens: &Tensor) -> Result<Tensor> {
        let (b, t) = tokens.dims2()?;
        self.embeddings.index_select(&tokens.flatten_all()?, 0)?.reshape((b, t, ()))
    }

    /// Input embeddings `[B, T, E]` -> hidden states: the input, then the raw output of every block (the final norm is
    /// not applied), each `[B, T, E]`.
    ///
    /// Attention is causal, so shorter texts are padded at the *end*: states before the padding do not depend on it.
    /// States of the padding itself mean nothing.
    pub fn hidden_states(&self, embeddings: &Tensor) -> Result<Vec<Tensor>> {
        let mut states = vec![embeddings.clone()];
        self.run(embeddings, Some(&mut states))?;
        Ok(states)
    }

    /// The last of [`Decoder::hidden_states`] alone.
    pub fn last_state(&self, embeddings: &Tensor) -> Result<Tensor> {
        self.run(embeddings, None)
    }

    /// The last block's output; every block's is added to `keep`.
    fn run(&self, embeddings: &Tensor, mut keep: Option<&mut Vec<Tensor>>) -> Result<Tensor> {
        let (_, length, _) = embeddings.dims3()?;
        if length > self.config.context {
            bail!("expected at most {} tokens, got {length}", self.config.context);
        }
        match &self.blocks {
            Blocks::Frozen(stack) => {
                let rotary = Arc::new(Rotary::new(0..length, &self.config.frequencies));
                stack.forward_tensor(embeddings.clone(), SelfMask::Causal, Some(rotary), keep)
            }
            Blocks::Tensors(blocks) => {
                let positions = tensors::Positions::new(length, &self.config.frequencies, embeddings.device())?;
                let mut x = embeddings.clone();
                for block in blocks {
                    x = block.forward(&x, &self.config, &positions)?;
                    if let Some(keep) = &mut keep {
                        keep.push(x.clone());
                    }
                }
                Ok(x)
            }
        }
    }
}

/// A text that a decoder reads piece by piece.
pub(super) struct Reading<'a> {
    decoder: &'a Decoder,
    stack: &'a frozen::Stack,
    cache: frozen::Cache,
    /// Tokens read.
    length: usize,
}

impl Decoder {
    /// Begins to read a text.
    ///
    /// # Errors
    /// When the decoder is not on the CPU.
    pub(super) fn begin(&self) -> Result<Reading<'_>> {
        match &self.blocks {
            Blocks::Frozen(stack) => Ok(Reading { decoder: self, stack, cache: stack.cache(), length: 0 }),
            Blocks::Tensors(_) => bail!("reading piece by piece: expected a decoder on the CPU"),
        }
    }
}

impl Reading<'_> {
    /// Reads further tokens, T of them; their states after the last block, `[T, E]`.
    ///
    /// # Errors
    /// When the text becomes longer than the context, or a token is not in the vocabulary.
    pub fn read(&mut self, tokens: &[u32]) -> Result<Vec<f32>> {
        let DecoderConfig { context, frequencies, .. } = &self.decoder.config;
        let length = self.length + tokens.len();
        if length > *context {
            bail!("expected at most {context} tokens, got {length}");
        }
        let tokens = Tensor::new(tokens, self.decoder.device())?.unsqueeze(0)?;
        let mut x = self.decoder.embed(&tokens)?.flatten_all()?.to_vec1()?; // [T, E]
        self.stack.extend(&mut x, &mut self.cache, &Rotary::new(self.length..length, frequencies));
        self.length = length;
        Ok(x)
    }
}

/// One block, packed.
fn frozen_block(weights: BlockWeights, config: &DecoderConfig, compute: &Compute) -> frozen::Block {
    let &DecoderConfig { width, heads, kv_heads, head_width, mlp_width, rms_epsilon: eps, .. } = config;
    let linear = |weights: &[f32], bias, input: usize| {
        let matrix = Matrix::pack(weights, weights.len() / input, input, compute.precision);
        frozen::Linear::packed(matrix, bias, compute.isa)
    };
    frozen::Block {
        attention: frozen::AttentionSublayer {
            isa: compute.isa,
            norm: frozen::Norm::Rms { gain: weights.attention_norm, eps },
            qkv: linear(&weights.projections.concat(), weights.biases.map(|biases| biases.concat()), width),
            sizes: frozen::AttentionSizes { heads, kv_heads, head_width },
            head_norms: weights.head_norms.map(|[queries, keys]| frozen::HeadNorms { queries, keys, eps }),
            out: linear(&weights.output, None, heads * head_width),
        },
        mlp: frozen::MlpSublayer {
            isa: compute.isa,
            norm: frozen::Norm::Rms { gain: weights.mlp_norm, eps },
            mlp: frozen::Mlp::gated(weights.gate, weights.up, &weights.down, mlp_width, compute),
        },
    }
}
