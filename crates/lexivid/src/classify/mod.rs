//! The main job, end to end: a video and labels in, a [`crate::decisions::Classification`] out.

mod error;

pub use error::ClassifyError;
