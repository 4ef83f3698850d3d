use crate::nn::{Scope, WeightsError};
use candle_core::{Device, Result, Tensor};
use std::f64::consts::PI;

/// e(t): where in its window a frame lies, by its real presentation time.
///
/// e = sum over k of cos(pi k tau) c_k, for tau from 0, the first frame, to 1, the last: smooth, so that it means the same for any number of
/// frames, however they are spread \[ours\]. A table with a row a frame, as STAN has, would know of no time between its rows, and what it learned
/// of eight frames would not hold for four.
#[derive(Debug)]
pub struct TimeEmbedding {
    /// c, `[F, W]`.
    coefficients: Tensor,
}

/// F: as many as eight frames can tell apart.
pub const FREQUENCIES: usize = 8;

impl TimeEmbedding {
    /// Reads `time_embedding`.
    pub fn load(scope: &Scope, width: usize) -> std::result::Result<Self, WeightsError> {
        Ok(Self { coefficients: scope.tensor("time_embedding", &[FREQUENCIES, width])? })
    }

    /// Cosines of B windows of T frames each, `[B, T, F]`, -> `[B, T, W]`.
    pub fn forward(&self, waves: &Tensor) -> Result<Tensor> {
        let (windows, frames, _) = waves.dims3()?;
        waves.reshape((windows * frames, FREQUENCIES))?.matmul(&self.coefficients)?.reshape((windows, frames, ()))
    }
}

/// Times of B windows of T frames each, in seconds -> cos(pi k tau), `[B, T, F]`.
pub fn waves(windows: &[Vec<f64>], device: &Device) -> Result<Tensor> {
    let frames = windows[0].len();
    let waves: Vec<f32> = windows
        .iter()
        .flat_map(|times| {
            let (first, last) = (times[0], times[frames - 1]);
            let length = if last > first { last - first } else { 1.0 };
            times.iter().map(move |time| (time - first) / length)
        })
        .flat_map(|tau| (0..FREQUENCIES).map(move |k| (PI * k as f64 * tau).cos() as f32))
        .collect();
    Tensor::from_vec(waves, (windows.len(), frames, FREQUENCIES), device)
}
