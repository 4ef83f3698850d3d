use crate::{
    Isa, Operand,
    block::TILE,
    operand::Writer,
    simd::{Kernel, LANES, Simd},
};
use rayon::prelude::*;

/// Layer normalisation of every row of `x` `[M, W]` (Ba, Kiros, Hinton, arXiv 1607.06450): gain * (x - mean) / sqrt(variance +
/// eps) + bias, into the left operand of a product. `gain`, `bias`: `[W]`.
///
/// Mean and variance are summed in f32, in 64 parts each. Error of the normalised value, before gain and bias: below (W / 32 + 64) 2^-24 max
/// |x| / sqrt(variance + eps), where that is small against 1 and the squares do not overflow.
///
/// # Panics
/// If gain and bias differ in length or are empty, or `x` is not a number of whole rows.
pub fn layer_norm(isa: Isa, x: &[f32], gain: &[f32], bias: &[f32], eps: f32, out: &mut Operand) {
    assert_eq!(gain.len(), bias.len(), "values of gain and bias");
    normalise(isa, x, gain, Some(bias), eps, out);
}

/// [`layer_norm`] in place: `x` `[M, W]`.
pub fn layer_norm_rows(isa: Isa, x: &mut [f32], gain: &[f32], bias: &[f32], eps: f32) {
    let width = gain.len();
    assert_eq!(width, bias.len(), "values of gain and bias");
    assert!(width > 0 && x.len().is_multiple_of(width), "rows of {width} values, got {} values", x.len());
    x.par_chunks_mut(TILE * width).with_min_len(2).for_each(|x| isa.run(InPlace { x, gain, bias, eps }));
}

/// Root mean square normalisation (Zhang, Sennrich, arXiv 1910.07467): gain * x / sqrt(mean(x^2) + eps); otherwise as
/// [`layer_norm`].
pub fn rms_norm(isa: Isa, x: &[f32], gain: &[f32], eps: f32, out: &mut Operand) {
    normalise(isa, x, gain, None, eps, out);
}

fn normalise(isa: Isa, x: &[f32], gain: &[f32], bias: Option<&[f32]>, eps: f32, out: &mut Operand) {
    let width = gain.len();
    assert!(width > 0 && x.len().is_multiple_of(width), "rows of {width} values, got {} values", x.len());
    let rows = x.len() / width;
    let writer = out.begin(rows, width);
    x.par_chunks(TILE * width)
        .enumerate()
        .with_min_len(2)
        .for_each(|(tile, x)| isa.run(Rows { x, gain, bias, eps, writer, first: tile * TILE }));
    out.complete(isa);
}

struct Rows<'a> {
    x: &'a [f32],
    gain: &'a [f32],
    /// None: RMS.
    bias: Option<&'a [f32]>,
    eps: f32,
    writer: Writer<'a>,
    /// The number of the first row.
    first: usize,
}

impl Kernel for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let width = self.gain.len();
        for (row, x) in self.x.chunks_exact(width).enumerate() {
            let mean = if self.bias.is_some() { mean(s, x) } else { 0.0 };
            let inverse = s.splat(1.0 / (variance(s, x, mean) + self.eps).sqrt());
            let means = s.splat(mean);
            for (i, x) in x.chunks(LANES).enumerate() {
                let gain = lanes(s, &self.gain[i * LANES..][..x.len()], 0.0);
                let bias = match self.bias {
                    Some(bias) => lanes(s, &bias[i * LANES..][..x.len()], 0.0),
                    None => s.splat(0.0),
                };
                let normalised = s.mul(s.sub(lanes(s, x, mean), means), inverse);
                // SAFETY: a row is written by one task.
                unsafe {
                    self.writer.write(s, self.first + row, i * LANES, s.mul_add(normalised, gain, bias));
                }
            }
        }
    }
}

struct InPlace<'a> {
    x: &'a mut [f32],
    gain: &'a [f32],
    bias: &'a [f32],
    eps: f32,
}

impl Kernel for InPlace<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for x in self.x.chunks_exact_mut(self.gain.len()) {
            let mean = mean(s, x);
            let inverse = s.splat(1.0 / (variance(s, x, mean) + self.eps).sqrt());
            let means = s.splat(mean);
            for ((x, gain), bias) in x.chunks_mut(LANES).zip(self.gain.chunks(LANES)).zip(self.bias.chunks(LANES)) {
                let normalised = s.mul(s.sub(lanes(s, x, mean), means), inverse);
                let y = s.mul_add(normalised, lanes(s, gain, 0.0), lanes(s, bias, 0.0));
                s.store_part(y, x);
            }
        }
    }
}

#[inline(always)]
pub(crate) fn mean<S: Simd>(s: S, x: &[f32]) -> f32 {
    sum(s, x, 0.0, |x| x) / x.len() as f32
}

/// Mean of the squared distances from `mean`.
#[inline(always)]
pub(crate) fn variance<S: Simd>(s: S, x: &[f32], mean: f32) -> f32 {
    let means = s.splat(mean);
    let squares = sum(s, x, mean, |x| {
        let centred = s.sub(x, means);
        s.mul(centred, centred)
    });
    squares / x.len() as f32
}

#[inline(always)]
pub(crate) fn lanes<S: Simd>(s: S, x: &[f32], fill: f32) -> S::F {
    match x.as_array() {
        Some(x) => s.load(x),
        None => s.load_part(x, fill),
    }
}

/// Sum of `term` over a row, which is filled up with a value whose term is 0.
#[inline(always)]
fn sum<S: Simd>(s: S, x: &[f32], fill: f32, term: impl Fn(S::F) -> S::F) -> f32 {
    // Four sums, because an addition takes four cycles.
    let mut sums = [s.splat(0.0); 4];
    for x in x.chunks(4 * LANES) {
        for (sum, x) in sums.iter_mut().zip(x.chunks(LANES)) {
            *sum = s.add(*sum, term(lanes(s, x, fill)));
        }
    }
    s.sum(s.add(s.add(sums[0], sums[1]), s.add(sums[2], sums[3])))
}
