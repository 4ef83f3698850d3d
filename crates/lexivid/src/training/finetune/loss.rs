use crate::dataset::Truth;
use candle_core::{Device, Result, Tensor};
use serde::{Deserialize, Serialize};
use std::ops::Mul;

/// What is made smaller.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, tag = "kind")]
pub enum LossConfig {
    /// Binary cross entropy.
    Bce,
    /// Asymmetric loss (Ridnik et al., arXiv 2009.14119): easy negatives count less.
    Asymmetric {
        /// Focus of positives.
        #[serde(default)]
        gamma_positive: f64,
        /// Focus of negatives.
        #[serde(default = "four")]
        gamma_negative: f64,
        /// Negatives below this probability do not count.
        #[serde(default = "twentieth")]
        margin: f64,
    },
}

fn four() -> f64 {
    4.0
}

fn twentieth() -> f64 {
    0.05
}

/// How much a pair of example and label counts, and for what.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Target {
    /// As a positive.
    pub present: f32,
    /// As a negative.
    pub absent: f32,
}

impl From<Truth> for Target {
    fn from(truth: Truth) -> Self {
        match truth {
            Truth::Positive => Self { present: 1.0, absent: 0.0 },
            Truth::Negative => Self { present: 0.0, absent: 1.0 },
            Truth::Unknown => Self::default(),
        }
    }
}

impl Mul<f32> for Target {
    type Output = Self;

    fn mul(self, weight: f32) -> Self {
        Self { present: self.present * weight, absent: self.absent * weight }
    }
}

/// Keeps logarithms finite.
const EPS: f64 = 1e-7;

/// `logits`: `[B, L]`, `targets`: as many, row by row; pairs of which nothing is known count for nothing. The sum over labels, the mean
/// over the B examples.
pub fn multi_label(config: LossConfig, logits: &Tensor, targets: &[Target]) -> Result<Tensor> {
    let (batch, labels) = logits.dims2()?;
    let part = |weight: fn(&Target) -> f32| {
        Tensor::from_vec(targets.iter().map(weight).collect(), (batch, labels), &Device::Cpu)
    };
    let (present, absent) = (part(|target| target.present)?, part(|target| target.absent)?);
    let sum = match config {
        LossConfig::Bce => {
            // -log sigmoid(z) = softplus(-z), -log(1 - sigmoid(z)) = softplus(z): finite for any z.
            ((present * softplus(&logits.neg()?)?)? + (absent * softplus(logits)?)?)?
        }
        LossConfig::Asymmetric { gamma_positive, gamma_negative, margin } => {
            let p = candle_nn::ops::sigmoid(logits)?;
            let shifted = (&p - margin)?.relu()?; // p_m = max(p - m, 0)
            // No gradient through the focusing weights (the authors' default).
            let focus = |x: Tensor, gamma: f64| x.detach().powf(gamma);
            let positives = (present * focus((1.0 - &p)?, gamma_positive)?)?.mul(&(p + EPS)?.log()?)?;
            let negatives =
                (absent * focus(shifted.clone(), gamma_negative)?)?.mul(&((1.0 - shifted)? + EPS)?.log()?)?;
            (positives + negatives)?.neg()?
        }
    };
    sum.sum_all()? / batch as f64
}

/// log(1 + e^z) = max(z, 0) + log(1 + e^-|z|).
fn softplus(z: &Tensor) -> Result<Tensor> {
    z.relu()? + ((z.abs()?.neg()?.exp()? + 1.0)?).log()?
}

#[cfg(test)]
mod tests {
    use super::*;
    use Truth::{Negative, Positive, Unknown};
    use candle_core::Var;

    const LOGITS: [f32; 6] = [2.0, -1.0, 0.3, -4.0, 1.5, 0.0];
    const TRUTHS: [Truth; 6] = [Positive, Negative, Unknown, Negative, Negative, Positive];

    /// The formulas of the docstrings, in f64.
    fn by_hand(config: LossConfig) -> f64 {
        let terms = LOGITS.iter().zip(TRUTHS).map(|(z, truth)| {
            let p = 1.0 / (1.0 + (-f64::from(*z)).exp());
            match (config, truth) {
                (_, Unknown) => 0.0,
                (LossConfig::Bce, Positive) => -p.ln(),
                (LossConfig::Bce, Negative) => -(1.0 - p).ln(),
                (LossConfig::Asymmetric { gamma_positive, .. }, Positive) => -(1.0 - p).powf(gamma_positive) * p.ln(),
                (LossConfig::Asymmetric { gamma_negative, margin, .. }, Negative) => {
                    let p = (p - margin).max(0.0);
                    -p.powf(gamma_negative) * (1.0 - p).ln()
                }
            }
        });
        terms.sum::<f64>() / 2.0
    }

    #[test]
    fn losses_are_their_formulas() {
        let logits = Tensor::from_slice(&LOGITS, (2, 3), &Device::Cpu).unwrap();
        let asymmetric = LossConfig::Asymmetric { gamma_positive: 1.0, gamma_negative: 4.0, margin: 0.05 };
        for config in [LossConfig::Bce, asymmetric] {
            let got =
                f64::from(multi_label(config, &logits, &TRUTHS.map(Target::from)).unwrap().to_scalar::<f32>().unwrap());
            assert!((got - by_hand(config)).abs() < 1e-5, "{config:?}: {got} {}", by_hand(config));
        }
    }

    #[test]
    fn what_is_unknown_has_no_gradient_and_large_logits_stay_finite() {
        let logits = Tensor::from_slice(&[90f32, -90.0, 1.0], (1, 3), &Device::Cpu).unwrap();
        let logits = Var::from_tensor(&logits).unwrap();
        let targets = [Negative, Positive, Unknown].map(Target::from);
        let loss = multi_label(LossConfig::Bce, &logits, &targets).unwrap();
        assert!((loss.to_scalar::<f32>().unwrap() - 180.0).abs() < 1e-3);
        let gradient = loss.backward().unwrap().get(&logits).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert!((gradient[0] - 1.0).abs() < 1e-6 && (gradient[1] + 1.0).abs() < 1e-6, "{gradient:?}");
        assert_eq!(gradient[2], 0.0);
    }
}
