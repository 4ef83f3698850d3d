//! Gradients with respect to the weights of a half of a block, for where they are trained after all.

use candle_core::{Device, Result, Tensor};

/// Gradients of the weights of one half of a block, layers in the order in which data passes them.
#[derive(Debug, Default)]
pub struct WeightGradients {
    /// Last layer first: the way back fills it.
    layers: Vec<Vec<f32>>,
    failed: Option<candle_core::Error>,
}

impl WeightGradients {
    /// Of y = x W^T + b: dW = dy^T x `[out, in]` and db = sum over rows of dy; `dy`: `[M, out]`, `x`: `[M, in]`.
    pub(super) fn linear(&mut self, dy: Vec<f32>, out: usize, x: Vec<f32>, width: usize) {
        match linear(dy, out, x, width) {
            Ok(layer) => self.layers.push(layer),
            Err(error) => self.failed = Some(error),
        }
    }

    /// Of a layer norm of `x`, `[M, W]`: gain and bias.
    pub(super) fn norm(&mut self, x: &[f32], dy: &[f32], eps: f32, width: usize) {
        let mut layer = vec![0.0; 2 * width];
        let (gain, bias) = layer.split_at_mut(width);
        norm_weights_gradient(x, dy, eps, gain, bias);
        self.layers.push(layer);
    }

    /// All of them: norm (gain, bias), qkv (W, b), out; or norm, fc1, fc2.
    pub fn into_flat(self) -> Result<Vec<f32>> {
        match self.failed {
            Some(error) => Err(error),
            None => Ok(self.layers.into_iter().rev().flatten().collect()),
        }
    }
}

/// dW, then db.
fn linear(dy: Vec<f32>, out: usize, x: Vec<f32>, width: usize) -> Result<Vec<f32>> {
    let rows = dy.len() / out;
    let mut bias = vec![0.0; out];
    for dy in dy.chunks_exact(out) {
        bias.iter_mut().zip(dy).for_each(|(sum, dy)| *sum += dy);
    }
    let dy = Tensor::from_vec(dy, (rows, out), &Device::Cpu)?;
    let x = Tensor::from_vec(x, (rows, width), &Device::Cpu)?;
    let mut layer = dy.t()?.matmul(&x)?.flatten_all()?.to_vec1()?;
    layer.extend(bias);
    Ok(layer)
}

/// Gradients of gain and bias of a layer norm of `x`; `x`, `dy`: `[M, W]`. d gain = sum over rows of dy (x - mean) / deviation, d bias = that of dy.
pub(crate) fn norm_weights_gradient(x: &[f32], dy: &[f32], eps: f32, d_gain: &mut [f32], d_bias: &mut [f32]) {
    let width = d_gain.len();
    for (x, dy) in x.chunks_exact(width).zip(dy.chunks_exact(width)) {
        let mean = x.iter().sum::<f32>() / width as f32;
        let variance = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / width as f32;
        let inverse = (variance + eps).sqrt().recip();
        for (((gain, bias), x), dy) in d_gain.iter_mut().zip(d_bias.iter_mut()).zip(x).zip(dy) {
            *gain += dy * (x - mean) * inverse;
            *bias += dy;
        }
    }
}
