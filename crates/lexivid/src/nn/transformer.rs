use super::{Activation, Attention, LayerNorm, Mlp, Scope, WeightsError, frozen, trained::TrainedBlock};
use candle_core::{Device, Result, Tensor};
use lexivid_kernels::Mask;

/// Sizes of a stack of transformer blocks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EncoderConfig {
    /// W.
    pub width: usize,
    /// L, the number of blocks.
    pub layers: usize,
    /// Attention heads; divides `width`.
    pub heads: usize,
    /// Width inside the MLPs.
    pub mlp_width: usize,
    /// Activation of the MLPs.
    pub activation: Activation,
    /// Epsilon of every layer norm.
    pub layer_norm_eps: f64,
}

/// One pre-norm block: x + attention(norm(x)), then x + mlp(norm(x)).
#[derive(Debug, Clone)]
pub struct EncoderBlock {
    norm1: LayerNorm,
    attention: Attention,
    norm2: LayerNorm,
    mlp: Mlp,
}

impl EncoderBlock {
    /// Reads `layer_norm1`, `self_attn`, `layer_norm2` and `mlp`.
    pub fn load(scope: &Scope, config: &EncoderConfig) -> std::result::Result<Self, WeightsError> {
        let &EncoderConfig { width, heads, mlp_width, activation, layer_norm_eps, .. } = config;
        Ok(Self {
            norm1: LayerNorm::load(&scope.enter("layer_norm1"), width, layer_norm_eps)?,
            attention: Attention::load(&scope.enter("self_attn"), width, heads)?,
            norm2: LayerNorm::load(&scope.enter("layer_norm2"), width, layer_norm_eps)?,
            mlp: Mlp::load(&scope.enter("mlp"), width, mlp_width, activation)?,
        })
    }

    /// `x`: `[B, S, W]`; `mask` broadcastable to `[B, H, S, S]`. Returns `[B, S, W]`.
    pub fn forward(&self, x: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        let normed = self.norm1.forward(x)?;
        let x = (x + self.attention.forward(&normed, &normed, mask)?)?;
        let mixed = self.mlp.forward(&self.norm2.forward(&x)?)?;
        x + mixed
    }
}

/// Which positions of a sequence see which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SelfMask {
    /// All see all.
    None,
    /// Each sees itself and what comes before it.
    Causal,
}

impl SelfMask {
    /// The same, of the kernels.
    pub fn kernel(self) -> Mask<'static> {
        match self {
            SelfMask::None => Mask::None,
            SelfMask::Causal => Mask::Causal,
        }
    }
}

/// A stack of blocks.
#[derive(Debug)]
pub struct Encoder(Blocks);

#[derive(Debug)]
enum Blocks {
    /// Differentiable, on any device.
    Tensors(Vec<EncoderBlock>),
    /// Constant, packed, on the CPU.
    Frozen(Box<frozen::Stack>),
    /// To be trained, on the CPU.
    Trained(Vec<TrainedBlock>),
}

impl Encoder {
    /// Reads `layers.0` to `layers.{L-1}`.
    pub fn load(scope: &Scope, config: &EncoderConfig) -> std::result::Result<Self, WeightsError> {
        let layers = (0..config.layers).map(|l| scope.enter("layers").enter(&l.to_string()));
        Ok(Self(match scope.compute().device {
            Device::Cpu if !scope.is_trainable() => {
                let blocks = layers.map(|layer| load_frozen(&layer, config)).collect::<std::result::Result<_, _>>()?;
                Blocks::Frozen(Box::new(frozen::Stack::new(blocks, scope.compute().precision)))
            }
            Device::Cpu => Blocks::Trained(
                layers.map(|layer| TrainedBlock::load(&layer, config)).collect::<std::result::Result<_, _>>()?,
            ),
            _ => Blocks::Tensors(
                layers.map(|layer| EncoderBlock::load(&layer, config)).collect::<std::result::Result<_, _>>()?,
            ),
        }))
    }

    /// `x`: `[B, S, W]`. Returns the last block's output `[B, S, W]`; every block's output, in order, is added to `keep`.
    pub fn forward(&self, x: Tensor, mask: SelfMask, mut keep: Option<&mut Vec<Tensor>>) -> Result<Tensor> {
        let mut x = x;
        match &self.0 {
            Blocks::Frozen(stack) => stack.forward_tensor(x, mask, None, keep),
            Blocks::Trained(blocks) => {
                for block in blocks {
                    x = block.forward(&x, mask)?;
                    if let Some(keep) = &mut keep {
                        keep.push(x.clone());
                    }
                }
                Ok(x)
            }
            Blocks::Tensors(blocks) => {
                let mask = match mask {
                    SelfMask::None => None,
                    SelfMask::Causal => Some(causal_mask(x.dim(1)?, x.device())?),
                };
                for block in blocks {
                    x = block.forward(&x, mask.as_ref())?;
                    if let Some(keep) = &mut keep {
                        keep.push(x.clone());
                    }
                }
                Ok(x)
            }
        }
    }
}

/// One block, packed: `layer_norm1`, `self_attn`, `layer_norm2` and `mlp`.
fn load_frozen(scope: &Scope, config: &EncoderConfig) -> std::result::Result<frozen::Block, WeightsError> {
    Ok(frozen::Block {
        attention: frozen::AttentionSublayer::load(scope, config)?,
        mlp: frozen::MlpSublayer::load(scope, config)?,
    })
}

/// `[S, S]`: 0 where the key is not after the query, minus infinity where it is.
pub(super) fn causal_mask(length: usize, device: &Device) -> Result<Tensor> {
    let mask: Vec<f32> = (0..length)
        .flat_map(|query| (0..length).map(move |key| if key > query { f32::NEG_INFINITY } else { 0.0 }))
        .collect();
    Tensor::from_vec(mask, (length, length), device)
}
