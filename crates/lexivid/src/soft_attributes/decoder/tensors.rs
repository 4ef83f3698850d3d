//! A block as tensor operations, all of which have a backward, for other devices than the CPU.

use super::weights::BlockWeights;
use crate::{nn::causal_mask, soft_attributes::checkpoint::DecoderConfig};
use candle_core::{D, DType, Device, Result, Tensor};
use candle_nn::{Module, ops, rotary_emb};

/// `x W^T + b`, `[B, T, in]` -> `[B, T, out]`.
struct Projection {
    weight: Tensor,       // [in, out], contiguous
    bias: Option<Tensor>, // [out]
}

impl Projection {
    fn new(weight: Vec<f32>, bias: Option<Vec<f32>>, input: usize, device: &Device) -> Result<Self> {
        let output = weight.len() / input;
        let weight = Tensor::from_vec(weight, (output, input), device)?.t()?.contiguous()?;
        Ok(Self { weight, bias: bias.map(|bias| Tensor::from_vec(bias, output, device)).transpose()? })
    }
}

impl Module for Projection {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (b, t, width) = x.dims3()?;
        let y = x.reshape((b * t, width))?.matmul(&self.weight)?.reshape((b, t, ()))?;
        match &self.bias {
            Some(bias) => y.broadcast_add(bias),
            None => Ok(y),
        }
    }
}

pub(super) struct Block {
    attention_norm: Tensor, // [E]
    query: Projection,
    key: Projection,
    value: Projection,
    /// Gains of queries and keys, `[d]` each.
    head_norms: Option<[Tensor; 2]>,
    output: Projection,
    mlp_norm: Tensor, // [E]
    gate: Projection,
    up: Projection,
    down: Projection,
}

impl Block {
    pub fn new(weights: BlockWeights, config: &DecoderConfig, device: &Device) -> Result<Self> {
        let vector = |values: Vec<f32>| {
            let len = values.len();
            Tensor::from_vec(values, len, device)
        };
        let &DecoderConfig { width, heads, head_width, mlp_width, .. } = config;
        let project = |weight, bias, input| Projection::new(weight, bias, input, device);
        let [query, key, value] = weights.projections;
        let [query_bias, key_bias, value_bias] = weights.biases.map_or([None, None, None], |biases| biases.map(Some));
        let head_norms =
            weights.head_norms.map(|[query, key]| Ok::<_, candle_core::Error>([vector(query)?, vector(key)?]));
        Ok(Self {
            attention_norm: vector(weights.attention_norm)?,
            query: project(query, query_bias, width)?,
            key: project(key, key_bias, width)?,
            value: project(value, value_bias, width)?,
            head_norms: head_norms.transpose()?,
            output: project(weights.output, None, heads * head_width)?,
            mlp_norm: vector(weights.mlp_norm)?,
            gate: project(weights.gate, None, width)?,
            up: project(weights.up, None, width)?,
            down: project(weights.down, None, mlp_width)?,
        })
    }

    /// `[B, T, E]` -> `[B, T, E]`
    pub fn forward(&self, x: &Tensor, config: &DecoderConfig, positions: &Positions) -> Result<Tensor> {
        let normed = ops::rms_norm_slow(x, &self.attention_norm, config.rms_epsilon)?;
        let x = (x + self.attention(&normed, config, positions)?)?;
        let normed = ops::rms_norm_slow(&x, &self.mlp_norm, config.rms_epsilon)?;
        let gated = (self.gate.forward(&normed)?.silu()? * self.up.forward(&normed)?)?;
        x + self.down.forward(&gated)?
    }

    fn attention(&self, x: &Tensor, config: &DecoderConfig, positions: &Positions) -> Result<Tensor> {
        let (b, t, _) = x.dims3()?;
        let heads = |x: Tensor, count| x.reshape((b, t, count, ()))?.transpose(1, 2)?.contiguous();
        // [B, heads, T, d]; keys and values have fewer heads.
        let mut query = heads(self.query.forward(x)?, config.heads)?;
        let mut key = heads(self.key.forward(x)?, config.kv_heads)?;
        let value = heads(self.value.forward(x)?, config.kv_heads)?;
        if let Some([query_gain, key_gain]) = &self.head_norms {
            query = ops::rms_norm_slow(&query, query_gain, config.rms_epsilon)?;
            key = ops::rms_norm_slow(&key, key_gain, config.rms_epsilon)?;
        }
        let (query, key) = (positions.rotate(&query)?, positions.rotate(&key)?);
        let group = config.heads / config.kv_heads;
        let (key, value) = (repeat_heads(&key, group)?, repeat_heads(&value, group)?);
        let scale = 1.0 / (config.head_width as f64).sqrt();
        let scores = (query.matmul(&key.t()?)? * scale)?.broadcast_add(&positions.mask)?; // [B, heads, T, T]
        let mixed = ops::softmax(&scores, D::Minus1)?.matmul(&value)?;
        self.output.forward(&mixed.transpose(1, 2)?.reshape((b, t, config.heads * config.head_width))?)
    }
}

/// `[B, H, T, d]` -> `[B, H * times, T, d]`, every head `times` times in a row.
fn repeat_heads(x: &Tensor, times: usize) -> Result<Tensor> {
    let (b, h, t, d) = x.dims4()?;
    x.unsqueeze(2)?.broadcast_as((b, h, times, t, d))?.reshape((b, h * times, t, d))
}

/// What depends on the length of the input only.
pub(super) struct Positions {
    cos: Tensor,  // [T, d / 2]
    sin: Tensor,  // [T, d / 2]
    mask: Tensor, // [T, T]: 0 up to and including the diagonal, -inf after it
}

impl Positions {
    pub fn new(length: usize, frequencies: &[f32], device: &Device) -> Result<Self> {
        let time = Tensor::arange(0, length as u32, device)?.to_dtype(DType::F32)?.unsqueeze(1)?;
        let angle = time.broadcast_mul(&Tensor::new(frequencies, device)?.unsqueeze(0)?)?;
        Ok(Self { cos: angle.cos()?, sin: angle.sin()?, mask: causal_mask(length, device)? })
    }

    /// Rotary embedding of `[B, H, T, d]`, pairs being neighbours.
    fn rotate(&self, x: &Tensor) -> Result<Tensor> {
        rotary_emb::rope_i_slow(x, &self.cos, &self.sin)
    }
}
