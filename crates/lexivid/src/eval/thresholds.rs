use super::{EvalError, Scores, metrics::Ranking};
use crate::dataset::Truths;

/// For every label the probability from which on to call it present, so that its F1 on these examples is the best;
/// `None` where fewer than `least` positives are known, or no negative: what few examples like best is chance.
///
/// # Errors
/// When scores and truths are not of the same size.
pub fn best_thresholds(scores: &Scores, truths: &Truths, least: usize) -> Result<Vec<Option<f32>>, EvalError> {
    let (expected, got) = ((scores.examples(), scores.labels()), (truths.examples(), truths.labels()));
    if expected != got {
        let [expected, got] = [expected, got].map(|(examples, labels)| format!("{examples} x {labels}"));
        return Err(EvalError::Shape { what: "truths", expected, got });
    }
    let best = |label: usize| {
        let known = scores.rows().zip(truths.rows()).filter_map(|(p, truth)| Some((p[label], truth[label].known()?)));
        let ranking = Ranking::new(known.clone());
        let enough = ranking.positives() >= least as f64 && known.clone().any(|(_, present)| !present);
        ranking.peak_f1().filter(|_| enough).map(|peak| peak.threshold)
    };
    Ok((0..scores.labels()).map(best).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Truth::{Negative, Positive, Unknown};

    #[test]
    fn only_labels_with_enough_positives_get_one() {
        let (mut scores, mut truths) = (Scores::new(3), Truths::new(3));
        for (row, truth) in [
            ([0.9, 0.9, 0.9], [Positive, Positive, Positive]),
            ([0.7, 0.5, 0.8], [Positive, Unknown, Positive]),
            ([0.6, 0.8, 0.7], [Negative, Negative, Unknown]),
            ([0.1, 0.1, 0.1], [Negative, Positive, Positive]),
        ] {
            scores.push(&row).unwrap();
            truths.push(&truth);
        }
        assert_eq!(best_thresholds(&scores, &truths, 2).unwrap(), [Some(0.7), Some(0.1), None]);
        assert_eq!(best_thresholds(&scores, &truths, 3).unwrap(), [None; 3]);
        assert!(best_thresholds(&scores, &Truths::new(3), 2).is_err());
    }
}
