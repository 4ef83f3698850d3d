use super::{LANES, Simd};
use half::bf16;
use std::arch::x86_64::*;

/// AVX2 with FMA: x86-64 since about 2013. A vector is two registers.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// # Safety
    /// The processor has AVX2 and FMA.
    #[inline(always)]
    pub unsafe fn new() -> Self {
        Self(())
    }
}

type Two<T> = [T; 2];

// SAFETY of every block below: whoever made this value promised that the processor has the instructions (`new`); loads
// and stores stay within references to arrays of the right length and need no alignment.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Simd for Avx2 {
    type F = Two<__m256>;
    type I = Two<__m256i>;
    type Pairs = ();
    type Quads = (Two<__m256i>, Two<__m256i>);

    const ROWS: usize = 6;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        unsafe { [_mm256_set1_ps(x); 2] }
    }
    #[inline(always)]
    fn load(self, x: &[f32; LANES]) -> Self::F {
        unsafe { [_mm256_loadu_ps(x.as_ptr()), _mm256_loadu_ps(x.as_ptr().add(8))] }
    }
    #[inline(always)]
    fn store(self, x: Self::F, to: &mut [f32; LANES]) {
        unsafe {
            _mm256_storeu_ps(to.as_mut_ptr(), x[0]);
            _mm256_storeu_ps(to.as_mut_ptr().add(8), x[1]);
        }
    }
    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])] }
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { [_mm256_sub_ps(a[0], b[0]), _mm256_sub_ps(a[1], b[1])] }
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])] }
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { [_mm256_div_ps(a[0], b[0]), _mm256_div_ps(a[1], b[1])] }
    }
    #[inline(always)]
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        unsafe { [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])] }
    }
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { [_mm256_max_ps(a[0], b[0]), _mm256_max_ps(a[1], b[1])] }
    }
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { [_mm256_min_ps(a[0], b[0]), _mm256_min_ps(a[1], b[1])] }
    }
    #[inline(always)]
    fn round(self, x: Self::F) -> Self::F {
        const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        unsafe { [_mm256_round_ps::<NEAREST>(x[0]), _mm256_round_ps::<NEAREST>(x[1])] }
    }
    #[inline(always)]
    fn scale2(self, x: Self::F, n: Self::F) -> Self::F {
        unsafe { [scale2(x[0], n[0]), scale2(x[1], n[1])] }
    }
    #[inline(always)]
    fn sum(self, x: Self::F) -> f32 {
        unsafe {
            let eight = _mm256_add_ps(x[0], x[1]);
            let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }
    #[inline(always)]
    fn maximum(self, x: Self::F) -> f32 {
        unsafe {
            let eight = _mm256_max_ps(x[0], x[1]);
            let four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)))
        }
    }
    #[inline(always)]
    fn load_bf16(self, x: &[bf16; LANES]) -> Self::F {
        unsafe {
            let first = _mm256_cvtepu16_epi32(_mm_loadu_si128(x.as_ptr().cast()));
            let second = _mm256_cvtepu16_epi32(_mm_loadu_si128(x.as_ptr().add(8).cast()));
            [_mm256_castsi256_ps(_mm256_slli_epi32::<16>(first)), _mm256_castsi256_ps(_mm256_slli_epi32::<16>(second))]
        }
    }
    #[inline(always)]
    fn store_bf16(self, x: Self::F, to: &mut [bf16; LANES]) {
        unsafe {
            // Packing works within halves of 128 bits: the middle quarters change places.
            let packed = _mm256_packus_epi32(upper_half(x[0]), upper_half(x[1]));
            _mm256_storeu_si256(to.as_mut_ptr().cast(), _mm256_permute4x64_epi64::<0b11_01_10_00>(packed));
        }
    }
    #[inline(always)]
    fn widen_pairs(self, x: &[bf16; 2 * LANES]) -> [Self::F; 2] {
        unsafe {
            let upper = _mm256_set1_epi32(0xffff_0000_u32 as i32);
            let pairs = [_mm256_loadu_si256(x.as_ptr().cast()), _mm256_loadu_si256(x.as_ptr().add(16).cast())];
            let first = [_mm256_slli_epi32::<16>(pairs[0]), _mm256_slli_epi32::<16>(pairs[1])];
            let second = [_mm256_and_si256(pairs[0], upper), _mm256_and_si256(pairs[1], upper)];
            [
                [_mm256_castsi256_ps(first[0]), _mm256_castsi256_ps(first[1])],
                [_mm256_castsi256_ps(second[0]), _mm256_castsi256_ps(second[1])],
            ]
        }
    }
    #[inline(always)]
    fn zero_sums(self) -> Self::I {
        unsafe { [_mm256_setzero_si256(); 2] }
    }
    #[inline(always)]
    fn load_quads(self, x: &[i8; 4 * LANES]) -> Self::Quads {
        unsafe {
            let first = _mm256_loadu_si256(x.as_ptr().cast());
            let second = _mm256_loadu_si256(x.as_ptr().add(32).cast());
            (
                [
                    _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(first)),
                    _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(second)),
                ],
                [_mm256_srai_epi16::<8>(first), _mm256_srai_epi16::<8>(second)],
            )
        }
    }
    #[inline(always)]
    fn splat_quad(self, x: &[u8; 4]) -> Self::Quads {
        unsafe {
            let bytes = _mm256_set1_epi32(bytemuck::cast(*x));
            ([_mm256_and_si256(bytes, _mm256_set1_epi16(0xff)); 2], [_mm256_srli_epi16::<8>(bytes); 2])
        }
    }
    #[inline(always)]
    fn dot_quads(self, sum: Self::I, a: Self::Quads, b: Self::Quads) -> Self::I {
        unsafe {
            let even = [_mm256_madd_epi16(a.0[0], b.0[0]), _mm256_madd_epi16(a.0[1], b.0[1])];
            let odd = [_mm256_madd_epi16(a.1[0], b.1[0]), _mm256_madd_epi16(a.1[1], b.1[1])];
            [
                _mm256_add_epi32(sum[0], _mm256_add_epi32(even[0], odd[0])),
                _mm256_add_epi32(sum[1], _mm256_add_epi32(even[1], odd[1])),
            ]
        }
    }
    #[inline(always)]
    fn to_f32(self, x: Self::I) -> Self::F {
        unsafe { [_mm256_cvtepi32_ps(x[0]), _mm256_cvtepi32_ps(x[1])] }
    }
    #[inline(always)]
    fn store_bytes(self, x: Self::F, to: &mut [u8; LANES]) {
        unsafe {
            // Packed within either half of a register: 0 1 2 3 8 9 .. first, so in quarters 0 2 1 3.
            let words = _mm256_packs_epi32(_mm256_cvttps_epi32(x[0]), _mm256_cvttps_epi32(x[1]));
            let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(words);
            let bytes = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
            _mm_storeu_si128(to.as_mut_ptr().cast(), bytes);
        }
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

#[inline(always)]
unsafe fn scale2(x: __m256, n: __m256) -> __m256 {
    // SAFETY: the caller's.
    unsafe {
        let n = _mm256_max_ps(_mm256_min_ps(n, _mm256_set1_ps(128.0)), _mm256_set1_ps(-127.0));
        let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
        _mm256_mul_ps(x, _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent)))
    }
}

/// The bits of x rounded to bf16, in 32 bits.
#[inline(always)]
unsafe fn upper_half(x: __m256) -> __m256i {
    // SAFETY: the caller's.
    unsafe {
        let bits = _mm256_castps_si256(x);
        let odd = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
        let rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
        // Rounding could carry a NaN over to infinity: it keeps its upper half, made quiet.
        let nan = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_UNORD_Q>(x, x));
        let quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x0040_0000));
        _mm256_srli_epi32::<16>(_mm256_blendv_epi8(rounded, quiet, nan))
    }
}
