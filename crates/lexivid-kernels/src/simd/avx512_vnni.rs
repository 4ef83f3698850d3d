use super::{
    Avx512, LANES, Simd,
    avx512::{as_avx512, forward},
};
use half::bf16;
use std::arch::x86_64::*;

/// AVX-512 with products of bytes (AVX512_VNNI): Cascade Lake, Ice Lake and later.
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
    as_avx512!();

    type Pairs = ();
    type Quads = __m512i;

    forward! {
        store_bf16(x: Self::F, to: &mut [bf16; LANES]);
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
}
