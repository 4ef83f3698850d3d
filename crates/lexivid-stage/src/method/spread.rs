use serde::Serialize;

/// Numbers of several seeds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Spread {
    /// One a seed.
    pub values: Vec<f64>,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation, as a sample's (over n - 1); `None` of a single one.
    pub deviation: Option<f64>,
}

impl Spread {
    /// `None` without a value.
    pub fn of(values: Vec<f64>) -> Option<Self> {
        if values.is_empty() {
            return None;
        }
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt());
        Some(Self { values, mean, deviation })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_sample_deviation() {
        let of = |values: &[f64]| Spread::of(values.to_vec()).map(|spread| (spread.mean, spread.deviation));
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[3.0]), Some((3.0, None)));
        // Squares of -3, -1, 4 over 2: 13.
        assert_eq!(of(&[2.0, 4.0, 9.0]), Some((5.0, Some(13f64.sqrt()))));
        assert_eq!(of(&[7.0, 7.0]), Some((7.0, Some(0.0))));
    }
}
