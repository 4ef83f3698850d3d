use super::{Gradients, TrainingError};
use candle_core::{Device, Tensor, Var};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How weights follow their gradients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimizerConfig {
    /// Highest rate.
    pub rate: f64,
    /// Decay of the averages of gradients and of their squares.
    pub betas: (f64, f64),
    /// Added to the root of the squares' average.
    pub eps: f64,
    /// Share of a weight that is lost a step, times the rate; not of gains, biases and embeddings.
    pub weight_decay: f64,
    /// Greatest length of all gradients together; longer ones are shortened to it.
    pub clip: f64,
    /// Whether matrices follow Muon's rule, which see: [`AdamW::step`].
    pub muon: bool,
    /// What the rate is multiplied by for weights whose name begins with this: `{ label_encoder = 0.25 }`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rates: BTreeMap<String, f64>,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            rate: 3e-4,
            betas: (0.9, 0.98),
            eps: 1e-6,
            weight_decay: 0.05,
            clip: 1.0,
            muon: false,
            rates: BTreeMap::new(),
        }
    }
}

/// AdamW (Loshchilov, Hutter, arXiv 1711.05101). candle's keeps its averages to itself, so that a run could not be resumed.
#[derive(Debug)]
pub struct AdamW {
    config: OptimizerConfig,
    /// Steps taken.
    pub(super) steps: u64,
    pub(super) weights: BTreeMap<String, Weight>,
}

/// A weight with its averages.
#[derive(Debug)]
pub(super) struct Weight {
    pub variable: Var,
    decays: bool,
    /// What the rate is multiplied by.
    relative_rate: f64,
    /// Average of gradients.
    pub first_moment: Vec<f32>,
    /// Average of their squares.
    pub second_moment: Vec<f32>,
}

impl AdamW {
    /// For these weights, averages 0.
    pub fn new(variables: &BTreeMap<String, Var>, config: OptimizerConfig) -> Self {
        let weights = variables.iter().map(|(name, variable)| {
            let zeros = vec![0.0; variable.elem_count()];
            let weight = Weight {
                variable: variable.clone(),
                decays: decays(name, variable.dims()),
                relative_rate: config
                    .rates
                    .iter()
                    .find(|(part, _)| name.starts_with(*part))
                    .map_or(1.0, |(_, rate)| *rate),
                first_moment: zeros.clone(),
                second_moment: zeros,
            };
            (name.clone(), weight)
        });
        Self { weights: weights.collect(), config, steps: 0 }
    }

    /// One step of `rate`. Where the configuration says so, matrices take Muon's step instead (Jordan et al. 2024; its length made like
    /// AdamW's, Liu et al., arXiv 2502.16982): the average of their gradients with all singular values made equal, so that directions
    /// in which the loss is not steep yet are learned, too.
    ///
    /// `gradients` are in the order of the weights' names, and are clipped. Returns their length before that.
    pub fn step(&mut self, gradients: &mut Gradients, rate: f64) -> Result<f64, TrainingError> {
        self.steps += 1;
        let length = gradients.of.iter().flatten().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        let shorten = if length > self.config.clip { (self.config.clip / length) as f32 } else { 1.0 };
        let (beta1, beta2) = self.config.betas;
        let unbias = |beta: f64| (1.0 - beta.powi(self.steps as i32)) as f32;
        let (unbias1, unbias2) = (unbias(beta1), unbias(beta2));
        let (beta1, beta2, eps) = (beta1 as f32, beta2 as f32, self.config.eps as f32);
        let config = &self.config;
        let mut weights: Vec<_> = self.weights.values_mut().zip(&gradients.of).collect();
        weights.par_iter_mut().try_for_each(|(weight, gradient)| {
            let rate = rate * weight.relative_rate;
            let step = rate as f32;
            let keep = if weight.decays { 1.0 - (rate * config.weight_decay) as f32 } else { 1.0 };
            let mut values = weight.variable.flatten_all()?.to_vec1::<f32>()?;
            if let (true, true, &[rows, columns]) = (config.muon, weight.decays, weight.variable.dims()) {
                let mut ahead = Vec::with_capacity(values.len());
                for (m, g) in weight.first_moment.iter_mut().zip(*gradient) {
                    let g = g * shorten;
                    *m = MOMENTUM * *m + g;
                    ahead.push(MOMENTUM * *m + g);
                }
                let length = step * 0.2 * (rows.max(columns) as f32).sqrt();
                for (x, direction) in values.iter_mut().zip(orthogonal(ahead, rows, columns)?) {
                    *x = *x * keep - length * direction;
                }
            } else {
                let averages = weight.first_moment.iter_mut().zip(&mut weight.second_moment);
                for ((x, g), (m, v)) in values.iter_mut().zip(*gradient).zip(averages) {
                    let g = g * shorten;
                    *m = beta1 * *m + (1.0 - beta1) * g;
                    *v = beta2 * *v + (1.0 - beta2) * g * g;
                    *x = *x * keep - step * (*m / unbias1) / ((*v / unbias2).sqrt() + eps);
                }
            }
            let values = Tensor::from_vec(values, weight.variable.shape(), weight.variable.device())?;
            Ok::<_, TrainingError>(weight.variable.set(&values)?)
        })?;
        Ok(length)
    }
}

/// Of Muon's average of gradients.
const MOMENTUM: f32 = 0.95;

/// The nearest matrix to G `[rows, columns]` with all singular values about 1, by five steps of Newton and Schulz's iteration with Muon's
/// coefficients.
fn orthogonal(g: Vec<f32>, rows: usize, columns: usize) -> Result<Vec<f32>, TrainingError> {
    const STEPS: usize = 5;
    let g = Tensor::from_vec(g, (rows, columns), &Device::Cpu)?;
    let length = g.sqr()?.sum_all()?.sqrt()?.to_scalar::<f32>()?;
    let g = (g / f64::from(length.max(1e-7)))?;
    let tall = rows > columns;
    let mut x = if tall { g.t()?.contiguous()? } else { g };
    for _ in 0..STEPS {
        let a = x.matmul(&x.t()?)?;
        let b = ((&a * -4.775)? + (a.matmul(&a)? * 2.0315)?)?;
        x = ((&x * 3.4445)? + b.matmul(&x)?)?;
    }
    let x = if tall { x.t()?.contiguous()? } else { x };
    Ok(x.flatten_all()?.to_vec1()?)
}

/// Matrices decay; gains, biases and single numbers do not, nor what is looked up rather than multiplied.
fn decays(name: &str, shape: &[usize]) -> bool {
    let looked_up = [
        "token_embedding",
        "position_embedding",
        "class_embedding",
        "time_embedding",
        "prefixes",
        "queries",
        "reader.attributes",
    ];
    shape.len() > 1 && !looked_up.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use candle_nn::optim::{self, Optimizer, ParamsAdamW};

    /// candle's optimizer is an independent implementation.
    #[test]
    fn agrees_with_candles() {
        let start = Tensor::new(&[[1.0f32, -2.0], [0.5, 3.0]], &Device::Cpu).unwrap();
        let (ours, theirs) = (Var::from_tensor(&start).unwrap(), Var::from_tensor(&start.copy().unwrap()).unwrap());
        let config = OptimizerConfig {
            rate: 0.0,
            betas: (0.8, 0.95),
            eps: 1e-6,
            weight_decay: 0.1,
            clip: 1e9,
            muon: false,
            rates: BTreeMap::new(),
        };
        let params = ParamsAdamW { lr: 0.05, beta1: 0.8, beta2: 0.95, eps: 1e-6, weight_decay: 0.1 };
        let mut adamw = AdamW::new(&BTreeMap::from([("w".to_owned(), ours.clone())]), config);
        let mut peer = optim::AdamW::new(vec![theirs.clone()], params).unwrap();
        for _ in 0..5 {
            let loss = |w: &Var| w.as_tensor().sqr().unwrap().sqr().unwrap().sum_all().unwrap();
            let gradients = loss(&ours).backward().unwrap();
            let gradient = gradients.get(&ours).unwrap().flatten_all().unwrap().to_vec1().unwrap();
            adamw.step(&mut Gradients { loss: 0.0, of: vec![gradient] }, 0.05).unwrap();
            peer.backward_step(&loss(&theirs)).unwrap();
        }
        let values = |w: &Var| w.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for (a, b) in values(&ours).iter().zip(values(&theirs)) {
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
    }

    #[test]
    fn long_gradients_are_shortened() {
        let w = Var::from_tensor(&Tensor::new(&[0f32, 0.0], &Device::Cpu).unwrap()).unwrap();
        let config = OptimizerConfig { clip: 1.0, betas: (0.0, 0.0), eps: 1.0, ..OptimizerConfig::default() };
        let mut adamw = AdamW::new(&BTreeMap::from([("bias".to_owned(), w.clone())]), config);
        let length = adamw.step(&mut Gradients { loss: 0.0, of: vec![vec![3.0, 4.0]] }, 1.0).unwrap();
        assert_eq!(length, 5.0);
        // m = g = (0.6, 0.8) after clipping; step g / (|g| + 1).
        let got = w.to_vec1::<f32>().unwrap();
        assert!((got[0] + 0.6 / 1.6).abs() < 1e-6 && (got[1] + 0.8 / 1.8).abs() < 1e-6, "{got:?}");
    }

    #[test]
    fn singular_values_are_made_equal_and_directions_kept() {
        // Its singular vectors are the axes, so that they can be read off.
        let wide = vec![5.0, 0.0, 0.0, 0.0, /**/ 0.0, -0.5, 0.0, 0.0, /**/ 0.0, 0.0, 0.1, 0.0];
        let tall: Vec<f32> = (0..12).map(|i| wide[i % 3 * 4 + i / 3]).collect();
        for (got, at) in [(orthogonal(wide, 3, 4).unwrap(), [0, 5, 10]), (orthogonal(tall, 4, 3).unwrap(), [0, 4, 8])] {
            for (i, sign) in at.into_iter().zip([1.0, -1.0, 1.0]) {
                assert!((0.65..1.25).contains(&(sign * got[i])), "{got:?}");
            }
            assert!(got.iter().enumerate().all(|(i, x)| at.contains(&i) || x.abs() < 1e-5), "{got:?}");
        }
    }

    #[test]
    fn muon_moves_matrices_only_and_by_a_length_of_its_own() {
        let tensor = |values: &[f32], shape: &[usize]| Var::from_slice(values, shape, &Device::Cpu).unwrap();
        let (matrix, gain) = (tensor(&[1.0, 0.0, 0.0, 1.0], &[2, 2]), tensor(&[1.0, 1.0], &[2]));
        let weights = BTreeMap::from([("gain".to_owned(), gain.clone()), ("matrix".to_owned(), matrix.clone())]);
        let config =
            OptimizerConfig { muon: true, weight_decay: 0.0, clip: 1e9, eps: 0.0, ..OptimizerConfig::default() };
        let gradients = vec![vec![3.0, -3.0], vec![40.0, 0.0, 0.0, 0.01]];
        AdamW::new(&weights, config).step(&mut Gradients { loss: 0.0, of: gradients }, 0.1).unwrap();
        // AdamW's first step is the rate itself, whatever the gradient.
        assert!(gain.to_vec1::<f32>().unwrap().iter().zip([0.9, 1.1]).all(|(a, b)| (a - b).abs() < 1e-5));
        let moved = 1.0 - matrix.to_vec2::<f32>().unwrap()[0][0];
        assert!((0.5..1.3).contains(&(moved / (0.1 * 0.2 * 2f32.sqrt()))), "{moved}");
    }

    #[test]
    fn weights_may_have_a_rate_of_their_own() {
        let tensor = || Var::from_slice(&[1.0f32, 0.0, 0.0, 1.0], (2, 2), &Device::Cpu).unwrap();
        let (slow, fast) = (tensor(), tensor());
        let weights =
            BTreeMap::from([("fast.matrix".to_owned(), fast.clone()), ("slow.matrix".to_owned(), slow.clone())]);
        for muon in [false, true] {
            let rates = BTreeMap::from([("slow".to_owned(), 0.25)]);
            let config = OptimizerConfig { muon, rates, clip: 1e9, ..OptimizerConfig::default() };
            let before = [&slow, &fast].map(|weight| weight.to_vec2::<f32>().unwrap()[0][0]);
            let gradient = vec![4.0, 1.0, 0.0, 3.0];
            let mut gradients = Gradients { loss: 0.0, of: vec![gradient.clone(), gradient] };
            AdamW::new(&weights, config).step(&mut gradients, 0.01).unwrap();
            let [slow, fast] = [&slow, &fast].map(|weight| weight.to_vec2::<f32>().unwrap()[0][0]);
            let moved = (before[0] - slow) / (before[1] - fast);
            assert!((moved - 0.25).abs() < 1e-3, "{moved}");
        }
    }

    #[test]
    fn only_matrices_decay() {
        assert!(decays("text_model.encoder.layers.0.mlp.fc1.weight", &[4, 2]));
        assert!(decays("vision_model.embeddings.patch_embedding.weight", &[4, 3, 2, 2]));
        assert!(!decays("text_model.embeddings.token_embedding.weight", &[4, 2]));
        assert!(!decays("text_model.final_layer_norm.weight", &[4]));
        assert!(!decays("logit_scale", &[]));
    }
}
