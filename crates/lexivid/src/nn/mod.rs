//! Beneath every room: pieces that several networks share, and the reading of weights. Knows no room.

#[cfg(test)]
pub(crate) mod pseudo_random;
pub mod torch_legacy;

/// `x / |x|`; a zero vector stays zero.
pub fn l2_normalised(mut x: Vec<f32>) -> Vec<f32> {
    let norm = x.iter().map(|v| v * v).sum::<f32>().sqrt();
    if norm > 0.0 {
        x.iter_mut().for_each(|v| *v /= norm);
    }
    x
}
