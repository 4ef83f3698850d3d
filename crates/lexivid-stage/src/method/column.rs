use super::RunResult;
use lexivid::label::Kind;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use std::fmt;

/// What is measured of a row; all in points of a hundred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// Mean AP of the labels of a subset and kind.
    Labels(&'static str, Kind),
    /// Mean AP of a subset's actions where either they or their reverse in time hold.
    Reversed(&'static str),
    /// Expected calibration error over all labels: the smaller, the better.
    CalibrationError,
}

impl Column {
    /// All, in the order in which they are told.
    pub const ALL: [Self; 10] = [
        Self::Labels("seen", Kind::Entity),
        Self::Labels("U1", Kind::Entity),
        Self::Labels("U2", Kind::Entity),
        Self::Labels("P", Kind::Entity),
        Self::Labels("seen", Kind::Action),
        Self::Labels("U2", Kind::Action),
        Self::Labels("P", Kind::Action),
        Self::Labels("C", Kind::Action),
        Self::Reversed("seen"),
        Self::CalibrationError,
    ];

    /// What a result says, and what it would be by chance; `None` where nothing was to be measured, or chance says nothing.
    pub(super) fn of(self, result: &RunResult) -> (Option<f64>, Option<f64>) {
        let found = match self {
            Self::Labels(subset, kind) => {
                let row = result.rows.iter().find(|row| row.subset == subset && row.kind == kind);
                row.map(|row| (row.mean_average_precision, Some(row.chance)))
            }
            Self::Reversed(subset) => {
                let row = result.reversed.iter().find(|row| row.subset == subset);
                row.map(|row| (row.mean_average_precision, Some(row.chance)))
            }
            Self::CalibrationError => result.calibration_error.map(|error| (error, None)),
        };
        let points = |value: f64| 100.0 * value;
        (found.map(|(value, _)| points(value)), found.and_then(|(_, chance)| chance).map(points))
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Labels(subset, Kind::Entity) => write!(f, "{subset} entities"),
            Self::Labels(subset, Kind::Action) => write!(f, "{subset} actions"),
            Self::Reversed(subset) => write!(f, "{subset} reversed"),
            Self::CalibrationError => write!(f, "ECE"),
        }
    }
}

impl Serialize for Column {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Column {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::ALL.into_iter().find(|column| column.to_string() == name).ok_or_else(|| {
            let all = Self::ALL.map(|column| column.to_string()).join(", ");
            D::Error::custom(format!("unknown column {name:?}, expected one of {all}"))
        })
    }
}
