use super::{LANES, Simd};
use half::bf16;
use std::arch::x86_64::*;

/// AVX-512 as every processor has it that has any (F, BW, DQ, VL). Groups of bytes are widened to 16 bits.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

impl Avx512 {
    /// # Safety
    /// The processor has AVX-512 F, BW, DQ and VL, AVX2 and FMA.
    #[inline(always)]
    pub unsafe fn new() -> Self {
        Self(())
    }
}

// SAFETY of every block below: whoever made this value promised that the processor has the instructions (`new`); loads
// and stores go through references to arrays of the right length and need no alignment.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Simd for Avx512 {
    type F = __m512;
    type I = __m512i;
    type Pairs = ();
    type Quads = (__m512i, __m512i);

    const ROWS: usize = 11;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    fn load(self, x: &[f32; LANES]) -> Self::F {
        unsafe { _mm512_loadu_ps(x.as_ptr()) }
    }
    #[inline(always)]
    fn store(self, x: Self::F, to: &mut [f32; LANES]) {
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), x) }
    }
    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm512_sub_ps(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm512_div_ps(a, b) }
    }
    #[inline(always)]
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm512_max_ps(a, b) }
    }
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { _mm512_min_ps(a, b) }
    }
    #[inline(always)]
    fn round(self, x: Self::F) -> Self::F {
        unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(x) }
    }
    #[inline(always)]
    fn scale2(self, x: Self::F, n: Self::F) -> Self::F {
        unsafe {
            // `scalef` alone would give denormal numbers, other than the other paths.
            let scaled = _mm512_scalef_ps(x, n);
            _mm512_mask_mov_ps(scaled, _mm512_cmp_ps_mask::<_CMP_LE_OQ>(n, _mm512_set1_ps(-127.0)), _mm512_setzero_ps())
        }
    }
    #[inline(always)]
    fn sum(self, x: Self::F) -> f32 {
        unsafe { _mm512_reduce_add_ps(x) }
    }
    #[inline(always)]
    fn maximum(self, x: Self::F) -> f32 {
        unsafe { _mm512_reduce_max_ps(x) }
    }
    #[inline(always)]
    fn load_bf16(self, x: &[bf16; LANES]) -> Self::F {
        unsafe {
            let bits = _mm256_loadu_si256(x.as_ptr().cast());
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(bits)))
        }
    }
    #[inline(always)]
    fn store_bf16(self, x: Self::F, to: &mut [bf16; LANES]) {
        unsafe {
            let bits = _mm512_castps_si512(x);
            let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
            let rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
            // Rounding could carry a NaN over to infinity: it keeps its upper half, made quiet.
            let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(x, x);
            let quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x0040_0000));
            let upper = _mm512_srli_epi32::<16>(_mm512_mask_mov_epi32(rounded, nan, quiet));
            _mm256_storeu_si256(to.as_mut_ptr().cast(), _mm512_cvtepi32_epi16(upper));
        }
    }
    #[inline(always)]
    fn widen_pairs(self, x: &[bf16; 2 * LANES]) -> [Self::F; 2] {
        unsafe {
            let pairs = _mm512_loadu_si512(x.as_ptr().cast());
            let first = _mm512_slli_epi32::<16>(pairs);
            let second = _mm512_and_si512(pairs, _mm512_set1_epi32(0xffff_0000_u32 as i32));
            [_mm512_castsi512_ps(first), _mm512_castsi512_ps(second)]
        }
    }
    #[inline(always)]
    fn zero_sums(self) -> Self::I {
        unsafe { _mm512_setzero_si512() }
    }
    #[inline(always)]
    fn load_quads(self, x: &[i8; 4 * LANES]) -> Self::Quads {
        unsafe {
            let bytes = _mm512_loadu_si512(x.as_ptr().cast());
            (_mm512_srai_epi16::<8>(_mm512_slli_epi16::<8>(bytes)), _mm512_srai_epi16::<8>(bytes))
        }
    }
    #[inline(always)]
    fn splat_quad(self, x: &[u8; 4]) -> Self::Quads {
        unsafe {
            let bytes = _mm512_set1_epi32(bytemuck::cast(*x));
            (_mm512_and_si512(bytes, _mm512_set1_epi16(0xff)), _mm512_srli_epi16::<8>(bytes))
        }
    }
    #[inline(always)]
    fn dot_quads(self, sum: Self::I, a: Self::Quads, b: Self::Quads) -> Self::I {
        unsafe {
            let sum = _mm512_add_epi32(sum, _mm512_madd_epi16(a.0, b.0));
            _mm512_add_epi32(sum, _mm512_madd_epi16(a.1, b.1))
        }
    }
    #[inline(always)]
    fn to_f32(self, x: Self::I) -> Self::F {
        unsafe { _mm512_cvtepi32_ps(x) }
    }
    #[inline(always)]
    fn reciprocal(self, x: Self::F) -> Self::F {
        unsafe {
            // A step of Newton's from 14 bits: a division of sixteen takes as long as ten products. 1 / infinity is right as it is.
            let y = _mm512_rcp14_ps(x);
            let finite = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(x, _mm512_set1_ps(f32::INFINITY));
            _mm512_mask_fmadd_ps(y, finite, _mm512_fnmadd_ps(x, y, _mm512_set1_ps(1.0)), y)
        }
    }
    #[inline(always)]
    fn store_bytes(self, x: Self::F, to: &mut [u8; LANES]) {
        unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), _mm512_cvtepi32_epi8(_mm512_cvttps_epi32(x))) }
    }
    #[inline(always)]
    fn prefetch<T>(self, at: *const T) {
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
    }
    #[inline(always)]
    fn prefetch_to_write<T>(self, at: *const T) {
        unsafe { _mm_prefetch::<_MM_HINT_ET0>(at.cast()) }
    }
}

/// Methods of [`Simd`] as the type within has them.
macro_rules! forward {
    ($($method:ident($($x:ident: $of:ty),*) $(-> $result:ty)?;)*) => {
        $(#[inline(always)]
        fn $method(self, $($x: $of),*) $(-> $result)? {
            self.0.$method($($x),*)
        })*
    };
}

/// What is the same with every AVX-512: all but products of bf16 and of bytes, and rounding to bf16.
macro_rules! as_avx512 {
    () => {
        type F = <Avx512 as Simd>::F;
        type I = <Avx512 as Simd>::I;

        const ROWS: usize = Avx512::ROWS;

        forward! {
            splat(x: f32) -> Self::F;
            load(x: &[f32; LANES]) -> Self::F;
            store(x: Self::F, to: &mut [f32; LANES]);
            add(a: Self::F, b: Self::F) -> Self::F;
            sub(a: Self::F, b: Self::F) -> Self::F;
            mul(a: Self::F, b: Self::F) -> Self::F;
            div(a: Self::F, b: Self::F) -> Self::F;
            mul_add(a: Self::F, b: Self::F, c: Self::F) -> Self::F;
            max(a: Self::F, b: Self::F) -> Self::F;
            min(a: Self::F, b: Self::F) -> Self::F;
            round(x: Self::F) -> Self::F;
            scale2(x: Self::F, n: Self::F) -> Self::F;
            sum(x: Self::F) -> f32;
            maximum(x: Self::F) -> f32;
            load_bf16(x: &[bf16; LANES]) -> Self::F;
            widen_pairs(x: &[bf16; 2 * LANES]) -> [Self::F; 2];
            zero_sums() -> Self::I;
            to_f32(x: Self::I) -> Self::F;
            reciprocal(x: Self::F) -> Self::F;
            store_bytes(x: Self::F, to: &mut [u8; LANES]);
        }

        #[inline(always)]
        fn prefetch<T>(self, at: *const T) {
            self.0.prefetch(at);
        }
        #[inline(always)]
        fn prefetch_to_write<T>(self, at: *const T) {
            self.0.prefetch_to_write(at);
        }
    };
}

pub(super) use {as_avx512, forward};
