//! Training: whatever has weights to learn, through one loop.
//!
//! A [`Task`] knows its weights and how to come by their gradients for a step; [`run`] turns steps into a trained model: optimizer,
//! rate, checkpoints, resuming, records. [`contrastive`] pretrains a CLIP on pictures and captions; [`finetune`] fits a frozen
//! model to the labels of a data set.
//!
//! What a step sees depends on seed and step only, so that a resumed run gives the same weights as one that never stopped.

mod average;
mod checkpoint;
mod config;
pub mod contrastive;
mod error;
pub mod finetune;
mod optimizer;
mod record;
mod run;
mod schedule;
mod start;

pub use average::AveragingConfig;
pub use checkpoint::Checkpoint;
pub use config::{TrainingPrecision, read as read_config};
pub use error::TrainingError;
pub use optimizer::{AdamW, OptimizerConfig};
pub use run::{Finished, Gradients, Plan, Status, Task, run};
pub use schedule::rate_at;
pub use start::{TemporalStart, additions as additions_start, clip as clip_start};
