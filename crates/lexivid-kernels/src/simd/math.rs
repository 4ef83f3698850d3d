//! Functions of one variable, on sixteen lanes.

use super::Simd;
use std::f32::consts::{FRAC_1_SQRT_2, LOG2_E};

/// e^x: relative error below 2e-7 for -87.3 <= x <= 88.3. Below, absolute error below 2^-126; above, infinite from somewhere
/// between 88.37 and 88.73 on. NaN stays NaN.
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

/// 1 / (1 + e^-x): absolute error below 2e-7.
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(s: S, x: S::F) -> S::F {
    let one = s.splat(1.0);
    s.reciprocal(s.add(one, exp(s, s.sub(s.splat(0.0), x))))
}

/// The error function: absolute error below 8e-7 (Abramowitz and Stegun, 7.1.26).
#[inline(always)]
pub(crate) fn erf<S: Simd>(s: S, x: S::F) -> S::F {
    let zero = s.splat(0.0);
    let negated = s.sub(zero, x);
    let size = s.max(negated, x); // |x|
    let one = s.splat(1.0);
    let t = s.reciprocal(s.mul_add(size, s.splat(0.327_591_1), one));
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

/// x Phi(x) by the error function (Hendrycks and Gimpel, arXiv 1606.08415): absolute error below 2e-7 max(1, |x|). As with all of
/// this kind, minus infinity gives NaN, for it is multiplied by 0.
#[inline(always)]
pub(crate) fn gelu<S: Simd>(s: S, x: S::F) -> S::F {
    let half = s.splat(0.5);
    s.mul(x, s.mul_add(half, erf(s, s.mul(x, s.splat(FRAC_1_SQRT_2))), half))
}

/// The tanh approximation of [`gelu`]: x / (1 + e^(-2 u)), u = sqrt(2 / pi) (x + 0.044715 x^3), with the same error.
#[inline(always)]
pub(crate) fn gelu_tanh<S: Simd>(s: S, x: S::F) -> S::F {
    const TWICE_SQRT_2_OVER_PI: f32 = 1.595_769;
    let cubic = s.mul_add(s.mul(s.mul(x, x), s.splat(0.044_715)), x, x);
    s.mul(x, sigmoid(s, s.mul(cubic, s.splat(TWICE_SQRT_2_OVER_PI))))
}

/// x sigmoid(a x): SiLU for a = 1, the quick GELU of OpenAI's CLIP for a = 1.702. Absolute error below
/// 2e-7 max(1, |x|).
#[inline(always)]
pub(crate) fn swish<S: Simd>(s: S, x: S::F, a: f32) -> S::F {
    s.mul(x, sigmoid(s, s.mul(x, s.splat(a))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Isa,
        simd::{Kernel, LANES},
    };
    use std::f64::consts::{FRAC_1_SQRT_2, PI};

    #[derive(Debug, Clone, Copy)]
    enum Function {
        Exp,
        Sigmoid,
        Erf,
        Gelu,
        GeluTanh,
        Swish(f32),
    }

    impl Function {
        fn exact(self, x: f64) -> f64 {
            match self {
                Function::Exp => x.exp(),
                Function::Sigmoid => 1.0 / (1.0 + (-x).exp()),
                Function::Erf => libm::erf(x),
                Function::Gelu => x * 0.5 * libm::erfc(-x * FRAC_1_SQRT_2),
                Function::GeluTanh => x / (1.0 + (-2.0 * (2.0 / PI).sqrt() * (x + 0.044_715 * x.powi(3))).exp()),
                Function::Swish(a) => x / (1.0 + (-x * f64::from(a)).exp()),
            }
        }

        /// The greatest error at x that the functions above state.
        fn bound(self, x: f64) -> f64 {
            match self {
                Function::Exp if x < -87.3 => f64::from(f32::MIN_POSITIVE),
                Function::Exp => 2e-7 * x.exp(),
                Function::Sigmoid => 2e-7,
                Function::Erf => 8e-7,
                Function::Gelu | Function::GeluTanh | Function::Swish(_) => 2e-7 * x.abs().max(1.0),
            }
        }
    }

    struct OnSixteen(Function, [f32; LANES]);

    impl Kernel for OnSixteen {
        type Output = [f32; LANES];

        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> [f32; LANES] {
            let x = s.load(&self.1);
            let y = match self.0 {
                Function::Exp => exp(s, x),
                Function::Sigmoid => sigmoid(s, x),
                Function::Erf => erf(s, x),
                Function::Gelu => gelu(s, x),
                Function::GeluTanh => gelu_tanh(s, x),
                Function::Swish(a) => swish(s, x, a),
            };
            let mut lanes = [0.0; LANES];
            s.store(y, &mut lanes);
            lanes
        }
    }

    /// Steps of 1e-4 where the functions change, and every 4099th of all f32, with NaN, infinities and denormal numbers.
    fn check(function: Function) {
        let grid = (-1_100_000..1_100_000).map(|i| i as f32 * 1e-4);
        let all = (0..=u32::MAX).step_by(4099).map(f32::from_bits);
        let special = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 0.0, -0.0, f32::MAX, f32::MIN];
        let inputs: Vec<f32> = grid.chain(all).chain(special).chain([0.0; LANES]).collect();
        for isa in Isa::all() {
            for x in inputs.as_chunks::<LANES>().0 {
                for (&x, y) in x.iter().zip(isa.run(OnSixteen(function, *x))) {
                    let exact = function.exact(x.into());
                    let holds = if exact.is_nan() {
                        y.is_nan()
                    } else if matches!(function, Function::Exp) && x > 88.3 {
                        y == f32::INFINITY || x < 88.73 && (f64::from(y) - exact).abs() <= 2e-7 * exact
                    } else if exact.is_infinite() {
                        f64::from(y) == exact
                    } else {
                        (f64::from(y) - exact).abs() <= function.bound(x.into())
                    };
                    assert!(holds, "{isa}, {function:?} of {x:e}: {y:e}, expected {exact:e}");
                }
            }
        }
    }

    #[test]
    fn exp_is_within_its_bound() {
        check(Function::Exp);
    }

    #[test]
    fn sigmoid_is_within_its_bound() {
        check(Function::Sigmoid);
    }

    #[test]
    fn erf_is_within_its_bound() {
        check(Function::Erf);
    }

    #[test]
    fn gelu_is_within_its_bound() {
        check(Function::Gelu);
    }

    #[test]
    fn gelu_tanh_is_within_its_bound() {
        check(Function::GeluTanh);
    }

    #[test]
    fn swish_is_within_its_bound() {
        check(Function::Swish(1.0));
        check(Function::Swish(1.702));
    }
}
