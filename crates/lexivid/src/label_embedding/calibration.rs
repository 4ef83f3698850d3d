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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn is_the_paper_formula_when_the_bias_is_zero() {
        let calibration = Calibration { scale: 100.0, bias: 0.0 };
        assert_eq!(calibration.probability(0.0), 0.5);
        // sigmoid(1)
        assert!((calibration.probability(0.01) - 0.731_058_6).abs() < 1e-6);
    }

    proptest! {
        #[test]
        fn is_a_probability_and_grows_with_similarity(scale in 0.1f32..200.0, bias in -50f32..50.0, s in -1f32..1.0, more in 0f32..1.0) {
            let calibration = Calibration { scale, bias };
            let p = calibration.probability(s);
            prop_assert!((0.0..=1.0).contains(&p));
            prop_assert!(calibration.probability(s + more) >= p);
        }
    }
}
