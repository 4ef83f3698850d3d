use super::{Column, ReportedRow, Spread};
use serde::{Deserialize, Serialize};

/// What should come out: one row against others, in one column. It holds if it holds against every one of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// In words.
    pub what: String,
    /// Where.
    pub column: Column,
    /// Of which row.
    pub row: String,
    /// The rows that it is compared with.
    pub than: Vec<String>,
    /// By at least so many points is the row above them; below 0: so many may it be beneath.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<f64>,
    /// And by more than so many times the spread of the difference, sqrt(s^2 + s'^2) of both standard deviations over seeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spreads: Option<f64>,
    /// The row is at most so many times theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most_times: Option<f64>,
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judgement {
    /// Of what.
    #[serde(flatten)]
    pub claim: Claim,
    /// Whether it holds; `None` while that is not known.
    pub holds: Option<bool>,
    /// Why it is not known.
    pub open: Option<String>,
    /// One entry a row of `than` that has run.
    pub comparisons: Vec<Comparison>,
}

/// One row against another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The other row.
    pub than: String,
    /// The row's mean over seeds, in points.
    pub value: f64,
    /// The other's.
    pub other: f64,
    /// Of the difference; `None` where a row that depends on its seed has only one.
    pub spread: Option<f64>,
    /// Whether the claim holds here.
    pub holds: bool,
}

impl Claim {
    /// All rows that it is about.
    pub(super) fn rows(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.row).chain(&self.than)
    }

    /// What makes it no claim.
    pub(super) fn check(&self) -> Result<(), String> {
        match (self.at_least, self.at_most_times) {
            _ if self.than.is_empty() => Err("expected a row to compare with, found none".into()),
            (None, None) => Err("expected at_least or at_most_times, found neither".into()),
            (None, _) if self.spreads.is_some() => Err("expected at_least beside spreads, found none".into()),
            _ => Ok(()),
        }
    }

    /// Judges it by the rows of a report.
    pub(super) fn judged(&self, rows: &[ReportedRow]) -> Judgement {
        let row = |name: &str| rows.iter().find(|row| row.name == name).expect("a table's claims are about its rows");
        let mut open = Vec::new();
        for row in self.rows().map(|name| row(name)) {
            if row.results.len() < row.runs {
                open.push(format!("{} has {} of {} seeds", row.name, row.results.len(), row.runs));
            } else if row.spread(self.column).is_none() {
                open.push(format!("{} has no {}", row.name, self.column));
            }
        }
        let compare = |name: &String| {
            let (row, other) = (row(&self.row), row(name));
            let (value, than) = (row.spread(self.column)?, other.spread(self.column)?);
            let deviation =
                |row: &ReportedRow, spread: &Spread| if row.untrained { Some(0.0) } else { spread.deviation };
            let spread = deviation(row, value).zip(deviation(other, than)).map(|(a, b)| a.hypot(b));
            Some(self.compared(name, value.mean, than.mean, spread))
        };
        let comparisons: Vec<Comparison> = self.than.iter().filter_map(compare).collect();
        if self.spreads.is_some() && comparisons.iter().any(|comparison| comparison.spread.is_none()) {
            open.push("one seed has no spread".into());
        }
        let holds = open.is_empty().then(|| comparisons.iter().all(|comparison| comparison.holds));
        Judgement { claim: self.clone(), holds, open: (!open.is_empty()).then(|| open.join(", ")), comparisons }
    }

    fn compared(&self, than: &str, value: f64, other: f64, spread: Option<f64>) -> Comparison {
        let difference = value - other;
        let holds = self.at_least.is_none_or(|points| difference >= points)
            && self.spreads.is_none_or(|times| spread.is_some_and(|spread| difference > times * spread))
            && self.at_most_times.is_none_or(|times| value <= times * other);
        Comparison { than: than.into(), value, other, spread, holds }
    }
}
