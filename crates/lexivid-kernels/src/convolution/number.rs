use crate::{
    matmul::Multiply,
    simd::{LANES, Simd},
};
use bytemuck::Pod;
use half::bf16;

/// What activations are stored in.
pub(super) trait Number: Pod + Send + Sync {
    fn load<S: Simd>(s: S, from: &[Self; LANES]) -> S::F;
    fn store<S: Simd>(s: S, x: S::F, to: &mut [Self; LANES]);

    fn to_f32(self) -> f32;

    /// As many as there are (at most sixteen); the other lanes 0.
    #[inline(always)]
    fn load_part<S: Simd>(s: S, from: &[Self]) -> S::F {
        let mut lanes = [Self::zeroed(); LANES];
        lanes[..from.len()].copy_from_slice(from);
        Self::load(s, &lanes)
    }
}

impl Number for f32 {
    #[inline(always)]
    fn load<S: Simd>(s: S, from: &[f32; LANES]) -> S::F {
        s.load(from)
    }
    #[inline(always)]
    fn store<S: Simd>(s: S, x: S::F, to: &mut [f32; LANES]) {
        s.store(x, to);
    }
    #[inline(always)]
    fn to_f32(self) -> f32 {
        self
    }
}

impl Number for bf16 {
    #[inline(always)]
    fn load<S: Simd>(s: S, from: &[bf16; LANES]) -> S::F {
        s.load_bf16(from)
    }
    #[inline(always)]
    fn store<S: Simd>(s: S, x: S::F, to: &mut [bf16; LANES]) {
        s.store_bf16(x, to);
    }
    #[inline(always)]
    fn to_f32(self) -> f32 {
        bf16::to_f32(self)
    }
}

/// What products multiply and activations are stored in.
pub(super) trait Factor: Number + Multiply<Weight = Self> {}

impl<T: Number + Multiply<Weight = T>> Factor for T {}
