use super::contiguous;
use crate::nn::{frozen::norm_weights_gradient, values};
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use lexivid_kernels::{Isa, layer_norm_gradient, layer_norm_rows};

/// Layer normalisation of `[.., W]` with gradients for `x` and for gain and bias `[W]`.
pub fn layer_norm(x: &Tensor, gain: &Tensor, bias: &Tensor, eps: f64, isa: Isa) -> Result<Tensor> {
    x.contiguous()?.apply_op3(gain, bias, LayerNormOp { eps: eps as f32, isa })
}

struct LayerNormOp {
    eps: f32,
    isa: Isa,
}

impl CustomOp3 for LayerNormOp {
    fn name(&self) -> &'static str {
        "layer-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        gain: &CpuStorage,
        gain_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let mut rows = contiguous(x, x_layout)?.to_vec();
        let (gain, bias) = (contiguous(gain, gain_layout)?, contiguous(bias, bias_layout)?);
        layer_norm_rows(self.isa, &mut rows, gain, bias, self.eps);
        Ok((CpuStorage::F32(rows), x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        gain: &Tensor,
        _bias: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (rows, dy, gains) = (values(x)?, values(dy)?, values(gain)?);
        let mut dx = vec![0.0; rows.len()];
        layer_norm_gradient(self.isa, &rows, &dy, &gains, self.eps, &mut dx);
        let mut weights = vec![0.0; 2 * gains.len()];
        let (d_gain, d_bias) = weights.split_at_mut(gains.len());
        norm_weights_gradient(&rows, &dy, self.eps, d_gain, d_bias);
        let vector = |values: &[f32]| Tensor::from_slice(values, gains.len(), x.device());
        Ok((Some(Tensor::from_vec(dx, x.shape(), x.device())?), Some(vector(d_gain)?), Some(vector(d_bias)?)))
    }
}
