//! Text features -> image space, learned from the names of known classes: kernel ridge regression.
//!
//! A classifier's weight row is the image-space embedding of its class name, so text features can be regressed onto
//! the rows: f(x) = sum_i k(x, x_i) a_i with A = (K + lambda I)^-1 Y (Saunders, Gammerman and Vovk 1998).

use candle_core::{D, Result, Tensor, bail};

use crate::nn::{cholesky::solve_positive_definite, unit_rows};

/// A fitted regression; all parts are tensors, so that it can be stored as safetensors.
#[derive(Debug, Clone)]
pub struct KernelRegression {
    /// Text features of the known names, `[N, F]`.
    pub anchors: Tensor,
    /// Dual coefficients A, `[N, D]`.
    pub coefficients: Tensor,
    /// k(x, y) = exp(-|x - y|^2 / width), a scalar tensor.
    pub width: Tensor,
}

impl KernelRegression {
    /// Fits text features `anchors` `[N, F]` to image-space targets `[N, D]`. `ridge` is lambda; the width is
    /// `breadth` times the median squared distance between anchors.
    pub fn fit(anchors: &Tensor, targets: &Tensor, ridge: f64, breadth: f64) -> Result<Self> {
        let (count, dimension) = targets.dims2()?;
        let distances = squared_distances(anchors, anchors)?;
        let mut sorted = distances.flatten_all()?.to_vec1::<f32>()?;
        let middle = sorted.len() / 2;
        let (_, median, _) = sorted.select_nth_unstable_by(middle, f32::total_cmp);
        let width = Tensor::new(*median * breadth as f32, anchors.device())?;
        let mut kernel: Vec<f64> =
            kernel(&distances, &width)?.flatten_all()?.to_vec1::<f32>()?.into_iter().map(f64::from).collect();
        kernel.iter_mut().step_by(count + 1).for_each(|diagonal| *diagonal += ridge);
        let mut solution: Vec<f64> = targets.flatten_all()?.to_vec1::<f32>()?.into_iter().map(f64::from).collect();
        if solve_positive_definite(kernel, &mut solution, count).is_none() {
            bail!("kernel regression: the kernel matrix of {count} anchors is not positive definite at ridge {ridge}");
        }
        let solution: Vec<f32> = solution.into_iter().map(|v| v as f32).collect();
        let coefficients = Tensor::from_vec(solution, (count, dimension), anchors.device())?;
        Ok(Self { anchors: anchors.clone(), coefficients, width })
    }

    /// Text features `[B, F]` -> image space, `[B, D]`, not normalised.
    pub fn predict(&self, features: &Tensor) -> Result<Tensor> {
        kernel(&squared_distances(features, &self.anchors)?, &self.width)?.matmul(&self.coefficients)
    }

    /// For every row of `[B, F]`: the nearest anchor and the cosine similarity to it in text space, after the mean of
    /// the anchors is taken off (all phrases of a language model share most of their direction).
    pub fn nearest(&self, features: &Tensor) -> Result<Vec<(usize, f32)>> {
        let mean = self.anchors.mean_keepdim(0)?;
        let centred = |x: &Tensor| unit_rows(&x.broadcast_sub(&mean)?);
        let cosine = centred(features)?.matmul(&centred(&self.anchors)?.t()?)?; // [B, N]
        let best = cosine.argmax(D::Minus1)?.to_vec1::<u32>()?;
        let similarity = cosine.max(D::Minus1)?.to_vec1::<f32>()?;
        Ok(best.into_iter().map(|i| i as usize).zip(similarity).collect())
    }
}

/// `[A, F]`, `[B, F]` -> `[A, B]`
fn squared_distances(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let squares = |x: &Tensor| x.sqr()?.sum(D::Minus1);
    let product = (a.matmul(&b.t()?)? * 2.0)?;
    squares(a)?.unsqueeze(1)?.broadcast_add(&squares(b)?.unsqueeze(0)?)?.sub(&product)?.relu()
}

/// exp(-distance / width), elementwise.
fn kernel(distances: &Tensor, width: &Tensor) -> Result<Tensor> {
    distances.broadcast_div(width)?.neg()?.exp()
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use serde::Deserialize;

    use crate::nn::pseudo_random::pseudo_random;

    /// scikit-learn's KernelRidge; scripts/goldens/kernel_regression.py.
    #[derive(Deserialize)]
    struct Golden {
        median: f32,
        predictions: Vec<Vec<f32>>,
    }

    fn noise(seed: u32, rows: usize, columns: usize) -> Result<Tensor> {
        Tensor::from_vec(pseudo_random(seed, rows * columns), (rows, columns), &Device::Cpu)
    }

    #[test]
    fn agrees_with_scikit_learn() -> Result<()> {
        let golden: Golden =
            serde_json::from_str(include_str!("../../tests/goldens/kernel_regression.json")).expect("golden");
        let regression = KernelRegression::fit(&noise(1, 20, 6)?, &noise(2, 20, 4)?, 0.1, 0.5)?;
        let width = regression.width.to_scalar::<f32>()?;
        assert!((width - 0.5 * golden.median).abs() < 1e-5, "{width}");
        let got = regression.predict(&noise(3, 5, 6)?)?.to_vec2::<f32>()?;
        for (got, expected) in got.iter().flatten().zip(golden.predictions.iter().flatten()) {
            assert!((got - expected).abs() < 1e-4, "{got} {expected}");
        }
        Ok(())
    }

    #[test]
    fn the_nearest_anchor_of_an_anchor_is_itself() -> Result<()> {
        let anchors = noise(1, 20, 6)?;
        let regression = KernelRegression::fit(&anchors, &noise(2, 20, 4)?, 0.1, 0.5)?;
        for (i, (nearest, similarity)) in regression.nearest(&anchors)?.into_iter().enumerate() {
            assert_eq!(nearest, i);
            assert!((similarity - 1.0).abs() < 1e-5);
        }
        Ok(())
    }
}
