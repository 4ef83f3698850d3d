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
//! ```
//! use lexivid::{
//!     classify::{ClassifyOptions, EncodedLabels, LookOptions, classify},
//!     frames::{Sampling, Windowing},
//!     label::LabelList,
//!     models,
//!     scores::Pool,
//!     video::DecodeOptions,
//! };
//! use std::ops::ControlFlow;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let video = tempfile::Builder::new().suffix(".png").tempfile()?.into_temp_path();
//! # image::RgbImage::new(64, 48).save(&video)?;
//! # let video = video.to_str().unwrap();
//! // A CLIP of random weights; `models::load("starter", ..)` is a real one.
//! let model = models::load("tests/fixtures/clip_quick_gelu", &models::Compute::exact()?)?;
//! let labels = LabelList::from_inline("dog, guitar, riding a bike")?;
//! let labels = EncodedLabels::new(model.as_ref(), labels, None, |_done| ControlFlow::Continue(()))?;
//! let options = ClassifyOptions {
//!     look: LookOptions {
//!         sampling: Sampling::new(Windowing::Sliding { length: 2.0, hop: 1.0 }, 4)?,
//!         shots: false,
//!         motion: true,
//!         dedup: true,
//!         keep_blocks: 0,
//!         decode: DecodeOptions::default(),
//!     },
//!     pool: Pool::TopK,
//!     threshold: 0.5,
//! };
//! let found = classify(model.as_ref(), &labels, video, &options, &mut |_progress| ControlFlow::Continue(()))?;
//! for label in &found.labels {
//!     println!("{:.2} {} {:?}", label.probability, label.label, label.spans);
//! }
//! # assert_eq!(found.labels.len(), 3);
//! # Ok(())
//! # }
//! ```
//!
//! The method is *Open Vocabulary Multi-Label Video Classification* (ECCV 2024, arXiv 2407.09073); symbols of the paper
//! stand beside our names where they occur.

pub mod classify;
pub mod dataset;
pub mod decisions;
pub mod eval;
pub mod expansion;
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
pub mod training;
pub mod video;
pub mod video_embedding;

mod atomic;
mod error;

pub use error::Error;
