use super::{LANES, Simd};
use half::bf16;
use std::arch::aarch64::*;

/// NEON, as every processor of 64-bit ARM has it. A vector is four registers. Groups of bytes are widened to
/// 16 bits.
#[derive(Clone, Copy)]
pub(crate) struct Neon(());

impl Neon {
    /// # Safety
    /// The processor has NEON.
    #[inline(always)]
    pub unsafe fn new() -> Self {
        Self(())
    }
}

type Four<T> = [T; 4];

/// An operation on every register. A macro, because closures are not always inlined.
macro_rules! each {
    ($i:ident => $register:expr) => {
        [
            {
                let $i = 0;
                $register
            },
            {
                let $i = 1;
                $register
            },
            {
                let $i = 2;
                $register
            },
            {
                let $i = 3;
                $register
            },
        ]
    };
}

// SAFETY of every block below: whoever made this value promised that the processor has the instructions (`new`); loads
// and stores stay within references to arrays of the right length and need no alignment.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Simd for Neon {
    type F = Four<float32x4_t>;
    type I = Four<int32x4_t>;
    type Pairs = ();
    type Quads = (Four<int16x8_t>, Four<int16x8_t>);

    const ROWS: usize = 4;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        unsafe { [vdupq_n_f32(x); 4] }
    }
    #[inline(always)]
    fn load(self, x: &[f32; LANES]) -> Self::F {
        unsafe { each!(i => vld1q_f32(x.as_ptr().add(4 * i))) }
    }
    #[inline(always)]
    fn store(self, x: Self::F, to: &mut [f32; LANES]) {
        for (x, to) in x.into_iter().zip(to.as_chunks_mut::<4>().0) {
            unsafe { vst1q_f32(to.as_mut_ptr(), x) };
        }
    }
    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { each!(i => vaddq_f32(a[i], b[i])) }
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { each!(i => vsubq_f32(a[i], b[i])) }
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { each!(i => vmulq_f32(a[i], b[i])) }
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { each!(i => vdivq_f32(a[i], b[i])) }
    }
    #[inline(always)]
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        unsafe { each!(i => vfmaq_f32(c[i], a[i], b[i])) }
    }
    // Not `vmaxq_f32` and `vminq_f32`, which give NaN where either is one.
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { each!(i => vbslq_f32(vcgtq_f32(a[i], b[i]), a[i], b[i])) }
    }
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        unsafe { each!(i => vbslq_f32(vcltq_f32(a[i], b[i]), a[i], b[i])) }
    }
    #[inline(always)]
    fn round(self, x: Self::F) -> Self::F {
        unsafe { each!(i => vrndnq_f32(x[i])) }
    }
    #[inline(always)]
    fn scale2(self, x: Self::F, n: Self::F) -> Self::F {
        unsafe {
            each!(i => {
                let n = vmaxq_f32(vminq_f32(n[i], vdupq_n_f32(128.0)), vdupq_n_f32(-127.0));
                let exponent = vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127));
                vmulq_f32(x[i], vreinterpretq_f32_s32(vshlq_n_s32::<23>(exponent)))
            })
        }
    }
    #[inline(always)]
    fn sum(self, x: Self::F) -> f32 {
        unsafe { vaddvq_f32(vaddq_f32(vaddq_f32(x[0], x[1]), vaddq_f32(x[2], x[3]))) }
    }
    #[inline(always)]
    fn maximum(self, x: Self::F) -> f32 {
        unsafe { vmaxvq_f32(vmaxq_f32(vmaxq_f32(x[0], x[1]), vmaxq_f32(x[2], x[3]))) }
    }
    #[inline(always)]
    fn load_bf16(self, x: &[bf16; LANES]) -> Self::F {
        unsafe {
            each!(i => {
                let bits = vmovl_u16(vld1_u16(x.as_ptr().cast::<u16>().add(4 * i)));
                vreinterpretq_f32_u32(vshlq_n_u32::<16>(bits))
            })
        }
    }
    #[inline(always)]
    fn store_bf16(self, x: Self::F, to: &mut [bf16; LANES]) {
        for (x, to) in x.into_iter().zip(to.as_chunks_mut::<4>().0) {
            unsafe { vst1_u16(to.as_mut_ptr().cast(), upper_half(x)) };
        }
    }
    #[inline(always)]
    fn widen_pairs(self, x: &[bf16; 2 * LANES]) -> [Self::F; 2] {
        unsafe {
            let pairs = each!(i => vreinterpretq_u32_u16(vld1q_u16(x.as_ptr().cast::<u16>().add(8 * i))));
            [
                each!(i => vreinterpretq_f32_u32(vshlq_n_u32::<16>(pairs[i]))),
                each!(i => vreinterpretq_f32_u32(vandq_u32(pairs[i], vdupq_n_u32(0xffff_0000)))),
            ]
        }
    }
    #[inline(always)]
    fn zero_sums(self) -> Self::I {
        unsafe { [vdupq_n_s32(0); 4] }
    }
    #[inline(always)]
    fn load_quads(self, x: &[i8; 4 * LANES]) -> Self::Quads {
        unsafe {
            let bytes = each!(i => vreinterpretq_s16_s8(vld1q_s8(x.as_ptr().add(16 * i))));
            (each!(i => vshrq_n_s16::<8>(vshlq_n_s16::<8>(bytes[i]))), each!(i => vshrq_n_s16::<8>(bytes[i])))
        }
    }
    #[inline(always)]
    fn splat_quad(self, x: &[u8; 4]) -> Self::Quads {
        unsafe {
            let bytes = vreinterpretq_u16_u32(vdupq_n_u32(u32::from_ne_bytes(*x)));
            let even = vreinterpretq_s16_u16(vandq_u16(bytes, vdupq_n_u16(0xff)));
            ([even; 4], [vreinterpretq_s16_u16(vshrq_n_u16::<8>(bytes)); 4])
        }
    }
    #[inline(always)]
    fn dot_quads(self, sum: Self::I, a: Self::Quads, b: Self::Quads) -> Self::I {
        unsafe {
            each!(i => {
                // Two products of a lane side by side, of its even bytes and then of its odd ones.
                let low = vmull_s16(vget_low_s16(a.0[i]), vget_low_s16(b.0[i]));
                let low = vmlal_s16(low, vget_low_s16(a.1[i]), vget_low_s16(b.1[i]));
                let high = vmull_high_s16(a.0[i], b.0[i]);
                let high = vmlal_high_s16(high, a.1[i], b.1[i]);
                vaddq_s32(sum[i], vpaddq_s32(low, high))
            })
        }
    }
    #[inline(always)]
    fn to_f32(self, x: Self::I) -> Self::F {
        unsafe { each!(i => vcvtq_f32_s32(x[i])) }
    }
}

/// The bits of x rounded to bf16.
#[inline(always)]
unsafe fn upper_half(x: float32x4_t) -> uint16x4_t {
    // SAFETY: the caller's.
    unsafe {
        let bits = vreinterpretq_u32_f32(x);
        let odd = vandq_u32(vshrq_n_u32::<16>(bits), vdupq_n_u32(1));
        let rounded = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
        // Rounding could carry a NaN over to infinity: it keeps its upper half, made quiet.
        let quiet = vorrq_u32(bits, vdupq_n_u32(0x0040_0000));
        vshrn_n_u32::<16>(vbslq_u32(vceqq_f32(x, x), rounded, quiet))
    }
}
