use crate::nn::{Linear, Scope, WeightsError};
use candle_core::{D, Result, Tensor};

/// What follows what: products of patches with themselves and their neighbours in the next frame \[ours\].
///
/// p = M vec over (delta, i, j) of f(1 / sqrt((T - 1) N) sum over (t, n) of z_tn,i z_(t+1)(n+delta),j - z_(t+1)n,i z_t(n+delta),j), with z = A norm(x) less its
/// mean over the frames (what stands still), A to q numbers, and f(s) = s (1 + s^2)^(-1/4). Backwards in time, every number changes its sign and nothing else.
/// Moments over a window see no direction in what comes round again, as turning does; from one frame to the next there is one (scripts/studies/directions_in_time.py).
#[derive(Debug)]
pub struct Pairs {
    /// Of the norm, whose gain would be A's and whose bias stands still.
    eps: f64,
    /// A, `[q, W]`.
    read: Linear,
    /// M, `[W, 5 q^2]`.
    write: Linear,
}

/// delta as rows and columns: itself and half of the eight neighbours. The other half say the same with i and j exchanged.
const NEIGHBOURS: [(usize, isize); 5] = [(0, 0), (0, 1), (1, -1), (1, 0), (1, 1)];

impl Pairs {
    /// Reads `read` and `write`, for q = `rank`.
    pub fn load(scope: &Scope, width: usize, eps: f64, rank: usize) -> std::result::Result<Self, WeightsError> {
        Ok(Self {
            eps,
            read: Linear::load_without_bias(&scope.enter("read"), width, rank)?,
            write: Linear::load_without_bias(&scope.enter("write"), NEIGHBOURS.len() * rank * rank, width)?,
        })
    }

    /// Patches `[B, T, N, W]` of square pictures -> p `[B, W]`. A frame that is alone is followed by itself: nothing moves.
    pub fn forward(&self, patches: &Tensor) -> Result<Tensor> {
        let patches = &if patches.dim(1)? == 1 { Tensor::cat(&[patches, patches], 1)? } else { patches.clone() };
        let (batch, frames, count, _) = patches.dims4()?;
        let side = count.isqrt();
        let centred = patches.broadcast_sub(&patches.mean_keepdim(D::Minus1)?)?;
        let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
        let read = self.read.forward(&centred.broadcast_div(&(variance + self.eps)?.sqrt()?)?)?; // [B, T, N, q]
        let moving = read.broadcast_sub(&read.mean_keepdim(1)?)?;
        let moving = moving.reshape((batch, frames, side, side, ()))?;
        let (before, after) = (moving.narrow(1, 0, frames - 1)?, moving.narrow(1, 1, frames - 1)?);
        let mut products = Vec::new();
        for (down, right) in NEIGHBOURS {
            let (left, columns) = (right.min(0).unsigned_abs(), side - right.unsigned_abs());
            // [B, (T - 1) n, q], of the n patches that have such a neighbour.
            let flat = |of: &Tensor, row: usize, column: usize| {
                of.narrow(2, row, side - down)?.narrow(3, column, columns)?.contiguous()?.flatten(1, 3)
            };
            let here = |of: &Tensor| flat(of, 0, left)?.transpose(1, 2)?.contiguous();
            let there = |of: &Tensor| flat(of, down, right.max(0).unsigned_abs());
            let forwards = here(&before)?.matmul(&there(&after)?)?; // [B, q, q]
            let backwards = here(&after)?.matmul(&there(&before)?)?;
            products.push((forwards - backwards)?.flatten_from(1)?);
        }
        // As large as what is random remains.
        let scale = (((frames - 1) * count) as f64).sqrt().recip();
        let products = (Tensor::cat(&products, 1)? * scale)?; // [B, 5 q^2]
        let soft = (products.sqr()? + 1.0)?.powf(-0.25)?;
        self.write.forward(&(products * soft)?)
    }
}
