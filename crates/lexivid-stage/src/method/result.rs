use crate::{
    Size, Summary,
    bench::{self, Reversed, Row},
};
use lexivid::eval::Evaluation;
use serde::{Deserialize, Serialize};
use std::{fs, path::Path};

/// All that decides what a run comes to. A result is only good for the recipe that it was made by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// Fingerprint of the model beneath.
    pub base: String,
    /// What it is measured on.
    pub stage: StageIdentity,
    /// `None` of the model beneath itself.
    pub seed: Option<u32>,
    /// The row's configuration as the table has it, base included.
    pub settings: serde_json::Value,
}

/// Which stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageIdentity {
    /// How many videos.
    pub size: Size,
    /// Of the recipe.
    pub version: u32,
    /// What chance was seeded with.
    pub seed: u64,
}

impl From<&Summary> for StageIdentity {
    fn from(summary: &Summary) -> Self {
        Self { size: summary.size, version: summary.version, seed: summary.seed }
    }
}

/// `result.json`: what a run came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// How it was made.
    pub recipe: Recipe,
    /// The program's version.
    pub lexivid: String,
    /// How long the training took; `None` where nothing was trained.
    pub seconds_trained: Option<f64>,
    /// Videos that it was measured on.
    pub videos: usize,
    /// Labels by subset and kind.
    pub rows: Vec<Row>,
    /// Actions against themselves backwards.
    pub reversed: Vec<Reversed>,
    /// Over all pairs of video and label.
    pub micro_average_precision: Option<f64>,
    /// Over all pairs of video and label.
    pub calibration_error: Option<f64>,
}

impl RunResult {
    /// Of an evaluation on the test split.
    pub fn new(recipe: Recipe, seconds_trained: Option<f64>, evaluation: &Evaluation) -> Self {
        let all = evaluation.groups.first();
        Self {
            recipe,
            lexivid: env!("CARGO_PKG_VERSION").into(),
            seconds_trained,
            videos: evaluation.examples,
            rows: bench::rows(evaluation),
            reversed: bench::reversed(evaluation),
            micro_average_precision: all.and_then(|all| all.micro_average_precision),
            calibration_error: all.and_then(|all| all.calibration_error),
        }
    }

    /// The result that lies at `path`, if there is one that was made by `recipe`.
    pub fn kept(path: &Path, recipe: &Recipe) -> Option<Self> {
        let result: Self = serde_json::from_str(&fs::read_to_string(path).ok()?).ok()?;
        (result.recipe == *recipe).then_some(result)
    }
}
