//! Metrics of ranking.

/// Average precision of one label: the sum over *distinct* thresholds of (R_n - R_(n-1)) P_n, as scikit-learn's
/// `average_precision_score` computes it, ties included. Pairs of score and presence; `None` without a positive.
pub fn average_precision(scored: &[(f32, bool)]) -> Option<f64> {
    let positives = scored.iter().filter(|(_, present)| *present).count();
    let mut sorted = scored.to_vec();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut seen, mut found, mut sum) = (0, 0, 0.0);
    for ties in sorted.chunk_by(|a, b| a.0 == b.0) {
        let new = ties.iter().filter(|(_, present)| *present).count();
        seen += ties.len();
        found += new;
        sum += new as f64 * found as f64 / seen as f64;
    }
    (positives > 0).then(|| sum / positives as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    /// scripts/goldens/average_precision.py
    #[derive(Deserialize)]
    struct Case {
        scores: Vec<f32>,
        present: Vec<bool>,
        average_precision: f64,
    }

    #[test]
    fn agrees_with_scikit_learn() {
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../../tests/goldens/average_precision.json")).expect("golden");
        assert_eq!(cases.len(), 5);
        for case in cases {
            let scored: Vec<_> = case.scores.into_iter().zip(case.present).collect();
            let got = average_precision(&scored).expect("a positive");
            assert!((got - case.average_precision).abs() < 1e-12, "{got} {}", case.average_precision);
        }
    }

    #[test]
    fn is_undefined_without_a_positive() {
        assert_eq!(average_precision(&[]), None);
        assert_eq!(average_precision(&[(0.5, false)]), None);
    }
}
