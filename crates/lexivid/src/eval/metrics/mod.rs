//! Metrics of pairs of a score and whether the label is there. A pair of which that is not known is left out by the
//! caller. Scores are not NaN.

mod calibration;
mod decision;
mod ranking;
mod top_k;

pub use calibration::{BINS, Bin, brier, expected_calibration_error, reliability};
pub use decision::{Counts, MacroF1, PrecisionRecall};
pub use ranking::{CurvePoint, PeakF1, Ranking, average_precision, chance_average_precision};
pub use top_k::{global_average_precision, hit_at_1, precision_at_equal_recall, top_k};

/// The mean of the values that there are, and their number.
pub fn mean(values: impl IntoIterator<Item = Option<f64>>) -> (Option<f64>, usize) {
    let (sum, count) = values.into_iter().flatten().fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
    ((count > 0).then(|| sum / count as f64), count)
}
