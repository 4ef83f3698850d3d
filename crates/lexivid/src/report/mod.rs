//! Decisions -> what people and programs read: table, JSON, CSV, HTML.

mod error;

pub use error::ReportError;
