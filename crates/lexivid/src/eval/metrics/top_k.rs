//! Metrics of the best labels of every example, as YouTube-8M has them.

use super::Ranking;

/// The `k` pairs with the highest scores, best first; of equal scores those that stand first. A pair is whatever begins
/// with a score.
pub fn top_k<T: Copy>(row: &[T], k: usize, score: impl Fn(&T) -> f32) -> Vec<T> {
    let mut order: Vec<usize> = (0..row.len()).collect();
    let by_score = |a: &usize, b: &usize| score(&row[*b]).total_cmp(&score(&row[*a])).then(a.cmp(b));
    if k > 0 && k < order.len() {
        order.select_nth_unstable_by(k - 1, by_score);
    }
    order.truncate(k);
    order.sort_unstable_by(by_score);
    order.into_iter().map(|index| row[index]).collect()
}

/// GAP@K: the step-wise average precision of the `k` best pairs of every row pooled, over *all* positives of the rows.
/// With `k` at least the length of the rows it is the micro AP. `None` without a positive.
pub fn global_average_precision<'a>(rows: impl IntoIterator<Item = &'a [(f32, bool)]>, k: usize) -> Option<f64> {
    let (mut pooled, mut positives) = (Vec::new(), 0);
    for row in rows {
        positives += row.iter().filter(|(_, present)| *present).count();
        pooled.extend(top_k(row, k, |pair| pair.0));
    }
    Ranking::new(pooled.iter().copied()).average_precision_over(positives as f64)
}

/// Hit@1 of one row: whether its best label is there. `None` where none is, as then nothing could hit.
pub fn hit_at_1(row: &[(f32, bool)]) -> Option<f64> {
    let any = row.iter().any(|(_, present)| *present);
    any.then(|| top_k(row, 1, |pair| pair.0).first().map_or(0.0, |(_, present)| f64::from(u8::from(*present))))
}

/// Precision of the n best labels of one row, where n labels are there; its mean over rows is PERR. `None` for n = 0.
pub fn precision_at_equal_recall(row: &[(f32, bool)]) -> Option<f64> {
    let n = row.iter().filter(|(_, present)| *present).count();
    let found = top_k(row, n, |pair| pair.0).iter().filter(|(_, present)| *present).count();
    (n > 0).then(|| found as f64 / n as f64)
}
