//! Vectors of sixteen lanes, one implementation an instruction set, so that a kernel is written once.
//!
//! Sixteen, because a row of an AMX tile and a register of AVX-512 have as many; AVX2 uses two registers, NEON four.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx512_bf16;
#[cfg(target_arch = "x86_64")]
mod avx512_vnni;
pub(crate) mod math;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

#[cfg(target_arch = "x86_64")]
pub(crate) use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) use avx512::Avx512;
#[cfg(target_arch = "x86_64")]
pub(crate) use avx512_bf16::Avx512Bf16;
#[cfg(target_arch = "x86_64")]
pub(crate) use avx512_vnni::Avx512Vnni;
#[cfg(target_arch = "aarch64")]
pub(crate) use neon::Neon;
pub(crate) use portable::Portable;

use half::bf16;

/// Lanes of a vector.
pub(crate) const LANES: usize = 16;

/// A kernel: a loop that is compiled anew for every instruction set. Started by [`crate::Isa::run`].
pub(crate) trait Kernel {
    type Output;
    /// To be marked `#[inline(always)]`: only what is inlined here is compiled for the instruction set.
    fn run<S: Simd>(self, s: S) -> Self::Output;
}

/// Operations on sixteen lanes. A value of an implementing type stands for the right to use its instructions: only
/// [`crate::Isa::run`] makes one, after the processor was asked.
pub(crate) trait Simd: Copy + Send + Sync {
    /// Sixteen f32.
    type F: Copy;
    /// Sixteen sums of i32.
    type I: Copy;
    /// Sixteen pairs of bf16, where an instruction multiplies them ([`crate::Isa::multiplies_bf16`]).
    type Pairs: Copy;
    /// Sixteen groups of four bytes.
    type Quads: Copy;

    /// Rows of a product that are summed up in registers side by side.
    const ROWS: usize;

    fn splat(self, x: f32) -> Self::F;
    fn load(self, x: &[f32; LANES]) -> Self::F;
    fn store(self, x: Self::F, to: &mut [f32; LANES]);
    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a * b + c`, rounded once where the processor can.
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// The greater; `b` where one is NaN.
    fn max(self, a: Self::F, b: Self::F) -> Self::F;
    /// The lesser; `b` where one is NaN.
    fn min(self, a: Self::F, b: Self::F) -> Self::F;
    /// To the nearest integer, halves to even; for `|x| < 2^22`.
    fn round(self, x: Self::F) -> Self::F;
    /// `x * 2^n` for integral n: 0 from n = -127 down, infinite from 129 on; n = 128 may be either.
    fn scale2(self, x: Self::F, n: Self::F) -> Self::F;
    fn sum(self, x: Self::F) -> f32;
    /// Of all lanes; any of them if one is NaN.
    fn maximum(self, x: Self::F) -> f32;

    fn load_bf16(self, x: &[bf16; LANES]) -> Self::F;
    /// Rounded to nearest, ties to even.
    fn store_bf16(self, x: Self::F, to: &mut [bf16; LANES]);

    /// The first of sixteen pairs, and the second.
    fn widen_pairs(self, x: &[bf16; 2 * LANES]) -> [Self::F; 2];
    fn load_pairs(self, _x: &[bf16; 2 * LANES]) -> Self::Pairs {
        unreachable!("pairs are widened where no instruction multiplies them")
    }
    /// One pair in all lanes.
    fn splat_pair(self, _x: &[bf16; 2]) -> Self::Pairs {
        unreachable!("pairs are widened where no instruction multiplies them")
    }
    /// `sum + a.0 * b.0 + a.1 * b.1` in every lane.
    fn dot_pairs(self, _sum: Self::F, _a: Self::Pairs, _b: Self::Pairs) -> Self::F {
        unreachable!("pairs are widened where no instruction multiplies them")
    }

    fn zero_sums(self) -> Self::I;
    /// Four signed bytes a lane, on the right of a product.
    fn load_quads(self, x: &[i8; 4 * LANES]) -> Self::Quads;
    /// Four unsigned bytes in all lanes, on the left of a product.
    fn splat_quad(self, x: &[u8; 4]) -> Self::Quads;
    /// `sum + a.0 * b.0 + .. + a.3 * b.3` in every lane, exactly; `a` from [`Simd::splat_quad`].
    fn dot_quads(self, sum: Self::I, a: Self::Quads, b: Self::Quads) -> Self::I;
    fn to_f32(self, x: Self::I) -> Self::F;

    /// 1 / x for x from 1 on, and NaN for NaN: absolute error below 2^-23.
    #[inline(always)]
    fn reciprocal(self, x: Self::F) -> Self::F {
        self.div(self.splat(1.0), x)
    }

    /// Values from 0 to 255, cut to integers.
    #[inline(always)]
    fn store_bytes(self, x: Self::F, to: &mut [u8; LANES]) {
        let mut lanes = [0.0; LANES];
        self.store(x, &mut lanes);
        for (to, x) in to.iter_mut().zip(lanes) {
            *to = x as u8;
        }
    }

    /// A hint that the line there, if it is any, will soon be read.
    #[inline(always)]
    fn prefetch<T>(self, _at: *const T) {}

    /// A hint that the line there, if it is any, will soon be written.
    #[inline(always)]
    fn prefetch_to_write<T>(self, _at: *const T) {}

    /// The first lanes from `x` (at most sixteen), the others `fill`.
    #[inline(always)]
    fn load_part(self, x: &[f32], fill: f32) -> Self::F {
        let mut lanes = [fill; LANES];
        lanes[..x.len()].copy_from_slice(x);
        self.load(&lanes)
    }

    /// The first lanes, as many as `to` takes (at most sixteen).
    #[inline(always)]
    fn store_part(self, x: Self::F, to: &mut [f32]) {
        let mut lanes = [0.0; LANES];
        self.store(x, &mut lanes);
        to.copy_from_slice(&lanes[..to.len()]);
    }
}
