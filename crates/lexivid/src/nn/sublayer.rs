//! The halves of a pre-norm block, for networks that put something between them.

use super::{
    Attention, EncoderConfig, LayerNorm, Mlp, Scope, SelfMask, WeightsError, frozen, trained::TrainedSublayer, values,
};
use candle_core::{Device, Result, Tensor};

/// x + attention(norm(x)).
#[derive(Debug)]
pub struct AttentionSublayer(AttentionPath);

#[derive(Debug)]
enum AttentionPath {
    /// Differentiable, on any device.
    Tensors { norm: LayerNorm, attention: Box<Attention> },
    /// Constant, packed, on the CPU.
    Frozen(Box<frozen::AttentionSublayer>),
    /// To be trained, on the CPU.
    Trained(TrainedSublayer<frozen::AttentionSublayer>),
}

impl AttentionSublayer {
    /// Reads `layer_norm1` and `self_attn`.
    pub fn load(scope: &Scope, config: &EncoderConfig) -> std::result::Result<Self, WeightsError> {
        let &EncoderConfig { width, heads, layer_norm_eps, .. } = config;
        Ok(Self(match scope.compute().device {
            Device::Cpu if scope.is_trainable() => AttentionPath::Trained(TrainedSublayer::load(scope, config)?),
            Device::Cpu => AttentionPath::Frozen(Box::new(frozen::AttentionSublayer::load(scope, config)?)),
            _ => AttentionPath::Tensors {
                norm: LayerNorm::load(&scope.enter("layer_norm1"), width, layer_norm_eps)?,
                attention: Box::new(Attention::load(&scope.enter("self_attn"), width, heads)?),
            },
        }))
    }

    /// `x`: `[B, S, W]`. Returns `[B, S, W]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match &self.0 {
            AttentionPath::Tensors { norm, attention } => {
                let normed = norm.forward(x)?;
                x + attention.forward(&normed, &normed, None)?
            }
            AttentionPath::Frozen(sublayer) => {
                let mut rows = values(x)?;
                let mut workspace = frozen::Workspace::new(sublayer.qkv.precision());
                sublayer.forward(&mut rows, x.dim(1)?, SelfMask::None.kernel(), None, &mut workspace);
                Tensor::from_vec(rows, x.shape(), x.device())
            }
            AttentionPath::Trained(sublayer) => sublayer.forward(x, SelfMask::None),
        }
    }
}

/// x + mlp(norm(x)).
#[derive(Debug)]
pub struct MlpSublayer(MlpPath);

#[derive(Debug)]
enum MlpPath {
    /// Differentiable, on any device.
    Tensors { norm: LayerNorm, mlp: Box<Mlp> },
    /// Constant, packed, on the CPU.
    Frozen(Box<frozen::MlpSublayer>),
    /// To be trained, on the CPU.
    Trained(TrainedSublayer<frozen::MlpSublayer>),
}

impl MlpSublayer {
    /// Reads `layer_norm2` and `mlp`.
    pub fn load(scope: &Scope, config: &EncoderConfig) -> std::result::Result<Self, WeightsError> {
        let &EncoderConfig { width, mlp_width, activation, layer_norm_eps, .. } = config;
        Ok(Self(match scope.compute().device {
            Device::Cpu if scope.is_trainable() => MlpPath::Trained(TrainedSublayer::load(scope, config)?),
            Device::Cpu => MlpPath::Frozen(Box::new(frozen::MlpSublayer::load(scope, config)?)),
            _ => MlpPath::Tensors {
                norm: LayerNorm::load(&scope.enter("layer_norm2"), width, layer_norm_eps)?,
                mlp: Box::new(Mlp::load(&scope.enter("mlp"), width, mlp_width, activation)?),
            },
        }))
    }

    /// `x`: `[B, S, W]`. Returns `[B, S, W]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match &self.0 {
            MlpPath::Tensors { norm, mlp } => x + mlp.forward(&norm.forward(x)?)?,
            MlpPath::Frozen(sublayer) => {
                let mut rows = values(x)?;
                sublayer.forward(&mut rows, &mut frozen::Workspace::new(sublayer.precision()));
                Tensor::from_vec(rows, x.shape(), x.device())
            }
            MlpPath::Trained(sublayer) => sublayer.forward(x, SelfMask::None),
        }
    }
}
