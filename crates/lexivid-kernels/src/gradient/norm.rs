use crate::{
    Isa,
    norm::{lanes, mean, variance},
    simd::{Kernel, LANES, Simd},
};
use rayon::prelude::*;

/// Adds to `dx` what [`crate::layer_norm`] of `x` passes on of `dy`; all `[M, W]`. With z = (x - mean) / deviation and g = gain * dy: (g - mean(g) - z
/// mean(g z)) / deviation (Ba, Kiros, Hinton, arXiv 1607.06450).
pub fn layer_norm_gradient(isa: Isa, x: &[f32], dy: &[f32], gain: &[f32], eps: f32, dx: &mut [f32]) {
    gradient(isa, x, dy, gain, eps, true, dx);
}

/// As [`layer_norm_gradient`], of [`crate::rms_norm`]: with z = x / rms(x): (g - z mean(g z)) / rms(x).
pub fn rms_norm_gradient(isa: Isa, x: &[f32], dy: &[f32], gain: &[f32], eps: f32, dx: &mut [f32]) {
    gradient(isa, x, dy, gain, eps, false, dx);
}

fn gradient(isa: Isa, x: &[f32], dy: &[f32], gain: &[f32], eps: f32, centred: bool, dx: &mut [f32]) {
    let width = gain.len();
    assert!(width > 0 && x.len().is_multiple_of(width), "rows of {width} values, got {} values", x.len());
    assert!(dy.len() == x.len() && dx.len() == x.len(), "gradients of {} values", x.len());
    const ROWS: usize = 16;
    x.par_chunks(ROWS * width)
        .zip(dy.par_chunks(ROWS * width))
        .zip(dx.par_chunks_mut(ROWS * width))
        .for_each(|((x, dy), dx)| isa.run(Rows { x, dy, gain, eps, centred, dx }));
}

struct Rows<'a> {
    x: &'a [f32],
    dy: &'a [f32],
    gain: &'a [f32],
    eps: f32,
    centred: bool,
    dx: &'a mut [f32],
}

impl Kernel for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let width = self.gain.len();
        let rows = self.x.chunks_exact(width).zip(self.dy.chunks_exact(width)).zip(self.dx.chunks_exact_mut(width));
        for ((x, dy), dx) in rows {
            let mean = if self.centred { mean(s, x) } else { 0.0 };
            let inverse = 1.0 / (variance(s, x, mean) + self.eps).sqrt();
            let (means, inverses) = (s.splat(mean), s.splat(inverse));
            let (mut of_g, mut of_gz) = (s.splat(0.0), s.splat(0.0));
            for i in (0..width).step_by(LANES) {
                let end = width.min(i + LANES);
                let g = s.mul(lanes(s, &dy[i..end], 0.0), lanes(s, &self.gain[i..end], 0.0));
                let z = s.mul(s.sub(lanes(s, &x[i..end], mean), means), inverses);
                of_g = s.add(of_g, g);
                of_gz = s.mul_add(g, z, of_gz);
            }
            let of_g = s.splat(if self.centred { s.sum(of_g) / width as f32 } else { 0.0 });
            let of_gz = s.splat(s.sum(of_gz) / width as f32);
            for i in (0..width).step_by(LANES) {
                let end = width.min(i + LANES);
                let g = s.mul(lanes(s, &dy[i..end], 0.0), lanes(s, &self.gain[i..end], 0.0));
                let z = s.mul(s.sub(lanes(s, &x[i..end], mean), means), inverses);
                let through = s.mul(s.sub(s.sub(g, of_g), s.mul(z, of_gz)), inverses);
                let to = &mut dx[i..end];
                s.store_part(s.add(lanes(s, to, 0.0), through), to);
            }
        }
    }
}
