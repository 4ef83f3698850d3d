use super::{Linear, Scope, WeightsError};
use candle_core::{D, Result, Tensor};
use candle_nn::ops::softmax;

/// softmax(Q K^T / sqrt(d) + mask) V (Vaswani et al., arXiv 1706.03762).
/// `q`: `[B, H, S, d]`, `k` and `v`: `[B, H, N, d]`, `mask`: added to the logits, broadcastable to `[B, H, S, N]`.
/// Returns `[B, H, S, d]`.
pub fn attend(q: &Tensor, k: &Tensor, v: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
    let scale = (q.dim(D::Minus1)? as f64).powf(-0.5);
    let logits = (q * scale)?.matmul(&k.transpose(2, 3)?)?; // [B, H, S, N]
    let logits = match mask {
        Some(mask) => logits.broadcast_add(mask)?,
        None => logits,
    };
    softmax(&logits, D::Minus1)?.matmul(v)
}

/// Multi-head attention with biases on all four projections.
#[derive(Debug, Clone)]
pub struct Attention {
    q: Linear,
    k: Linear,
    v: Linear,
    out: Linear,
    heads: usize,
}

impl Attention {
    /// Reads `q_proj`, `k_proj`, `v_proj` and `out_proj`; `width` is a multiple of `heads`.
    pub fn load(scope: &Scope, width: usize, heads: usize) -> std::result::Result<Self, WeightsError> {
        let projection = |name| Linear::load(&scope.enter(name), width, width);
        Ok(Self {
            q: projection("q_proj")?,
            k: projection("k_proj")?,
            v: projection("v_proj")?,
            out: projection("out_proj")?,
            heads,
        })
    }

    /// Reads the layout of PyTorch's `MultiheadAttention`: `in_proj_weight` `[3 W, W]`, q, k and v stacked,
    /// `in_proj_bias` `[3 W]` and `out_proj`.
    pub fn load_stacked(scope: &Scope, width: usize, heads: usize) -> std::result::Result<Self, WeightsError> {
        let weight = scope.tensor("in_proj_weight", &[3 * width, width])?;
        let bias = scope.tensor("in_proj_bias", &[3 * width])?;
        let part = |i: usize| -> Result<Linear> {
            Linear::new(&weight.narrow(0, i * width, width)?, Some(bias.narrow(0, i * width, width)?), scope)
        };
        Ok(Self {
            q: part(0)?,
            k: part(1)?,
            v: part(2)?,
            out: Linear::load(&scope.enter("out_proj"), width, width)?,
            heads,
        })
    }

    /// Queries from `x` `[B, S, W]`, keys and values from `context` `[B, N, W]`; `mask` broadcastable to
    /// `[B, H, S, N]`. Returns `[B, S, W]`.
    pub fn forward(&self, x: &Tensor, context: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        let q = self.split_heads(&self.q.forward(x)?)?; // [B, H, S, d]
        let k = self.split_heads(&self.k.forward(context)?)?; // [B, H, N, d]
        let v = self.split_heads(&self.v.forward(context)?)?; // [B, H, N, d]
        let mixed = attend(&q, &k, &v, mask)?; // [B, H, S, d]
        self.out.forward(&mixed.transpose(1, 2)?.flatten_from(2)?)
    }

    /// `[B, S, W]` -> `[B, H, S, d]`.
    fn split_heads(&self, x: &Tensor) -> Result<Tensor> {
        let (b, s, w) = x.dims3()?;
        x.reshape((b, s, self.heads, w / self.heads))?.transpose(1, 2)?.contiguous()
    }
}
