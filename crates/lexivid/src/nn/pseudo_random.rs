//! Numbers that goldens can make again in any language, so that no weights need to be committed.

/// `count` values in [-1, 1): a hash of index and seed in 32-bit arithmetic (the mixing steps of murmur3), exactly as
/// `scripts/goldens/pseudo_random.py` computes it.
pub fn pseudo_random(seed: u32, count: usize) -> Vec<f32> {
    (0..count as u32)
        .map(|i| {
            let mut u = i.wrapping_mul(0x9e37_79b1).wrapping_add(seed.wrapping_mul(0x85eb_ca77));
            u = (u ^ (u >> 16)).wrapping_mul(0x85eb_ca6b);
            u = (u ^ (u >> 13)).wrapping_mul(0xc2b2_ae35);
            u ^= u >> 16;
            (u >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}
