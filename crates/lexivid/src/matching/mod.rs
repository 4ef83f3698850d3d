//! Video embedding x label embedding -> similarity, and similarity -> probability.

/// p(l | v) = sigmoid(scale * s + bias), s = f_t(l) . f_v(v); scale = 1 / tau of the paper, bias as SigLIP has it.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Calibration {
    /// 1 / tau.
    pub scale: f32,
    /// b; 0 gives the paper's formula.
    pub bias: f32,
}

impl Calibration {
    /// Probability of a label whose cosine similarity to the video is `similarity`.
    pub fn probability(&self, similarity: f32) -> f32 {
        1.0 / (1.0 + (-(self.scale * similarity + self.bias)).exp())
    }
}
