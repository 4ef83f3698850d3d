//! Data sets: examples with what is known of them (a [`Manifest`]) and the labels that they are about (a [`Vocabulary`]).
//!
//! Nothing of any model is known here. Annotation is partial as a rule: a label that an example says nothing of is
//! [`Truth::Unknown`], which is neither trained on nor counted.

mod error;
mod example;
mod manifest;
mod truth;
mod vocabulary;

pub use error::DatasetError;
pub use example::{Example, Media, Negatives};
pub use manifest::Manifest;
pub use truth::{Truth, Truths};
pub use vocabulary::Vocabulary;
