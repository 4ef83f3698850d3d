//! What the tests of the kernels share.
#![allow(dead_code, reason = "every test is a crate of its own and uses a part")]

use lexivid_kernels::{Epilogue, Isa, Matrix, Operand, Out, Precision, matmul};
use proptest::prelude::*;

/// Half the distance from 1 to the next f32: the relative error of one rounding.
pub const F32: f64 = 1.0 / (1u64 << 24) as f64;
/// The same of bf16.
pub const BF16: f64 = 1.0 / 256.0;

pub const PRECISIONS: [Precision; 3] = [Precision::F32, Precision::Bf16, Precision::Int8];

/// All that this processor has, and AMX.
pub fn isas() -> Vec<Isa> {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    lexivid_kernels::amx_emulator::install();
    Isa::all()
}

/// Mostly of one block of the result, at times of several.
pub fn size() -> impl Strategy<Value = usize> {
    prop_oneof![3 => 1..=40usize, 1 => 1..=150usize]
}

pub fn precision() -> impl Strategy<Value = Precision> {
    prop::sample::select(&PRECISIONS)
}

/// Of both signs, sizes from 2^-5 to 2^3 (SplitMix64).
pub fn values(mut seed: u64, len: usize) -> Vec<f32> {
    let mut next = || {
        seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (seed ^ seed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    };
    let value = |bits: u64| (bits as i32) as f32 / (1u64 << 31) as f32 * 2f32.powi((bits >> 32) as i32 % 4);
    (0..len).map(|_| value(next())).collect()
}

/// An operand that was used before: for NaN, and more of it.
pub fn operand(precision: Precision) -> Operand {
    let mut used = Operand::new(precision);
    used.fill(Isa::PORTABLE, &[f32::NAN; 170 * 170], 170);
    used
}

pub fn filled(isa: Isa, x: &[f32], width: usize, precision: Precision) -> Operand {
    let mut filled = operand(precision);
    filled.fill(isa, x, width);
    filled
}

/// What an operand holds, by a product with the identity. Of bytes with a relative error below 2^-20.
pub fn contents(operand: &Operand, precision: Precision) -> Vec<f32> {
    let width = operand.width();
    let identity: Vec<f32> = (0..width * width).map(|i| f32::from(u8::from(i % (width + 1) == 0))).collect();
    let identity = Matrix::pack(&identity, width, width, precision);
    let mut contents = vec![f32::NAN; operand.rows() * width];
    matmul(Isa::best(), operand, &identity, &Epilogue::default(), Out::Rows(&mut contents));
    contents
}

/// A product in f64: A `[M, K]` by W `[N, K]` transposed, and the sums of the products' sizes.
pub fn product(a: &[f64], w: &[f64], width: usize) -> (Vec<f64>, Vec<f64>) {
    let terms = |a: &[f64], w: &[f64]| {
        a.iter().zip(w).fold((0.0, 0.0), |(sum, size), (a, w)| (sum + a * w, size + (a * w).abs()))
    };
    a.chunks(width).flat_map(|a| w.chunks(width).map(move |w| terms(a, w))).unzip()
}

/// Asserts |got - exact| <= bound for all, and equal infinities and NaN.
pub fn assert_within(what: &str, got: &[f32], exact: &[f64], bound: impl Fn(usize) -> f64) {
    assert_eq!(got.len(), exact.len(), "{what}: values");
    for (i, (&got, &exact)) in got.iter().zip(exact).enumerate() {
        let got = f64::from(got);
        let holds = if exact.is_finite() { (got - exact).abs() <= bound(i) } else { same(got, exact) };
        assert!(holds, "{what}, value {i}: {got:e}, expected {exact:e} +- {:e}", bound(i));
    }
}

/// Equal, or both NaN.
pub fn same(a: f64, b: f64) -> bool {
    a == b || a.is_nan() && b.is_nan()
}

/// The very same bits (of any NaN: that it is one).
pub fn assert_identical(what: &str, got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len(), "{what}: values");
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        let identical = got.to_bits() == expected.to_bits() || got.is_nan() && expected.is_nan();
        assert!(identical, "{what}, value {i}: {got:e}, expected {expected:e}");
    }
}

/// Puts NaN and infinities into some places.
pub fn poison(x: &mut [f32], places: &[(usize, f32)]) {
    for &(place, value) in places {
        let len = x.len();
        x[place % len] = value;
    }
}

/// Up to `count` places for [`poison`].
pub fn places(count: usize) -> impl Strategy<Value = Vec<(usize, f32)>> {
    let value = prop::sample::select(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY]);
    prop::collection::vec((0..100_000usize, value), 1..=count)
}
