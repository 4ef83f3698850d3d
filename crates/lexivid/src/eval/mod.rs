//! How good it is: metrics, the evaluation of a model's probabilities on a data set, and the evaluation data that comes
//! with the project.
//!
//! [`metrics`] are plain functions of pairs of score and presence; [`evaluate`] is all of them, label by label and for
//! groups of labels; [`platt`] turns similarities into probabilities.

mod error;
mod evaluation;
mod group;
mod label;
pub mod metrics;
pub mod page;
pub mod platt;
mod report;
mod scores;
pub mod stamps;
#[cfg(test)]
mod tests;
mod thresholds;

pub use error::EvalError;
pub use evaluation::{Evaluation, EvaluationOptions, GroupEvaluation, evaluate};
pub use group::{Group, Protocol};
pub use label::{LabelEvaluation, Reversed};
pub use report::{EvaluationReport, Failed};
pub use scores::Scores;
pub use thresholds::best_thresholds;
