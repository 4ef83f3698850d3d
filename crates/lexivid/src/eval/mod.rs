//! How good it is: metrics and the evaluation data that comes with the project.

pub mod metrics;
pub mod stamps;
