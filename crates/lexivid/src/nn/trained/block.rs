use super::TrainedSublayer;
use crate::nn::{EncoderConfig, Scope, SelfMask, WeightsError, frozen};
use candle_core::{Result, Tensor};

/// One pre-norm block to be trained: x + attention(norm(x)), then x + mlp(norm(x)).
#[derive(Debug, Clone)]
pub struct TrainedBlock {
    attention: TrainedSublayer<frozen::AttentionSublayer>,
    mlp: TrainedSublayer<frozen::MlpSublayer>,
}

impl TrainedBlock {
    /// Reads `layer_norm1`, `self_attn`, `layer_norm2` and `mlp`.
    pub fn load(scope: &Scope, config: &EncoderConfig) -> std::result::Result<Self, WeightsError> {
        Ok(Self { attention: TrainedSublayer::load(scope, config)?, mlp: TrainedSublayer::load(scope, config)? })
    }

    /// `x`: `[B, S, W]`. Returns `[B, S, W]`.
    pub fn forward(&self, x: &Tensor, mask: SelfMask) -> Result<Tensor> {
        self.mlp.forward(&self.attention.forward(x, mask)?, mask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{Activation, Compute, EncoderBlock, Weights, on_every_path, pseudo_random::pseudo_random, values};
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
            Ok(pseudo_random(seed, shape.iter().product()).into_iter().map(|x| 0.5 * x).collect())
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
