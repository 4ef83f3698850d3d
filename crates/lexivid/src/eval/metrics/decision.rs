//! Precision, recall and F1 of decisions.

use serde::Serialize;

/// Decisions, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// What is there.
    pub positives: u64,
    /// What is said to be there.
    pub predicted: u64,
    /// What is there and is said to be.
    pub found: u64,
}

/// Precision, recall and their harmonic mean.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PrecisionRecall {
    /// Share of what is there among what is said to be; 0 where nothing is said.
    pub precision: f64,
    /// Share of what is there that is said to be; 0 where nothing is there.
    pub recall: f64,
    /// 2 P R / (P + R); 0 where both are.
    pub f1: f64,
}

impl PrecisionRecall {
    /// With the F1 of precision and recall.
    pub fn new(precision: f64, recall: f64) -> Self {
        let sum = precision + recall;
        Self { precision, recall, f1: if sum > 0.0 { 2.0 * precision * recall / sum } else { 0.0 } }
    }
}

impl Counts {
    /// Counts pairs of score and presence; what reaches `threshold` is said to be there.
    pub fn at(threshold: f32, pairs: impl IntoIterator<Item = (f32, bool)>) -> Self {
        let mut counts = Self::default();
        for (score, present) in pairs {
            counts.add(score >= threshold, present);
        }
        counts
    }

    /// Counts one decision.
    pub fn add(&mut self, predicted: bool, present: bool) {
        self.positives += u64::from(present);
        self.predicted += u64::from(predicted);
        self.found += u64::from(predicted && present);
    }

    /// Both together.
    pub fn and(self, other: Self) -> Self {
        Self {
            positives: self.positives + other.positives,
            predicted: self.predicted + other.predicted,
            found: self.found + other.found,
        }
    }

    /// What they amount to.
    pub fn precision_recall(self) -> PrecisionRecall {
        let share = |of: u64| if of == 0 { 0.0 } else { self.found as f64 / of as f64 };
        PrecisionRecall::new(share(self.predicted), share(self.positives))
    }
}

/// CF1 of multi-label image recognition: the F1 of the mean precision and the mean recall of the labels that have a
/// positive. It is not the mean of the labels' F1.
#[derive(Debug, Clone, Copy, Default)]
pub struct MacroF1 {
    precision: f64,
    recall: f64,
    labels: usize,
}

impl MacroF1 {
    /// Adds a label; one without a positive does not count.
    pub fn add(&mut self, counts: Counts) {
        if counts.positives > 0 {
            let of_label = counts.precision_recall();
            self.precision += of_label.precision;
            self.recall += of_label.recall;
            self.labels += 1;
        }
    }

    /// CP, CR and CF1; `None` without a label.
    pub fn precision_recall(self) -> Option<PrecisionRecall> {
        let n = self.labels as f64;
        (self.labels > 0).then(|| PrecisionRecall::new(self.precision / n, self.recall / n))
    }
}
