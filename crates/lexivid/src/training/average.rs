use super::TrainingError;
use candle_core::{Device, Tensor, Var};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Weight averaging over the last steps (SWA, Izmailov et al., arXiv 1803.05407; as Open-VCLIP does, arXiv 2302.00624).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AveragingConfig {
    /// How many of the last steps have a part in it.
    pub last: u64,
    /// Steps from one that has to the next.
    pub every: u64,
    /// Share of the weights that the run began with.
    #[serde(default)]
    pub start: f64,
}

/// Weights of several steps, summed.
#[derive(Debug, Default)]
pub(super) struct Average {
    /// How many.
    pub count: u64,
    pub sums: BTreeMap<String, Vec<f32>>,
}

impl Average {
    /// Adds the weights as they are.
    pub fn add(&mut self, variables: &BTreeMap<String, Var>) -> Result<(), TrainingError> {
        self.count += 1;
        for (name, variable) in variables {
            let values = variable.flatten_all()?.to_vec1::<f32>()?;
            let sum = self.sums.entry(name.clone()).or_insert_with(|| vec![0.0; values.len()]);
            sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        }
        Ok(())
    }

    /// Sets the weights to their mean, with a share of `start`; leaves them where none was added.
    pub fn apply(
        &self,
        variables: &BTreeMap<String, Var>,
        start: &BTreeMap<String, Tensor>,
        share: f64,
    ) -> Result<(), TrainingError> {
        for (name, sum) in &self.sums {
            let variable = &variables[name];
            let mean = Tensor::from_slice(sum, variable.shape(), &Device::Cpu)?.affine(1.0 / self.count as f64, 0.0)?;
            variable.set(&((mean * (1.0 - share))? + (&start[name] * share)?)?)?;
        }
        Ok(())
    }
}
