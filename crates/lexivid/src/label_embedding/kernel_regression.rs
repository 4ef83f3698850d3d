//! Label text -> a visual space, learned from the names of known classes: kernel ridge regression.
//!
//! A classifier's weight row is the embedding of its class name in the space that it classifies, so what is known of names can be regressed onto
//! the rows: f(x) = sum_i k(x, x_i) a_i with A = (K + lambda I)^-1 Y (Saunders, Gammerman and Vovk 1998). k is a mean of Gaussian kernels, each of
//! which looks at names in its own way: at a language model's states ([`StatesKernel`]), at words ([`super::BagKernel`]).

use candle_core::{D, Result, Tensor, bail};

use crate::nn::cholesky::solve_positive_definite;

/// A fitted regression.
#[derive(Debug, Clone)]
pub struct KernelRegression {
    /// Dual coefficients A, `[N, D]`.
    pub coefficients: Tensor,
}

impl KernelRegression {
    /// Fits the kernel of N known names among each other, `[N, N]`, to their places `[N, D]`. `ridge` is lambda.
    pub fn fit(kernel: &Tensor, targets: &Tensor, ridge: f64) -> Result<Self> {
        let (count, dimension) = targets.dims2()?;
        let mut kernel: Vec<f64> = kernel.flatten_all()?.to_vec1::<f32>()?.into_iter().map(f64::from).collect();
        kernel.iter_mut().step_by(count + 1).for_each(|diagonal| *diagonal += ridge);
        let mut solution: Vec<f64> = targets.flatten_all()?.to_vec1::<f32>()?.into_iter().map(f64::from).collect();
        if solve_positive_definite(kernel, &mut solution, count).is_none() {
            bail!("kernel regression: the kernel matrix of {count} anchors is not positive definite at ridge {ridge}");
        }
        let solution: Vec<f32> = solution.into_iter().map(|v| v as f32).collect();
        Ok(Self { coefficients: Tensor::from_vec(solution, (count, dimension), targets.device())? })
    }

    /// The kernel of B names with the known ones, `[B, N]` -> their places, `[B, D]`, not normalised.
    pub fn predict(&self, kernel: &Tensor) -> Result<Tensor> {
        kernel.matmul(&self.coefficients)
    }
}

/// k(x, y) = exp(-mean_r |x_r - y_r|^2 / m_r) over R readings of a language model's states. Every number of a reading is standardised over the
/// known names; m_r is the median of |x_r - y_r|^2 over pairs of them.
#[derive(Debug, Clone)]
pub struct StatesKernel {
    /// What is taken off, `[R E]`.
    pub shift: Tensor,
    /// What the rest is multiplied by, `[R E]`, 1 / sqrt(R m_r) included.
    pub scale: Tensor,
    /// The known names, shifted and scaled, `[N, R E]`.
    pub anchors: Tensor,
}

impl StatesKernel {
    /// From the readings of the known names, `[N, R, E]`.
    pub fn fit(readings: &Tensor) -> Result<Self> {
        /// Keeps a number that is the same for all names from being divided by 0.
        const LEAST_DEVIATION: f64 = 1e-6;
        let (count, parts, width) = readings.dims3()?;
        let mean = readings.mean(0)?; // [R, E]
        let centred = readings.broadcast_sub(&mean)?;
        let deviation = (centred.sqr()?.mean(0)?.sqrt()? + LEAST_DEVIATION)?;
        let standard = centred.broadcast_div(&deviation)?; // [N, R, E]
        let factors = (0..parts)
            .map(|part| {
                let part = standard.narrow(1, part, 1)?.squeeze(1)?.contiguous()?; // [N, E]
                let median = median(squared_distances(&part, &part)?.flatten_all()?.to_vec1()?);
                Tensor::full(1.0 / (parts as f32 * median).sqrt(), (1, width), readings.device())
            })
            .collect::<Result<Vec<_>>>()?;
        let factors = Tensor::cat(&factors, 0)?; // [R, E]
        Ok(Self {
            anchors: standard.broadcast_mul(&factors)?.reshape((count, parts * width))?,
            scale: (factors / deviation)?.flatten_all()?,
            shift: mean.flatten_all()?,
        })
    }

    /// Readings of B names, `[B, R, E]` -> the same, every number standardised as it is for the kernel, every reading of about unit variance.
    pub fn standardised(&self, readings: &Tensor) -> Result<Tensor> {
        let (_, parts, width) = readings.dims3()?;
        // m_r is about 2 E, the mean of |x - y|^2 over E standardised numbers.
        let scaled = self.scaled(readings)?.reshape(readings.shape())?;
        scaled * (2.0 * (parts * width) as f64).sqrt()
    }

    /// `[B, R, E]` -> `[B, R E]`
    fn scaled(&self, readings: &Tensor) -> Result<Tensor> {
        readings.flatten_from(1)?.broadcast_sub(&self.shift)?.broadcast_mul(&self.scale)
    }

    /// Readings of B names, `[B, R, E]` -> `[B, N]`.
    pub fn with(&self, readings: &Tensor) -> Result<Tensor> {
        squared_distances(&self.scaled(readings)?, &self.anchors)?.neg()?.exp()
    }
}

/// The middle one; of an even number the upper of both.
pub(super) fn median(mut values: Vec<f32>) -> f32 {
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f32::total_cmp).1
}

/// `[A, F]`, `[B, F]` -> `[A, B]`
fn squared_distances(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let squares = |x: &Tensor| x.sqr()?.sum(D::Minus1);
    let product = (a.matmul(&b.t()?)? * 2.0)?;
    squares(a)?.unsqueeze(1)?.broadcast_add(&squares(b)?.unsqueeze(0)?)?.sub(&product)?.relu()
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use serde::Deserialize;

    use crate::nn::pseudo_random::pseudo_random;

    /// scikit-learn's KernelRidge on standardised features; scripts/goldens/kernel_regression.py.
    #[derive(Deserialize)]
    struct Golden {
        kernel: Vec<Vec<f32>>,
        predictions: Vec<Vec<f32>>,
    }

    /// `rows` names with 2 readings of 3 numbers.
    fn readings(seed: u32, rows: usize) -> Result<Tensor> {
        Tensor::from_vec(pseudo_random(seed, rows * 6), (rows, 2, 3), &Device::Cpu)
    }

    #[test]
    fn agrees_with_scikit_learn() -> Result<()> {
        let golden: Golden =
            serde_json::from_str(include_str!("../../tests/goldens/kernel_regression.json")).expect("golden");
        let known = readings(1, 20)?;
        let kernel = StatesKernel::fit(&known)?;
        let targets = Tensor::from_vec(pseudo_random(2, 80), (20, 4), &Device::Cpu)?;
        let regression = KernelRegression::fit(&kernel.with(&known)?, &targets, 0.1)?;
        let asked = kernel.with(&readings(3, 5)?)?;
        for (got, expected) in [(regression.predict(&asked)?, golden.predictions), (asked, golden.kernel)] {
            for (got, expected) in got.to_vec2::<f32>()?.iter().flatten().zip(expected.iter().flatten()) {
                assert!((got - expected).abs() < 1e-4, "{got} {expected}");
            }
        }
        Ok(())
    }

    #[test]
    fn a_name_is_most_like_itself() -> Result<()> {
        let known = readings(1, 20)?;
        let kernel = StatesKernel::fit(&known)?.with(&known)?;
        for (i, row) in kernel.to_vec2::<f32>()?.iter().enumerate() {
            assert!((row[i] - 1.0).abs() < 1e-4, "{}", row[i]);
            assert!(row.iter().enumerate().all(|(j, k)| j == i || *k < row[i]));
        }
        Ok(())
    }
}
