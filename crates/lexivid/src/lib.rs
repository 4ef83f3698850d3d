//! What is in a video, in your own words: open-vocabulary multi-label video classification.
//!
//! The modules are the rooms of one house, named after the data's way through them:
//!
//! ```text
//! video ─▶ frames ─▶ features ─▶ video_embedding ─┐
//!                                                 ├─▶ matching ─▶ scores ─▶ decisions ─▶ report
//! label ─▶ soft_attributes ─▶ label_embedding ────┘
//! ```
//!
//! [`models`] wires the networks of these rooms into one trait, [`models::Model`]; [`classify`] runs a video through
//! all of them. A room imports only what is upstream of it, or beneath it ([`nn`]).
//!
//! The method is *Open Vocabulary Multi-Label Video Classification* (ECCV 2024, arXiv 2407.09073); symbols of the paper
//! stand beside our names where they occur.

pub mod classify;
pub mod decisions;
pub mod eval;
pub mod features;
pub mod frames;
pub mod label;
pub mod label_embedding;
pub mod matching;
pub mod models;
pub mod nn;
pub mod report;
pub mod scores;
pub mod soft_attributes;
pub mod video;
pub mod video_embedding;

mod error;

pub use error::Error;
