use crate::{
    Isa,
    block::TILE,
    simd::{Kernel, LANES, Simd, math},
};
use rayon::prelude::*;

/// Softmax of every row of `x` `[M, width]`, in place: e^(x - greatest), divided by the sum of these.
///
/// Relative error below (width / 8 + |x - greatest| + 32) 2^-24, besides an absolute one of 2^-126. A row with a NaN or plus infinity, or of
/// minus infinities only, is NaN.
///
/// # Panics
/// If `x` is not a number of whole rows.
pub fn softmax(isa: Isa, x: &mut [f32], width: usize) {
    assert!(width > 0 && x.len().is_multiple_of(width), "rows of {width} values, got {} values", x.len());
    x.par_chunks_mut(TILE * width).with_min_len(2).for_each(|x| isa.run(Rows { x, width }));
}

struct Rows<'a> {
    x: &'a mut [f32],
    width: usize,
}

impl Kernel for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for row in self.x.chunks_exact_mut(self.width) {
            let (whole, rest) = row.as_chunks_mut::<LANES>();
            let mut greatest = s.load_part(rest, f32::NEG_INFINITY);
            for x in &*whole {
                greatest = s.max(greatest, s.load(x));
            }
            let greatest = s.splat(s.maximum(greatest));
            let mut sum = s.splat(0.0);
            for x in &mut *whole {
                let power = math::exp(s, s.sub(s.load(x), greatest));
                sum = s.add(sum, power);
                s.store(power, x);
            }
            if !rest.is_empty() {
                let power = math::exp(s, s.sub(s.load_part(rest, f32::NEG_INFINITY), greatest));
                sum = s.add(sum, power);
                s.store_part(power, rest);
            }
            let inverse = s.splat(1.0 / s.sum(sum));
            for x in whole {
                s.store(s.mul(s.load(x), inverse), x);
            }
            s.store_part(s.mul(s.load_part(rest, 0.0), inverse), rest);
        }
    }
}
