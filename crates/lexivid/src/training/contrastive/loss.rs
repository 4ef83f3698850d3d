use candle_core::{D, Device, Result, Tensor};
use candle_nn::ops::log_softmax;

/// Added to what must not count: far below every logit, yet finite, so that zero times it is zero.
const HIDDEN: f32 = -1e4;

/// The symmetric cross entropy of CLIP (Radford et al. 2021, figure 3): each picture is to find its caption among all, and each
/// caption its picture. `seen`, `read`: `[B, D]`, L2-normalised; `scale`: 1 / tau. Pairs (picture, caption) in `also` match
/// though they do not stand in one line; they are no negatives.
pub fn info_nce(seen: &Tensor, read: &Tensor, scale: &Tensor, also: &[(usize, usize)]) -> Result<Tensor> {
    let size = seen.dim(0)?;
    let mut mask = vec![0f32; size * size];
    let mut diagonal = vec![0f32; size * size];
    for &(picture, caption) in also.iter().filter(|(picture, caption)| picture != caption) {
        mask[picture * size + caption] = HIDDEN;
    }
    for i in 0..size {
        diagonal[i * size + i] = 1.0;
    }
    let square = |values| Tensor::from_vec(values, (size, size), &Device::Cpu);
    let (mask, diagonal) = (square(mask)?, square(diagonal)?);
    let logits = (seen.matmul(&read.t()?)?.broadcast_mul(scale)? + mask)?; // [B, B]
    let right = |logits: &Tensor| log_softmax(logits, D::Minus1)?.mul(&diagonal)?.sum_all();
    (right(&logits)? + right(&logits.t()?.contiguous()?)?)? * (-0.5 / size as f64)
}
