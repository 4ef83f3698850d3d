//! Decisions -> what people and programs read: table, JSON, CSV, HTML.
//!
//! All but [`html`] take [`Outcome`]s, so that a video that failed is part of the output and the rest go on.

pub mod csv;
pub mod html;
pub mod json;
pub mod jsonl;
pub mod table;

mod clock;
mod error;
mod outcome;

pub use error::ReportError;
pub use outcome::Outcome;

#[cfg(test)]
mod fixture;
