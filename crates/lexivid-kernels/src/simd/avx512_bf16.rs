use super::{
    Avx512, Avx512Vnni, LANES, Simd,
    avx512::{as_avx512, forward},
};
use half::bf16;
use std::arch::x86_64::*;

/// AVX-512 with products of bytes and of bf16 pairs (AVX512_BF16): Cooper Lake, Sapphire Rapids, Zen 4 and later. Products of bf16 flush denormal numbers to zero.
#[derive(Clone, Copy)]
pub(crate) struct Avx512Bf16(Avx512Vnni);

impl Avx512Bf16 {
    /// # Safety
    /// The processor has what [`Avx512Vnni`] asks for, and AVX512_BF16.
    #[inline(always)]
    pub unsafe fn new() -> Self {
        // SAFETY: the caller's.
        Self(unsafe { Avx512Vnni::new() })
    }
}

// SAFETY of every block below: whoever made this value promised that the processor has the instructions (`new`); loads
// and stores go through references to arrays of the right length and need no alignment.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Simd for Avx512Bf16 {
    as_avx512!();

    type Pairs = __m512bh;
    type Quads = <Avx512Vnni as Simd>::Quads;

    forward! {
        load_quads(x: &[i8; 4 * LANES]) -> Self::Quads;
        splat_quad(x: &[u8; 4]) -> Self::Quads;
        dot_quads(sum: Self::I, a: Self::Quads, b: Self::Quads) -> Self::I;
    }
    #[inline(always)]
    fn store_bf16(self, x: Self::F, to: &mut [bf16; LANES]) {
        unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), to_bits(_mm512_cvtneps_pbh(x))) }
    }
    #[inline(always)]
    fn load_pairs(self, x: &[bf16; 2 * LANES]) -> Self::Pairs {
        unsafe { pairs(_mm512_loadu_si512(x.as_ptr().cast())) }
    }
    #[inline(always)]
    fn splat_pair(self, x: &[bf16; 2]) -> Self::Pairs {
        unsafe { pairs(_mm512_set1_epi32(bytemuck::cast(*x))) }
    }
    #[inline(always)]
    fn dot_pairs(self, sum: Self::F, a: Self::Pairs, b: Self::Pairs) -> Self::F {
        unsafe { _mm512_dpbf16_ps(sum, a, b) }
    }
}

/// The same bits.
#[inline(always)]
fn pairs(bits: __m512i) -> __m512bh {
    // SAFETY: both types are 64 bytes of which every value is valid.
    unsafe { std::mem::transmute(bits) }
}

/// The same bits.
#[inline(always)]
fn to_bits(values: __m256bh) -> __m256i {
    // SAFETY: both types are 32 bytes of which every value is valid.
    unsafe { std::mem::transmute(values) }
}
