use crate::training::TrainingError;
use candle_core::{Tensor, Var};
use rand_chacha::{ChaCha8Rng, rand_core::Rng};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What keeps the frozen model's open vocabulary while it learns; each alone or together.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegularizationConfig {
    /// Weight of 1 - cos(f'_v, f0_v) (FROSTER, Huang et al., arXiv 2402.03241).
    #[serde(default)]
    pub distil_video: f64,
    /// Weight of 1 - cos(f'_t, f0_t), of labels that are trained on.
    #[serde(default)]
    pub distil_label: f64,
    /// A second loss at weights between the start and now.
    #[serde(default)]
    pub interpolation: Option<InterpolationConfig>,
}

/// Interpolated weights (Open-VCLIP, Weng et al., arXiv 2302.00624).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InterpolationConfig {
    /// Of the second loss.
    pub weight: f64,
    /// a ~ U(0, `greatest`) in theta_a = a theta_0 + (1 - a) theta.
    pub greatest: f32,
}

/// 1 - cos(x, y), the mean over rows; `[B, D]`, both L2-normalised.
pub(super) fn distance(x: &Tensor, y: &Tensor) -> candle_core::Result<Tensor> {
    (x * y)?.sum(1)?.mean_all()?.affine(-1.0, 1.0)
}

/// Weights as they were at the start, theta_0.
pub(super) struct StartWeights(BTreeMap<String, Tensor>);

impl StartWeights {
    /// Copies.
    pub fn of(variables: &BTreeMap<String, Var>) -> Result<Self, TrainingError> {
        let copies = variables.iter().map(|(name, variable)| Ok((name.clone(), variable.as_tensor().copy()?.detach())));
        Ok(Self(copies.collect::<candle_core::Result<_>>()?))
    }

    /// Runs `at` with the variables at theta_a, and puts them back. Returns what it gave, and a.
    pub fn between<T>(
        &self,
        variables: &BTreeMap<String, Var>,
        greatest: f32,
        random: &mut ChaCha8Rng,
        at: impl FnOnce() -> Result<T, TrainingError>,
    ) -> Result<(T, f64), TrainingError> {
        let a = f64::from(greatest) * f64::from(random.next_u32()) / f64::from(u32::MAX);
        let now = Self::of(variables)?;
        for (name, variable) in variables {
            variable.set(&((&self.0[name] * a)? + (&now.0[name] * (1.0 - a))?)?)?;
        }
        let result = at();
        for (name, variable) in variables {
            variable.set(&now.0[name])?;
        }
        Ok((result?, a))
    }
}
