//! Functions of one variable, on sixteen lanes.

use super::Simd;
use std::f32::consts::{FRAC_1_SQRT_2, LOG2_E};

/// e^x: relative error below 3e-7 for -87 <= x <= 88; 0 below, infinite above; NaN stays NaN.
///
/// x = n ln 2 + r, |r| <= ln 2 / 2; e^r by the polynomial of Cephes (`expf.c`).
#[inline(always)]
pub(crate) fn exp<S: Simd>(s: S, x: S::F) -> S::F {
    // Where one is NaN, `max` and `min` give their second operand.
    let x = s.max(s.splat(-104.0), s.min(s.splat(104.0), x));
    let n = s.round(s.mul(x, s.splat(LOG2_E)));
    // ln 2 in two parts, the first of which times n is exact.
    let r = s.mul_add(n, s.splat(-0.693_359_4), x);
    let r = s.mul_add(n, s.splat(2.121_944_4e-4), r);
    let mut p = s.splat(1.987_569_1e-4);
    for c in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = s.mul_add(p, r, s.splat(c));
    }
    let e = s.mul_add(p, s.mul(r, r), s.add(r, s.splat(1.0)));
    s.scale2(e, n)
}

/// 1 / (1 + e^-x).
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(s: S, x: S::F) -> S::F {
    let one = s.splat(1.0);
    s.div(one, s.add(one, exp(s, s.sub(s.splat(0.0), x))))
}

/// The error function: absolute error below 3e-7 (Abramowitz and Stegun, 7.1.26).
#[inline(always)]
pub(crate) fn erf<S: Simd>(s: S, x: S::F) -> S::F {
    let zero = s.splat(0.0);
    let negated = s.sub(zero, x);
    let size = s.max(negated, x); // |x|
    let one = s.splat(1.0);
    let t = s.div(one, s.mul_add(size, s.splat(0.327_591_1), one));
    let mut p = s.splat(1.061_405_4);
    for c in [-1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6] {
        p = s.mul_add(p, t, s.splat(c));
    }
    let tail = s.mul(s.mul(p, t), exp(s, s.mul(negated, x)));
    let positive = s.sub(one, tail); // erf |x|
    // erf is odd: the sign of x by min and max, -1 or 1 beyond the smallest normal numbers.
    let sign = s.max(s.splat(-1.0), s.min(one, s.mul(x, s.splat(f32::MAX))));
    s.mul(positive, sign)
}

/// x Phi(x) by the error function (Hendrycks and Gimpel, arXiv 1606.08415).
#[inline(always)]
pub(crate) fn gelu<S: Simd>(s: S, x: S::F) -> S::F {
    let half = s.splat(0.5);
    s.mul(x, s.mul_add(half, erf(s, s.mul(x, s.splat(FRAC_1_SQRT_2))), half))
}

/// The tanh approximation of [`gelu`]: x / (1 + e^(-2 u)), u = sqrt(2 / pi) (x + 0.044715 x^3).
#[inline(always)]
pub(crate) fn gelu_tanh<S: Simd>(s: S, x: S::F) -> S::F {
    const TWICE_SQRT_2_OVER_PI: f32 = 1.595_769_1;
    let cubic = s.mul_add(s.mul(s.mul(x, x), s.splat(0.044_715)), x, x);
    s.mul(x, sigmoid(s, s.mul(cubic, s.splat(TWICE_SQRT_2_OVER_PI))))
}

/// x sigmoid(a x): SiLU for a = 1, the quick GELU of OpenAI's CLIP for a = 1.702.
#[inline(always)]
pub(crate) fn swish<S: Simd>(s: S, x: S::F, a: f32) -> S::F {
    s.mul(x, sigmoid(s, s.mul(x, s.splat(a))))
}
