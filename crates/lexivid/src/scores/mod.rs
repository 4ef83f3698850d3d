//! Probabilities per window -> one probability per video: pooling over time.

use std::{fmt, str::FromStr};

/// How the probabilities of a video's windows become the video's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pool {
    /// The highest: a label that holds once holds.
    Max,
    /// The mean: a label must hold throughout.
    Mean,
    /// The mean of the highest tenth (rounded up): a label that holds once holds, and in a long video a single stray
    /// window does not decide.
    TopK,
    /// 1 - prod(1 - p): windows as independent witnesses. Overlapping windows are not independent; give it a hop that
    /// equals the window.
    NoisyOr,
}

impl Pool {
    /// Every pooling, in the order of the documentation.
    pub const ALL: [Pool; 4] = [Pool::Max, Pool::Mean, Pool::TopK, Pool::NoisyOr];

    /// The name users give: `max`, `mean`, `top-k`, `noisy-or`.
    pub fn name(self) -> &'static str {
        match self {
            Pool::Max => "max",
            Pool::Mean => "mean",
            Pool::TopK => "top-k",
            Pool::NoisyOr => "noisy-or",
        }
    }

    /// The video's probability from those of its windows, W >= 1; 0 for none.
    pub fn of(self, windows: &[f32]) -> f32 {
        if windows.is_empty() {
            return 0.0;
        }
        let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len() as f32;
        match self {
            Pool::Max => windows.iter().copied().fold(0.0, f32::max),
            Pool::Mean => mean(windows),
            Pool::TopK => {
                let mut sorted = windows.to_vec();
                sorted.sort_by(|a, b| b.total_cmp(a));
                mean(&sorted[..windows.len().div_ceil(10)])
            }
            Pool::NoisyOr => 1.0 - windows.iter().map(|p| 1.0 - p).product::<f32>(),
        }
    }
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Pool {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Pool::ALL
            .into_iter()
            .find(|p| p.name() == name)
            .ok_or_else(|| format!("expected one of {}, got {name:?}", Pool::ALL.map(Pool::name).join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn follows_its_formula() {
        let windows = [0.1, 0.5, 0.2];
        assert_eq!(Pool::Max.of(&windows), 0.5);
        assert!((Pool::Mean.of(&windows) - 0.8 / 3.0).abs() < 1e-6);
        assert!((Pool::NoisyOr.of(&windows) - (1.0 - 0.9 * 0.5 * 0.8)).abs() < 1e-6);
        // 11 windows: the mean of the two highest.
        let eleven: Vec<f32> = (0..11).map(|i| i as f32 / 10.0).collect();
        assert!((Pool::TopK.of(&eleven) - 0.95).abs() < 1e-6);
    }

    #[test]
    fn names_are_read_back() {
        for pool in Pool::ALL {
            assert_eq!(pool.name().parse(), Ok(pool));
        }
        assert!("median".parse::<Pool>().unwrap_err().contains("noisy-or"));
    }

    proptest! {
        #[test]
        fn poolings_are_ordered_and_agree_on_one_window(windows in prop::collection::vec(0f32..=1.0, 1..40)) {
            let [max, mean, top, noisy] = Pool::ALL.map(|p| p.of(&windows));
            let slack = 1e-5;
            prop_assert!(mean <= top + slack && top <= max + slack && max <= noisy + slack && noisy <= 1.0 + slack);
            for pool in Pool::ALL {
                prop_assert!((pool.of(&windows[..1]) - windows[0]).abs() < slack);
            }
        }
    }
}
