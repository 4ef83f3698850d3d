/// Why something could not be evaluated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// Scores and truths are not of the same examples and labels.
    #[error("expected {what} of {expected}, got {got}")]
    Shape {
        /// What is of the wrong size.
        what: &'static str,
        /// The size expected.
        expected: String,
        /// The size found.
        got: String,
    },
    /// A score is no probability.
    #[error("example {example}, label {label}: expected a probability from 0 to 1, got {got}")]
    NoProbability {
        /// The example's place, from 0.
        example: usize,
        /// The label's place, from 0.
        label: usize,
        /// The score found.
        got: f32,
    },
    /// Nothing can be learnt from the pairs.
    #[error("calibration: expected positives that are more similar than negatives, got {reason}")]
    NothingToFit {
        /// What was found.
        reason: String,
    },
}

impl EvalError {
    /// What the user may try, when there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            EvalError::NothingToFit { .. } => {
                Some("more examples, with `\"negatives\": \"*\"` where every label was looked for".into())
            }
            _ => None,
        }
    }
}
