//! Average precision and its relatives.

use serde::Serialize;

/// What a threshold finds, for every threshold at which that changes: at every distinct score of a positive, from the
/// highest down. Between two of them only false alarms are added, so nothing else can be a peak or a corner.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking {
    positives: f64,
    points: Vec<Point>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Point {
    score: f32,
    /// Weight of the positives with at least this score.
    found: f64,
    /// Weight of the negatives with at least this score.
    false_alarms: f64,
}

/// A corner of a precision-recall curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CurvePoint {
    /// Share of the positives that are found.
    pub recall: f64,
    /// Share of positives among what is found.
    pub precision: f64,
    /// The score from which on something counts as found.
    pub threshold: f32,
}

/// The best F1 over all thresholds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PeakF1 {
    /// F1.
    pub f1: f64,
    /// The score from which on something counts as found.
    pub threshold: f32,
    /// Precision there.
    pub precision: f64,
    /// Recall there.
    pub recall: f64,
}

/// Average precision of pairs of score and presence ([`Ranking::average_precision`]).
pub fn average_precision(scored: &[(f32, bool)]) -> Option<f64> {
    Ranking::new(scored.iter().copied()).average_precision()
}

/// The expected AP of a ranking that means nothing: the mean over places k of E\[precision at k | a positive at k\] = (1 + (k - 1) (P - 1) /
/// (N - 1)) / k, for P positives among N. More than the share P / N, by much where positives are few.
pub fn chance_average_precision(positives: usize, negatives: usize) -> f64 {
    let (p, n) = (positives as f64, (positives + negatives) as f64);
    let others = if n > 1.0 { (p - 1.0) / (n - 1.0) } else { 0.0 };
    (0..positives + negatives).map(|before| (1.0 + before as f64 * others) / (before + 1) as f64).sum::<f64>() / n
}

impl Ranking {
    /// Of pairs of score and presence, which are gone through twice: memory grows with the positives only.
    pub fn new(pairs: impl Iterator<Item = (f32, bool)> + Clone) -> Self {
        Self::weighted(pairs.map(|(score, present)| (score, present, 1.0)))
    }

    /// The same, each pair with a weight above 0.
    pub fn weighted(pairs: impl Iterator<Item = (f32, bool, f64)> + Clone) -> Self {
        let present = pairs.clone().filter(|(_, present, _)| *present);
        let mut positives: Vec<(f32, f64)> = present.map(|(score, _, weight)| (score, weight)).collect();
        positives.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        let mut points: Vec<Point> = Vec::new();
        let mut found = 0.0;
        for ties in positives.chunk_by(|a, b| a.0 == b.0) {
            found += ties.iter().map(|(_, weight)| weight).sum::<f64>();
            points.push(Point { score: ties[0].0, found, false_alarms: 0.0 });
        }
        let lowest = points.last().map_or(f32::INFINITY, |point| point.score);
        for (score, _, weight) in pairs.filter(|(score, present, _)| !present && *score >= lowest) {
            let first = points.partition_point(|point| point.score > score);
            points[first].false_alarms += weight;
        }
        let mut false_alarms = 0.0;
        for point in &mut points {
            false_alarms += point.false_alarms;
            point.false_alarms = false_alarms;
        }
        Self { positives: found, points }
    }

    /// Weight of all positives.
    pub fn positives(&self) -> f64 {
        self.positives
    }

    /// Step-wise average precision: the sum over *distinct* thresholds of (R_n - R_(n-1)) P_n, as scikit-learn's
    /// `average_precision_score` computes it, ties included. `None` without a positive.
    pub fn average_precision(&self) -> Option<f64> {
        self.average_precision_over(self.positives)
    }

    /// The same where there are positives that the ranking does not hold: recall counts `positives` of them in all.
    pub fn average_precision_over(&self, positives: f64) -> Option<f64> {
        let mut before = 0.0;
        let sum: f64 = self
            .points
            .iter()
            .map(|point| (point.found - std::mem::replace(&mut before, point.found)) * point.precision())
            .sum();
        (positives > 0.0).then(|| sum / positives)
    }

    /// ActivityNet's average precision: every recall has the highest precision at this or a higher recall, as in PASCAL
    /// VOC from 2010 on. Never below [`Ranking::average_precision`].
    pub fn interpolated_average_precision(&self) -> Option<f64> {
        let (mut highest, mut sum) = (0.0, 0.0);
        for (index, point) in self.points.iter().enumerate().rev() {
            highest = point.precision().max(highest);
            let before = if index == 0 { 0.0 } else { self.points[index - 1].found };
            sum += (point.found - before) * highest;
        }
        (self.positives > 0.0).then(|| sum / self.positives)
    }

    /// The highest F1 and its threshold, the highest threshold where several are equal. `None` without a positive.
    pub fn peak_f1(&self) -> Option<PeakF1> {
        let f1 = |point: &Point| 2.0 * point.found / (point.found + point.false_alarms + self.positives);
        let best = self.points.iter().rev().max_by(|a, b| f1(a).total_cmp(&f1(b)))?;
        let (precision, recall) = (best.precision(), best.found / self.positives);
        Some(PeakF1 { f1: f1(best), threshold: best.score, precision, recall })
    }

    /// The precision-recall curve, at most about `corners` of its corners, evenly spread over the recall.
    pub fn curve(&self, corners: usize) -> Vec<CurvePoint> {
        let mut curve: Vec<CurvePoint> = Vec::new();
        for (index, point) in self.points.iter().enumerate() {
            let recall = point.found / self.positives;
            let far = curve.last().is_none_or(|last| recall - last.recall >= 1.0 / corners as f64);
            if far || index + 1 == self.points.len() {
                curve.push(CurvePoint { recall, precision: point.precision(), threshold: point.score });
            }
        }
        curve
    }
}

impl Point {
    fn precision(&self) -> f64 {
        self.found / (self.found + self.false_alarms)
    }
}
