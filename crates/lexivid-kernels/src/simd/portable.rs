use super::{LANES, Simd};
use half::bf16;

/// Plain Rust: runs everywhere, and is what the other paths are compared with.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

#[inline(always)]
fn each(lane: impl Fn(usize) -> f32) -> [f32; LANES] {
    std::array::from_fn(lane)
}

impl Simd for Portable {
    type F = [f32; LANES];
    type I = [i32; LANES];
    type Pairs = ();
    type Quads = [[i32; LANES]; 4];

    const ROWS: usize = 2;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        [x; LANES]
    }
    #[inline(always)]
    fn load(self, x: &[f32; LANES]) -> Self::F {
        *x
    }
    #[inline(always)]
    fn store(self, x: Self::F, to: &mut [f32; LANES]) {
        *to = x;
    }
    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        each(|i| a[i] + b[i])
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        each(|i| a[i] - b[i])
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        each(|i| a[i] * b[i])
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        each(|i| a[i] / b[i])
    }
    // Not `f32::mul_add`: without the instruction that is a call for every lane.
    #[inline(always)]
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        each(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        each(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        each(|i| if a[i] < b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    fn round(self, x: Self::F) -> Self::F {
        const SHIFT: f32 = 12_582_912.0; // 1.5 * 2^23: adding it leaves no bits for a fraction
        each(|i| (x[i] + SHIFT) - SHIFT)
    }
    #[inline(always)]
    fn scale2(self, x: Self::F, n: Self::F) -> Self::F {
        each(|i| x[i] * f32::from_bits(((n[i].clamp(-127.0, 128.0) as i32 + 127) as u32) << 23))
    }
    #[inline(always)]
    fn sum(self, x: Self::F) -> f32 {
        x.iter().sum()
    }
    #[inline(always)]
    fn maximum(self, x: Self::F) -> f32 {
        x.into_iter().fold(f32::NEG_INFINITY, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn load_bf16(self, x: &[bf16; LANES]) -> Self::F {
        each(|i| f32::from_bits(u32::from(x[i].to_bits()) << 16))
    }
    #[inline(always)]
    fn store_bf16(self, x: Self::F, to: &mut [bf16; LANES]) {
        for (to, x) in to.iter_mut().zip(x) {
            *to = bf16::from_f32(x);
        }
    }
    #[inline(always)]
    fn widen_pairs(self, x: &[bf16; 2 * LANES]) -> [Self::F; 2] {
        [each(|i| x[2 * i].to_f32()), each(|i| x[2 * i + 1].to_f32())]
    }
    #[inline(always)]
    fn zero_sums(self) -> Self::I {
        [0; LANES]
    }
    #[inline(always)]
    fn load_quads(self, x: &[i8; 4 * LANES]) -> Self::Quads {
        std::array::from_fn(|j| std::array::from_fn(|i| i32::from(x[4 * i + j])))
    }
    #[inline(always)]
    fn splat_quad(self, x: &[u8; 4]) -> Self::Quads {
        x.map(|byte| [i32::from(byte); LANES])
    }
    #[inline(always)]
    fn dot_quads(self, sum: Self::I, a: Self::Quads, b: Self::Quads) -> Self::I {
        std::array::from_fn(|i| (0..4).fold(sum[i], |sum, j| sum + a[j][i] * b[j][i]))
    }
    #[inline(always)]
    fn to_f32(self, x: Self::I) -> Self::F {
        each(|i| x[i] as f32)
    }
}
