use super::{Avx512, LANES, Simd};
use half::bf16;
use std::arch::x86_64::*;

/// AVX-512 with products of bytes (AVX512_VNNI): Cascade Lake, Ice Lake and later. Pairs of bf16 are widened to f32.
#[derive(Clone, Copy)]
pub(crate) struct Avx512Vnni(Avx512);

impl Avx512Vnni {
    /// # Safety
    /// The processor has what [`Avx512`] asks for, and AVX512_VNNI.
    #[inline(always)]
    pub unsafe fn new() -> Self {
        // SAFETY: the caller's.
        Self(unsafe { Avx512::new() })
    }
}

// SAFETY of every block below: whoever made this value promised that the processor has the instructions (`new`); loads
// and stores go through references to arrays of the right length and need no alignment.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Simd for Avx512Vnni {
    type F = __m512;
    type I = __m512i;
    type Pair = [f32; 2];
    type Pairs = (__m512, __m512);
    type Quads = __m512i;

    const ROWS: usize = Avx512::ROWS;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        self.0.splat(x)
    }
    #[inline(always)]
    fn load(self, x: &[f32; LANES]) -> Self::F {
        self.0.load(x)
    }
    #[inline(always)]
    fn store(self, x: Self::F, to: &mut [f32; LANES]) {
        self.0.store(x, to)
    }
    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        self.0.add(a, b)
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        self.0.sub(a, b)
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        self.0.mul(a, b)
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        self.0.div(a, b)
    }
    #[inline(always)]
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        self.0.mul_add(a, b, c)
    }
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        self.0.max(a, b)
    }
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        self.0.min(a, b)
    }
    #[inline(always)]
    fn round(self, x: Self::F) -> Self::F {
        self.0.round(x)
    }
    #[inline(always)]
    fn scale2(self, x: Self::F, n: Self::F) -> Self::F {
        self.0.scale2(x, n)
    }
    #[inline(always)]
    fn sum(self, x: Self::F) -> f32 {
        self.0.sum(x)
    }
    #[inline(always)]
    fn maximum(self, x: Self::F) -> f32 {
        self.0.maximum(x)
    }
    #[inline(always)]
    fn load_bf16(self, x: &[bf16; LANES]) -> Self::F {
        self.0.load_bf16(x)
    }
    #[inline(always)]
    fn store_bf16(self, x: Self::F, to: &mut [bf16; LANES]) {
        self.0.store_bf16(x, to)
    }
    #[inline(always)]
    fn load_pairs(self, x: &[bf16; 2 * LANES]) -> Self::Pairs {
        self.0.load_pairs(x)
    }
    #[inline(always)]
    fn pairs<'a>(self, x: &'a [bf16], wide: &'a mut [[f32; 2]]) -> &'a [[f32; 2]] {
        self.0.pairs(x, wide)
    }
    #[inline(always)]
    fn splat_pair(self, x: &[f32; 2]) -> Self::Pairs {
        self.0.splat_pair(x)
    }
    #[inline(always)]
    fn dot_pairs(self, sum: Self::F, a: Self::Pairs, b: Self::Pairs) -> Self::F {
        self.0.dot_pairs(sum, a, b)
    }
    #[inline(always)]
    fn zero_sums(self) -> Self::I {
        self.0.zero_sums()
    }
    #[inline(always)]
    fn load_quads(self, x: &[i8; 4 * LANES]) -> Self::Quads {
        unsafe { _mm512_loadu_si512(x.as_ptr().cast()) }
    }
    #[inline(always)]
    fn splat_quad(self, x: &[u8; 4]) -> Self::Quads {
        unsafe { _mm512_set1_epi32(bytemuck::cast(*x)) }
    }
    #[inline(always)]
    fn dot_quads(self, sum: Self::I, a: Self::Quads, b: Self::Quads) -> Self::I {
        unsafe { _mm512_dpbusd_epi32(sum, a, b) }
    }
    #[inline(always)]
    fn to_f32(self, x: Self::I) -> Self::F {
        self.0.to_f32(x)
    }
}
