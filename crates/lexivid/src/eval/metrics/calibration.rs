//! Whether a probability of 0.7 means that it holds in 7 of 10 cases.

use serde::Serialize;

/// Number of bins, as is customary since Guo et al. 2017.
pub const BINS: usize = 15;

/// Pairs whose probability p lies in `lower < p <= upper`; the first bin has those of 0, too.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bin {
    /// Lower end, exclusive.
    pub lower: f64,
    /// Upper end, inclusive.
    pub upper: f64,
    /// How many pairs there are.
    pub pairs: u64,
    /// Their mean probability; 0 where there are none.
    pub mean_probability: f64,
    /// Share of them where the label is there; 0 where there are none.
    pub share_present: f64,
}

/// The reliability diagram: pairs of probability and presence in [`BINS`] bins of equal width.
pub fn reliability(pairs: impl IntoIterator<Item = (f32, bool)>) -> Vec<Bin> {
    let mut sums = [(0u64, 0.0f64, 0u64); BINS];
    for (p, present) in pairs {
        let p = f64::from(p);
        let bin = ((p * BINS as f64).ceil() as usize).clamp(1, BINS) - 1;
        let (pairs, probability, positives) = &mut sums[bin];
        *pairs += 1;
        *probability += p;
        *positives += u64::from(present);
    }
    let edge = |i: usize| i as f64 / BINS as f64;
    let bin = |(i, (pairs, probability, positives)): (usize, (u64, f64, u64))| {
        let mean = |sum: f64| if pairs == 0 { 0.0 } else { sum / pairs as f64 };
        let (mean_probability, share_present) = (mean(probability), mean(positives as f64));
        Bin { lower: edge(i), upper: edge(i + 1), pairs, mean_probability, share_present }
    };
    sums.into_iter().enumerate().map(bin).collect()
}

/// ECE: the mean over all pairs of |mean probability - share present| of their bin (L1). `None` without a pair.
pub fn expected_calibration_error(bins: &[Bin]) -> Option<f64> {
    let pairs: u64 = bins.iter().map(|bin| bin.pairs).sum();
    let gap = |bin: &Bin| bin.pairs as f64 * (bin.mean_probability - bin.share_present).abs();
    (pairs > 0).then(|| bins.iter().map(gap).sum::<f64>() / pairs as f64)
}

/// Brier score: the mean of (p - y)^2. `None` without a pair.
pub fn brier(pairs: impl IntoIterator<Item = (f32, bool)>) -> Option<f64> {
    let square = |(p, present): (f32, bool)| (f64::from(p) - f64::from(u8::from(present))).powi(2);
    let (sum, count) = pairs.into_iter().fold((0.0, 0u64), |(sum, count), pair| (sum + square(pair), count + 1));
    (count > 0).then(|| sum / count as f64)
}
