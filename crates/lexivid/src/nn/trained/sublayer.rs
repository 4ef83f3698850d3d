use super::contiguous;
use crate::nn::{
    Compute, EncoderConfig, Scope, SelfMask, WeightsError,
    frozen::{self, WeightGradients},
    values,
};
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};
use lexivid_kernels::Matrix;
use std::{
    marker::PhantomData,
    sync::{Mutex, PoisonError},
};

/// Half a block on the kernels, as it is packed for one step.
pub trait Sublayer: Sized + Send + Sync + 'static {
    /// From the way forward to the way back.
    type Kept: Send;

    /// Layer, tensor and shape of all weights, in the order in which they lie in the operation's second argument.
    fn parts(config: &EncoderConfig) -> Vec<(&'static str, &'static str, Vec<usize>)>;

    /// With these weights, in the order of [`Sublayer::parts`].
    fn pack(config: &EncoderConfig, compute: &Compute, weights: &mut Flat) -> Self;

    /// `x`: `[M, W]`, sequences of `length`; becomes the output.
    fn forward(&self, x: &mut [f32], length: usize, mask: SelfMask) -> Self::Kept;

    /// `dy`: `[M, W]` -> dx.
    fn gradient(
        &self,
        kept: &Self::Kept,
        dy: &[f32],
        length: usize,
        mask: SelfMask,
        weights: &mut WeightGradients,
    ) -> Vec<f32>;
}

/// Weights that lie one after the other.
pub struct Flat<'a>(&'a [f32]);

impl Flat<'_> {
    fn take(&mut self, count: usize) -> Vec<f32> {
        let (part, rest) = self.0.split_at(count);
        self.0 = rest;
        part.to_vec()
    }

    fn norm(&mut self, config: &EncoderConfig) -> frozen::Norm {
        let (gain, bias) = (self.take(config.width), self.take(config.width));
        frozen::Norm::Layer { gain, bias, eps: config.layer_norm_eps as f32 }
    }

    fn linear(&mut self, output: usize, input: usize, compute: &Compute) -> frozen::Linear {
        let (weight, bias) = (self.take(output * input), self.take(output));
        frozen::Linear::packed(Matrix::pack(&weight, output, input, compute.precision), Some(bias), compute.isa)
    }
}

impl Sublayer for frozen::AttentionSublayer {
    type Kept = frozen::KeptAttention;

    /// Those of queries, keys and values follow each other, so that they are one stacked matrix.
    fn parts(config: &EncoderConfig) -> Vec<(&'static str, &'static str, Vec<usize>)> {
        let (gain, square) = (vec![config.width], vec![config.width, config.width]);
        vec![
            ("layer_norm1", "weight", gain.clone()),
            ("layer_norm1", "bias", gain.clone()),
            ("self_attn.q_proj", "weight", square.clone()),
            ("self_attn.k_proj", "weight", square.clone()),
            ("self_attn.v_proj", "weight", square.clone()),
            ("self_attn.q_proj", "bias", gain.clone()),
            ("self_attn.k_proj", "bias", gain.clone()),
            ("self_attn.v_proj", "bias", gain.clone()),
            ("self_attn.out_proj", "weight", square),
            ("self_attn.out_proj", "bias", gain),
        ]
    }

    fn pack(config: &EncoderConfig, compute: &Compute, weights: &mut Flat) -> Self {
        let &EncoderConfig { width, heads, .. } = config;
        // Fields are read in the order in which they are written here: the order of `parts`.
        Self {
            isa: compute.isa,
            norm: weights.norm(config),
            qkv: weights.linear(3 * width, width, compute),
            sizes: frozen::AttentionSizes { heads, kv_heads: heads, head_width: width / heads },
            out: weights.linear(width, width, compute),
        }
    }

    fn forward(&self, x: &mut [f32], length: usize, mask: SelfMask) -> Self::Kept {
        self.forward_keeping(x, length, mask.kernel(), None)
    }

    fn gradient(
        &self,
        kept: &Self::Kept,
        dy: &[f32],
        length: usize,
        mask: SelfMask,
        weights: &mut WeightGradients,
    ) -> Vec<f32> {
        self.gradient(kept, dy, length, mask.kernel(), None, Some(weights))
    }
}

impl Sublayer for frozen::MlpSublayer {
    type Kept = frozen::KeptMlp;

    fn parts(config: &EncoderConfig) -> Vec<(&'static str, &'static str, Vec<usize>)> {
        let &EncoderConfig { width, mlp_width, .. } = config;
        vec![
            ("layer_norm2", "weight", vec![width]),
            ("layer_norm2", "bias", vec![width]),
            ("mlp.fc1", "weight", vec![mlp_width, width]),
            ("mlp.fc1", "bias", vec![mlp_width]),
            ("mlp.fc2", "weight", vec![width, mlp_width]),
            ("mlp.fc2", "bias", vec![width]),
        ]
    }

    fn pack(config: &EncoderConfig, compute: &Compute, weights: &mut Flat) -> Self {
        let &EncoderConfig { width, mlp_width, activation, .. } = config;
        // In the order of `parts`, as above.
        Self {
            isa: compute.isa,
            norm: weights.norm(config),
            mlp: frozen::Mlp::Plain {
                fc1: weights.linear(mlp_width, width, compute),
                activation: activation.kernel(),
                fc2: weights.linear(width, mlp_width, compute),
            },
        }
    }

    fn forward(&self, x: &mut [f32], _: usize, _: SelfMask) -> Self::Kept {
        self.forward_keeping(x)
    }

    fn gradient(
        &self,
        kept: &Self::Kept,
        dy: &[f32],
        _: usize,
        _: SelfMask,
        weights: &mut WeightGradients,
    ) -> Vec<f32> {
        self.gradient(kept, dy, Some(weights))
    }
}

/// Half a block to be trained.
#[derive(Debug, Clone)]
pub struct TrainedSublayer<S> {
    /// In the order of [`Sublayer::parts`].
    weights: Vec<Tensor>,
    config: EncoderConfig,
    compute: Compute,
    half: PhantomData<S>,
}

impl<S: Sublayer> TrainedSublayer<S> {
    /// Reads the weights of [`Sublayer::parts`].
    pub fn load(scope: &Scope, config: &EncoderConfig) -> std::result::Result<Self, WeightsError> {
        let weights = S::parts(config).into_iter().map(|(layer, name, shape)| {
            let scope = layer.split('.').fold(scope.clone(), |scope, name| scope.enter(name));
            scope.tensor(name, &shape)
        });
        let weights = weights.collect::<std::result::Result<_, _>>()?;
        Ok(Self { weights, config: *config, compute: scope.compute().clone(), half: PhantomData })
    }

    /// `x`: `[B, S, W]`. Returns `[B, S, W]`.
    pub fn forward(&self, x: &Tensor, mask: SelfMask) -> Result<Tensor> {
        let flat = self.weights.iter().map(Tensor::flatten_all).collect::<Result<Vec<_>>>()?;
        let op = SublayerOp::<S> { config: self.config, compute: self.compute.clone(), mask, state: Mutex::default() };
        x.contiguous()?.apply_op2(&Tensor::cat(&flat, 0)?, op)
    }
}

/// Half a block as an operation on `x` `[B, S, W]` and all its weights, flat.
struct SublayerOp<S: Sublayer> {
    config: EncoderConfig,
    compute: Compute,
    mask: SelfMask,
    /// From the way forward to the way back.
    state: Mutex<Option<(S, S::Kept)>>,
}

impl<S: Sublayer> CustomOp2 for SublayerOp<S> {
    fn name(&self) -> &'static str {
        "trained-sublayer"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weights: &CpuStorage,
        weights_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (_, length, _) = x_layout.shape().dims3()?;
        let flat = contiguous(weights, weights_layout)?;
        let expected: usize = S::parts(&self.config).iter().map(|(.., shape)| shape.iter().product::<usize>()).sum();
        if flat.len() != expected {
            bail!("trained-sublayer: expected {expected} weights, got {}", flat.len());
        }
        let half = S::pack(&self.config, &self.compute, &mut Flat(flat));
        let mut x = contiguous(x, x_layout)?.to_vec();
        let kept = half.forward(&mut x, length, self.mask);
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = Some((half, kept));
        Ok((CpuStorage::F32(x), x_layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, weights: &Tensor, _: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (_, length, _) = x.dims3()?;
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((half, kept)) = &*state else { bail!("trained-sublayer: a gradient before the way forward") };
        let mut gradients = WeightGradients::default();
        let dx = half.gradient(kept, &values(dy)?, length, self.mask, &mut gradients);
        let gradients = gradients.into_flat()?;
        Ok((
            Some(Tensor::from_vec(dx, x.shape(), x.device())?),
            Some(Tensor::from_vec(gradients, weights.shape(), weights.device())?),
        ))
    }
}
