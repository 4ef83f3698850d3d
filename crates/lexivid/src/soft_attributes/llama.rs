//! A frozen Llama-family language model (SmolLM2) that gives its hidden states, H(l) of the method, and never generates.
//!
//! Gradients flow through it to learned inputs, on the CPU through [`frozen`] blocks, elsewhere through tensor operations, all
//! of which have a backward.

use candle_core::{D, DType, Device, Result, Tensor, bail};
use candle_nn::{Module, ops, rotary_emb};
use lexivid_kernels::Matrix;

use super::gguf::Gguf;
use std::sync::Arc;

use crate::nn::{
    Compute, SelfMask,
    frozen::{self, Rotary},
};

/// Hyper-parameters, from the `llama.*` metadata of a GGUF file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LlamaConfig {
    /// Width E of the hidden states.
    pub width: usize,
    /// Blocks in the file.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; each serves `heads / kv_heads` query heads.
    pub kv_heads: usize,
    /// Longest input in tokens.
    pub context: usize,
    /// Base of the rotary frequencies.
    pub rope_base: f32,
    /// Epsilon of the RMS norms.
    pub rms_epsilon: f32,
}

impl LlamaConfig {
    /// Reads and checks the metadata.
    pub fn from_gguf(gguf: &Gguf) -> Result<Self> {
        let architecture = gguf.text("general.architecture")?;
        if architecture != "llama" {
            bail!("expected a llama model, got {architecture:?}");
        }
        let config = Self {
            width: gguf.count("llama.embedding_length")?,
            layers: gguf.count("llama.block_count")?,
            heads: gguf.count("llama.attention.head_count")?,
            kv_heads: gguf.count("llama.attention.head_count_kv")?,
            context: gguf.count("llama.context_length")?,
            rope_base: gguf.number("llama.rope.freq_base")?,
            rms_epsilon: gguf.number("llama.attention.layer_norm_rms_epsilon")?,
        };
        let Self { width, heads, kv_heads, .. } = config;
        if heads == 0 || kv_heads == 0 || width % heads != 0 || heads % kv_heads != 0 {
            bail!("width {width} does not divide among {heads} heads, or these among {kv_heads} key heads");
        }
        Ok(config)
    }

    fn head_width(&self) -> usize {
        self.width / self.heads
    }
}

/// `x W^T`, `[B, T, in]` -> `[B, T, out]`.
struct Projection(Tensor); // [in, out], contiguous

impl Projection {
    fn read(gguf: &mut Gguf, name: &str, device: &Device) -> Result<Self> {
        Ok(Self(gguf.tensor(name, device)?.t()?.contiguous()?))
    }
}

impl Module for Projection {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (b, t, width) = x.dims3()?;
        x.reshape((b * t, width))?.matmul(&self.0)?.reshape((b, t, ()))
    }
}

struct Block {
    attention_norm: Tensor, // [E]
    query: Projection,
    key: Projection,
    value: Projection,
    output: Projection,
    mlp_norm: Tensor, // [E]
    gate: Projection,
    up: Projection,
    down: Projection,
}

impl Block {
    fn read(gguf: &mut Gguf, layer: usize, device: &Device) -> Result<Self> {
        let name = |part: &str| format!("blk.{layer}.{part}.weight");
        Ok(Self {
            attention_norm: gguf.tensor(&name("attn_norm"), device)?,
            query: Projection::read(gguf, &name("attn_q"), device)?,
            key: Projection::read(gguf, &name("attn_k"), device)?,
            value: Projection::read(gguf, &name("attn_v"), device)?,
            output: Projection::read(gguf, &name("attn_output"), device)?,
            mlp_norm: gguf.tensor(&name("ffn_norm"), device)?,
            gate: Projection::read(gguf, &name("ffn_gate"), device)?,
            up: Projection::read(gguf, &name("ffn_up"), device)?,
            down: Projection::read(gguf, &name("ffn_down"), device)?,
        })
    }

    /// `[B, T, E]` -> `[B, T, E]`
    fn forward(&self, x: &Tensor, config: &LlamaConfig, positions: &Positions) -> Result<Tensor> {
        let normed = ops::rms_norm_slow(x, &self.attention_norm, config.rms_epsilon)?;
        let x = (x + self.attention(&normed, config, positions)?)?;
        let normed = ops::rms_norm_slow(&x, &self.mlp_norm, config.rms_epsilon)?;
        let gated = (self.gate.forward(&normed)?.silu()? * self.up.forward(&normed)?)?;
        x + self.down.forward(&gated)?
    }

    fn attention(&self, x: &Tensor, config: &LlamaConfig, positions: &Positions) -> Result<Tensor> {
        let (b, t, width) = x.dims3()?;
        let heads = |x: Tensor, count| x.reshape((b, t, count, ()))?.transpose(1, 2)?.contiguous();
        // [B, heads, T, E / heads]; keys and values have fewer heads.
        let query = positions.rotate(&heads(self.query.forward(x)?, config.heads)?)?;
        let key = positions.rotate(&heads(self.key.forward(x)?, config.kv_heads)?)?;
        let value = heads(self.value.forward(x)?, config.kv_heads)?;
        let group = config.heads / config.kv_heads;
        let (key, value) = (repeat_heads(&key, group)?, repeat_heads(&value, group)?);
        let scale = 1.0 / (config.head_width() as f64).sqrt();
        let scores = (query.matmul(&key.t()?)? * scale)?.broadcast_add(&positions.mask)?; // [B, heads, T, T]
        let mixed = ops::softmax(&scores, D::Minus1)?.matmul(&value)?;
        self.output.forward(&mixed.transpose(1, 2)?.reshape((b, t, width))?)
    }
}

/// `[B, H, T, W]` -> `[B, H * times, T, W]`, every head `times` times in a row.
fn repeat_heads(x: &Tensor, times: usize) -> Result<Tensor> {
    let (b, h, t, w) = x.dims4()?;
    x.unsqueeze(2)?.broadcast_as((b, h, times, t, w))?.reshape((b, h * times, t, w))
}

/// What depends on the length of the input only.
struct Positions {
    cos: Tensor,  // [T, head width / 2]
    sin: Tensor,  // [T, head width / 2]
    mask: Tensor, // [T, T]: 0 up to and including the diagonal, -inf after it
}

impl Positions {
    fn new(length: usize, config: &LlamaConfig, device: &Device) -> Result<Self> {
        let half = config.head_width() / 2;
        let frequencies: Vec<f32> = (0..half).map(|i| config.rope_base.powf(-(i as f32) / half as f32)).collect();
        let time = Tensor::arange(0, length as u32, device)?.to_dtype(DType::F32)?.unsqueeze(1)?;
        let angle = time.broadcast_mul(&Tensor::new(frequencies, device)?.unsqueeze(0)?)?;
        let mask: Vec<f32> =
            (0..length).flat_map(|t| (0..length).map(move |s| if s <= t { 0.0 } else { f32::NEG_INFINITY })).collect();
        Ok(Self { cos: angle.cos()?, sin: angle.sin()?, mask: Tensor::from_vec(mask, (length, length), device)? })
    }

    /// Rotary embedding of `[B, H, T, W]`. llama.cpp stores the projections of queries and keys so that the pairs to
    /// be rotated are neighbours.
    fn rotate(&self, x: &Tensor) -> Result<Tensor> {
        rotary_emb::rope_i_slow(x, &self.cos, &self.sin)
    }
}

/// One block, packed.
fn read_frozen(gguf: &mut Gguf, layer: usize, config: &LlamaConfig, compute: &Compute) -> Result<frozen::Block> {
    let LlamaConfig { width, heads, kv_heads, rms_epsilon, .. } = *config;
    let mut values = |part: &str| -> Result<(Vec<usize>, Vec<f32>)> {
        let tensor = gguf.tensor(&format!("blk.{layer}.{part}.weight"), &Device::Cpu)?;
        Ok((tensor.dims().to_vec(), tensor.flatten_all()?.to_vec1()?))
    };
    let pack = |weights: &[f32], input: usize| Matrix::pack(weights, weights.len() / input, input, compute.precision);
    let linear = |matrix| frozen::Linear::packed(matrix, None, compute.isa);
    let qkv = [values("attn_q")?.1, values("attn_k")?.1, values("attn_v")?.1].concat();
    let (gate, up) = (values("ffn_gate")?, values("ffn_up")?.1);
    let (hidden, head_width) = (gate.0[0], config.head_width());
    let sizes = frozen::AttentionSizes { heads, kv_heads, head_width };
    if qkv.len() != sizes.stacked() * width || up.len() != gate.1.len() {
        bail!("block {layer}: expected projections of {sizes:?} and a gate like its values");
    }
    Ok(frozen::Block {
        attention: frozen::AttentionSublayer {
            isa: compute.isa,
            norm: frozen::Norm::Rms { gain: values("attn_norm")?.1, eps: rms_epsilon },
            qkv: linear(pack(&qkv, width)),
            sizes,
            out: linear(pack(&values("attn_output")?.1, width)),
        },
        mlp: frozen::MlpSublayer {
            isa: compute.isa,
            norm: frozen::Norm::Rms { gain: values("ffn_norm")?.1, eps: rms_epsilon },
            mlp: frozen::Mlp::gated(gate.1, up, &values("ffn_down")?.1, hidden, compute),
        },
    })
}

/// The language model, without its output head.
pub struct Llama {
    config: LlamaConfig,
    embeddings: Tensor, // [vocabulary, E]
    blocks: Blocks,
}

enum Blocks {
    /// Differentiable, on any device.
    Tensors(Vec<Block>),
    /// Constant, packed, on the CPU.
    Frozen(Box<frozen::Stack>),
}

impl Llama {
    /// Reads the embeddings and the first `layers` blocks, dequantised.
    pub fn from_gguf(gguf: &mut Gguf, layers: usize, compute: &Compute) -> Result<Self> {
        let device = &compute.device;
        let config = LlamaConfig::from_gguf(gguf)?;
        if layers > config.layers {
            bail!("expected at least {layers} layers, the model has {}", config.layers);
        }
        Ok(Self {
            config,
            embeddings: gguf.tensor("token_embd.weight", device)?,
            blocks: match device {
                Device::Cpu => {
                    let blocks = (0..layers).map(|i| read_frozen(gguf, i, &config, compute)).collect::<Result<_>>()?;
                    Blocks::Frozen(Box::new(frozen::Stack::new(blocks, compute.precision)))
                }
                _ => Blocks::Tensors((0..layers).map(|i| Block::read(gguf, i, device)).collect::<Result<_>>()?),
            },
        })
    }

    /// Hyper-parameters.
    pub fn config(&self) -> &LlamaConfig {
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

    /// The last of [`Llama::hidden_states`] alone.
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
                let rotary = Arc::new(Rotary::new(length, self.config.head_width(), self.config.rope_base));
                stack.forward_tensor(embeddings.clone(), SelfMask::Causal, Some(rotary), keep)
            }
            Blocks::Tensors(blocks) => {
                let positions = Positions::new(length, &self.config, embeddings.device())?;
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
