use super::AttentionSizes;
use rayon::prelude::*;

/// Norms by the root mean square of every head of queries and of keys, before they are turned (Qwen3; Henry et al., arXiv
/// 2010.04245).
#[derive(Debug, Clone)]
pub struct HeadNorms {
    /// Gain of queries, `[d]`.
    pub queries: Vec<f32>,
    /// Gain of keys, `[d]`.
    pub keys: Vec<f32>,
    /// Added to the mean square.
    pub eps: f32,
}

impl HeadNorms {
    /// Queries and keys of stacked projections, `[M, (H + 2 G) d]`, become normalised; values stay.
    pub fn apply(&self, qkv: &mut [f32], sizes: AttentionSizes) {
        qkv.par_chunks_exact_mut(sizes.stacked()).with_min_len(8).for_each(|row| {
            for (x, gain) in self.heads(row, sizes) {
                let inverse = self.inverse(x);
                x.iter_mut().zip(gain).for_each(|(x, gain)| *x *= inverse * gain);
            }
        });
    }

    /// `dy`, a gradient with respect to what `x` was normalised to, becomes that with respect to `x`; both as in [`HeadNorms::apply`].
    /// With z = x / rms(x) and g = gain * dy: (g - z mean(g z)) / rms(x).
    pub fn gradient(&self, x: &[f32], dy: &mut [f32], sizes: AttentionSizes) {
        let (d, rows) = (sizes.head_width, x.par_chunks_exact(sizes.stacked()));
        dy.par_chunks_exact_mut(sizes.stacked()).zip(rows).with_min_len(8).for_each(|(dy, x)| {
            for ((dy, gain), x) in self.heads(dy, sizes).zip(x.chunks_exact(d)) {
                let inverse = self.inverse(x);
                dy.iter_mut().zip(gain).for_each(|(dy, gain)| *dy *= gain);
                let of_gz = dy.iter().zip(x).map(|(g, x)| g * x * inverse).sum::<f32>() / d as f32;
                dy.iter_mut().zip(x).for_each(|(dy, x)| *dy = (*dy - x * inverse * of_gz) * inverse);
            }
        });
    }

    /// The heads of queries and keys in a row, each with its gain.
    fn heads<'a>(
        &'a self,
        row: &'a mut [f32],
        sizes: AttentionSizes,
    ) -> impl Iterator<Item = (&'a mut [f32], &'a [f32])> {
        let AttentionSizes { heads, kv_heads, head_width } = sizes;
        let gains = std::iter::repeat_n(&self.queries, heads).chain(std::iter::repeat_n(&self.keys, kv_heads));
        row.chunks_exact_mut(head_width).zip(gains.map(Vec::as_slice))
    }

    /// 1 / rms.
    fn inverse(&self, x: &[f32]) -> f32 {
        (x.iter().map(|x| x * x).sum::<f32>() / x.len() as f32 + self.eps).sqrt().recip()
    }
}
