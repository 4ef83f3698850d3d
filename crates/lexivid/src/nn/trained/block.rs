use super::contiguous;
use crate::nn::{
    Compute, EncoderConfig, Scope, SelfMask, WeightsError,
    frozen::{self, Kept, WeightGradients},
    values,
};
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};
use lexivid_kernels::Matrix;
use std::sync::{Mutex, PoisonError};

/// One pre-norm block to be trained: x + attention(norm(x)), then x + mlp(norm(x)).
#[derive(Debug, Clone)]
pub struct TrainedBlock {
    /// In the order of [`Layout`]'s parts.
    weights: Vec<Tensor>,
    config: EncoderConfig,
    compute: Compute,
}

impl TrainedBlock {
    /// Reads `layer_norm1`, `self_attn`, `layer_norm2` and `mlp`.
    pub fn load(scope: &Scope, config: &EncoderConfig) -> std::result::Result<Self, WeightsError> {
        let weights = parts(config).into_iter().map(|(layer, name, shape)| {
            let scope = layer.split('.').fold(scope.clone(), |scope, name| scope.enter(name));
            scope.tensor(name, &shape)
        });
        let weights = weights.collect::<std::result::Result<_, _>>()?;
        Ok(Self { weights, config: *config, compute: scope.compute().clone() })
    }

    /// `x`: `[B, S, W]`. Returns `[B, S, W]`.
    pub fn forward(&self, x: &Tensor, mask: SelfMask) -> Result<Tensor> {
        let flat = self.weights.iter().map(Tensor::flatten_all).collect::<Result<Vec<_>>>()?;
        let op = BlockOp { config: self.config, compute: self.compute.clone(), mask, state: Mutex::default() };
        x.contiguous()?.apply_op2(&Tensor::cat(&flat, 0)?, op)
    }
}

/// Layer, tensor and shape of all weights, in the order in which they lie in the operation's second argument. Those of
/// queries, keys and values follow each other, so that they are one stacked matrix.
fn parts(config: &EncoderConfig) -> Vec<(&'static str, &'static str, Vec<usize>)> {
    let &EncoderConfig { width, mlp_width, .. } = config;
    let (gain, square) = (vec![width], vec![width, width]);
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
        ("self_attn.out_proj", "bias", gain.clone()),
        ("layer_norm2", "weight", gain.clone()),
        ("layer_norm2", "bias", gain.clone()),
        ("mlp.fc1", "weight", vec![mlp_width, width]),
        ("mlp.fc1", "bias", vec![mlp_width]),
        ("mlp.fc2", "weight", vec![width, mlp_width]),
        ("mlp.fc2", "bias", gain),
    ]
}

/// The block as an operation on `x` `[B, S, W]` and all weights, flat.
struct BlockOp {
    config: EncoderConfig,
    compute: Compute,
    mask: SelfMask,
    /// From the way forward to the way back.
    state: Mutex<Option<(frozen::Block, Kept)>>,
}

impl BlockOp {
    /// The block with these weights.
    fn pack(&self, flat: &[f32]) -> Result<frozen::Block> {
        let &EncoderConfig { width, heads, mlp_width, activation, layer_norm_eps, .. } = &self.config;
        let (isa, precision) = (self.compute.isa, self.compute.precision);
        let expected = 4 * width * width + 2 * width * mlp_width + 9 * width + mlp_width;
        if flat.len() != expected {
            bail!("trained-block: expected {expected} weights, got {}", flat.len());
        }
        let mut rest = flat;
        let mut take = |count| {
            let (part, after) = rest.split_at(count);
            rest = after;
            part.to_vec()
        };
        let norm = |take: &mut dyn FnMut(usize) -> Vec<f32>| {
            let (gain, bias) = (take(width), take(width));
            frozen::Norm::Layer { gain, bias, eps: layer_norm_eps as f32 }
        };
        let linear = |take: &mut dyn FnMut(usize) -> Vec<f32>, output, input| {
            let (weight, bias) = (take(output * input), take(output));
            frozen::Linear::packed(Matrix::pack(&weight, output, input, precision), Some(bias), isa)
        };
        // Fields are read in the order in which they are written here: the order of `parts`.
        Ok(frozen::Block {
            isa,
            norm1: norm(&mut take),
            qkv: linear(&mut take, 3 * width, width),
            attention: frozen::AttentionSizes { heads, kv_heads: heads, head_width: width / heads },
            head_norms: None,
            out: linear(&mut take, width, width),
            norm2: norm(&mut take),
            mlp: frozen::Mlp::Plain {
                fc1: linear(&mut take, mlp_width, width),
                activation: activation.kernel(),
                fc2: linear(&mut take, width, mlp_width),
            },
        })
    }
}

impl CustomOp2 for BlockOp {
    fn name(&self) -> &'static str {
        "trained-block"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weights: &CpuStorage,
        weights_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (_, length, _) = x_layout.shape().dims3()?;
        let block = self.pack(contiguous(weights, weights_layout)?)?;
        let mut x = contiguous(x, x_layout)?.to_vec();
        let kept = block.forward_keeping(&mut x, length, self.mask.kernel(), None);
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = Some((block, kept));
        Ok((CpuStorage::F32(x), x_layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, weights: &Tensor, _: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (_, length, _) = x.dims3()?;
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((block, kept)) = &*state else { bail!("trained-block: a gradient before the way forward") };
        let mut gradients = WeightGradients::default();
        let dx = block.gradient(kept, &values(dy)?, length, self.mask.kernel(), None, Some(&mut gradients));
        let gradients = gradients.into_flat()?;
        Ok((
            Some(Tensor::from_vec(dx, x.shape(), x.device())?),
            Some(Tensor::from_vec(gradients, weights.shape(), weights.device())?),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{Activation, EncoderBlock, Weights, on_every_path, pseudo_random::pseudo_random};
    use candle_core::{Device, Var};
    use lexivid_kernels::Precision;
    use std::collections::BTreeMap;

    const CONFIG: EncoderConfig = EncoderConfig {
        width: 24,
        layers: 1,
        heads: 3,
        mlp_width: 40,
        activation: Activation::QuickGelu,
        layer_norm_eps: 1e-5,
    };

    fn weights(compute: &Compute) -> Weights {
        let start = |name: &str, shape: &[usize]| {
            let seed = name.bytes().map(u32::from).sum();
            pseudo_random(seed, shape.iter().product()).into_iter().map(|x| 0.5 * x).collect()
        };
        Weights::start(Box::new(start), compute)
    }

    /// Output and gradients by name, the input's under "x".
    fn ran(weights: &Weights, forward: impl Fn(&Tensor) -> Result<Tensor>) -> (Vec<f32>, BTreeMap<String, Vec<f32>>) {
        let x = Tensor::from_vec(pseudo_random(7, 2 * 5 * 24), (2, 5, 24), &Device::Cpu).unwrap();
        let x = Var::from_tensor(&x).unwrap();
        let y = forward(&x).unwrap();
        // Every output counts differently.
        let factors = Tensor::from_vec(pseudo_random(8, 2 * 5 * 24), (2, 5, 24), &Device::Cpu).unwrap();
        let store = (&y * factors).unwrap().sum_all().unwrap().backward().unwrap();
        let mut all = weights.variables();
        all.insert("x".into(), x);
        let gradients =
            all.iter().map(|(name, variable)| (name.clone(), values(store.get(variable).unwrap()).unwrap()));
        (values(&y).unwrap(), gradients.collect())
    }

    fn distance(a: &[f32], b: &[f32]) -> f32 {
        let length = |x: &mut dyn Iterator<Item = f32>| x.map(|x| x * x).sum::<f32>().sqrt();
        length(&mut a.iter().zip(b).map(|(a, b)| a - b)) / length(&mut b.iter().copied()).max(1e-6)
    }

    /// candle's autodiff of the same block, in operations of its own, is the reference.
    #[test]
    fn output_and_gradients_agree_with_candles_on_every_path() {
        for mask in [SelfMask::None, SelfMask::Causal] {
            let compute = Compute::exact().unwrap();
            let reference = weights(&compute);
            let block = EncoderBlock::load(&reference.root(), &CONFIG).unwrap();
            let additive =
                (mask == SelfMask::Causal).then(|| crate::nn::transformer::causal_mask(5, &Device::Cpu).unwrap());
            let expected = ran(&reference, |x| block.forward(x, additive.as_ref()));
            for (precision, tolerance) in [(Precision::F32, 2e-5), (Precision::Bf16, 2e-2)] {
                for compute in on_every_path(precision) {
                    let ours = weights(&compute);
                    let block = TrainedBlock::load(&ours.root(), &CONFIG).unwrap();
                    let got = ran(&ours, |x| block.forward(x, mask));
                    assert!(distance(&got.0, &expected.0) < tolerance, "{:?} {precision}", compute.isa);
                    assert_eq!(got.1.keys().collect::<Vec<_>>(), expected.1.keys().collect::<Vec<_>>());
                    // A bias of the keys shifts all scores of a query alike: its gradient is 0, but for rounding.
                    for (name, gradient) in got.1.iter().filter(|(name, _)| *name != "self_attn.k_proj.bias") {
                        let apart = distance(gradient, &expected.1[name]);
                        assert!(apart < tolerance, "{:?} {precision} {name}: {apart}", compute.isa);
                    }
                }
            }
        }
    }
}
