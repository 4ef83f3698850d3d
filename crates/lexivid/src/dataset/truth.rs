/// What is known of a label and an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Truth {
    /// It is not there, and somebody made sure.
    Negative,
    /// It is there.
    Positive,
    /// Nobody says.
    Unknown,
}

impl Truth {
    /// Whether the label is there, where that is known.
    pub fn known(self) -> Option<bool> {
        match self {
            Truth::Negative => Some(false),
            Truth::Positive => Some(true),
            Truth::Unknown => None,
        }
    }
}

/// What is known of E examples and L labels: `[E, L]`, row-major, a byte a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Truths {
    labels: usize,
    cells: Vec<Truth>,
}

impl Truths {
    /// No examples yet; `labels` (L) is at least 1.
    pub fn new(labels: usize) -> Self {
        assert!(labels > 0, "a vocabulary has at least one label");
        Self { labels, cells: Vec::new() }
    }

    /// Adds an example.
    ///
    /// # Panics
    /// Unless `row` has L cells.
    pub fn push(&mut self, row: &[Truth]) {
        assert_eq!(row.len(), self.labels, "one truth a label");
        self.cells.extend_from_slice(row);
    }

    /// E.
    pub fn examples(&self) -> usize {
        self.cells.len() / self.labels
    }

    /// L.
    pub fn labels(&self) -> usize {
        self.labels
    }

    /// The truths of one example, `[L]`.
    pub fn row(&self, example: usize) -> &[Truth] {
        &self.cells[example * self.labels..][..self.labels]
    }

    /// All rows, in order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[Truth]> + Clone {
        self.cells.chunks_exact(self.labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_examples() {
        let mut truths = Truths::new(2);
        truths.push(&[Truth::Positive, Truth::Unknown]);
        truths.push(&[Truth::Negative, Truth::Positive]);
        assert_eq!((truths.examples(), truths.labels()), (2, 2));
        assert_eq!(truths.row(1), [Truth::Negative, Truth::Positive]);
        assert_eq!(truths.rows().len(), 2);
        assert_eq!(truths.row(0).iter().map(|t| t.known()).collect::<Vec<_>>(), [Some(true), None]);
    }
}
