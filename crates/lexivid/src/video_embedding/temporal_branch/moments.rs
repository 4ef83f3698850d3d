use super::time::FREQUENCIES;
use crate::nn::{LayerNorm, Linear, Scope, WeightsError};
use candle_core::{Device, Result, Tensor};
use std::f64::consts::PI;

/// What happens where, and when: moments of the patches over time and space \[ours\].
///
/// m = M vec over (k, j) of mean over (t, n) of c sqrt(F N) cos(pi k tau_t) psi_j(n) A norm(x_tn), with A to r numbers and psi the lowest
/// cosines over the picture's two axes. "To the right" is one of them: early and left, late and right. STAN's attention alone does not find
/// it: to a class token that looks at all places alike, what moves is the same at every moment, and there is no slope to learn
/// along (docs/RESULTS.md has the runs).
#[derive(Debug)]
pub struct Moments {
    norm: LayerNorm,
    /// A, `[r, W]`.
    read: Linear,
    /// M, `[W, F r P^2]`.
    write: Linear,
    /// psi, `[N, P^2]`.
    places: Tensor,
}

/// P: cosines over either axis of a picture.
const WAVES: usize = 3;

impl Moments {
    /// Reads `norm`, `read` and `write`, for r = `rank` and pictures of `grid * grid` patches.
    pub fn load(
        scope: &Scope,
        width: usize,
        eps: f64,
        grid: usize,
        rank: usize,
    ) -> std::result::Result<Self, WeightsError> {
        let wave = |k: usize, i: usize| (PI * k as f64 * (i as f64 + 0.5) / grid as f64).cos();
        let places: Vec<f32> = (0..grid * grid)
            .flat_map(|n| {
                (0..WAVES * WAVES).map(move |j| (wave(j / WAVES, n / grid) * wave(j % WAVES, n % grid)) as f32)
            })
            .collect();
        Ok(Self {
            norm: LayerNorm::load(&scope.enter("norm"), width, eps)?,
            read: Linear::load_without_bias(&scope.enter("read"), width, rank)?,
            write: Linear::load_without_bias(&scope.enter("write"), FREQUENCIES * rank * WAVES * WAVES, width)?,
            places: Tensor::from_vec(places, (grid * grid, WAVES * WAVES), &Device::Cpu)?
                .to_device(&scope.compute().device)?,
        })
    }

    /// Patches `[B, T, N, W]` and the cosines of their frames' times `[B, T, F]` -> m `[B, W]`.
    pub fn forward(&self, patches: &Tensor, waves: &Tensor) -> Result<Tensor> {
        let (batch, frames, count, _) = patches.dims4()?;
        let read = self.read.forward(&self.norm.forward(&patches.contiguous()?)?)?; // [B, T, N, r]
        let rank = read.dim(3)?;
        let moments = waves.transpose(1, 2)?.contiguous()?.matmul(&read.reshape((batch, frames, count * rank))?)?; // [B, F, N r]
        let moments = moments.reshape((batch * FREQUENCIES, count, rank))?.transpose(1, 2)?.contiguous()?; // [B F, r, N]
        let moments = moments.reshape((batch * FREQUENCIES * rank, count))?.matmul(&self.places)?; // [B F r, P^2]
        // The mean, as large as what is random in patches remains.
        let scale = ((FREQUENCIES * count) as f64).sqrt() / (frames * count) as f64;
        self.write.forward(&(moments.reshape((batch, ()))? * scale)?)
    }
}
