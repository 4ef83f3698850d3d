use super::EvalError;

/// Probabilities of E examples and L labels: `[E, L]`, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    labels: usize,
    values: Vec<f32>,
}

impl Scores {
    /// No examples yet; `labels` (L) is at least 1.
    pub fn new(labels: usize) -> Self {
        assert!(labels > 0, "a vocabulary has at least one label");
        Self { labels, values: Vec::new() }
    }

    /// Adds an example.
    ///
    /// # Errors
    /// Unless `row` has L probabilities.
    pub fn push(&mut self, row: &[f32]) -> Result<(), EvalError> {
        if row.len() != self.labels {
            let (expected, got) = (format!("{} labels", self.labels), row.len().to_string());
            return Err(EvalError::Shape { what: "scores", expected, got });
        }
        if let Some(label) = row.iter().position(|p| !(0.0..=1.0).contains(p)) {
            return Err(EvalError::NoProbability { example: self.examples(), label, got: row[label] });
        }
        self.values.extend_from_slice(row);
        Ok(())
    }

    /// E.
    pub fn examples(&self) -> usize {
        self.values.len() / self.labels
    }

    /// L.
    pub fn labels(&self) -> usize {
        self.labels
    }

    /// The probabilities of one example, `[L]`.
    pub fn row(&self, example: usize) -> &[f32] {
        &self.values[example * self.labels..][..self.labels]
    }

    /// All rows, in order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> + Clone {
        self.values.chunks_exact(self.labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_probabilities_come_in() {
        let mut scores = Scores::new(2);
        scores.push(&[0.0, 1.0]).unwrap();
        for (row, expected) in [
            (&[0.5][..], "expected scores of 2 labels, got 1"),
            (&[0.5, f32::NAN], "example 1, label 1: expected a probability from 0 to 1, got NaN"),
            (&[-0.1, 0.5], "got -0.1"),
        ] {
            let error = scores.push(row).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert_eq!((scores.examples(), scores.row(0)), (1, &[0.0, 1.0][..]));
    }
}
