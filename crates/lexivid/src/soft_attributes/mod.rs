//! Label text -> states of a frozen language model, H(l) -> soft attributes, A(l); and what a language model writes of labels, the
//! baseline that these are compared with.

mod attributes;
pub mod checkpoint;
mod decoder;
mod error;
mod generator;
mod language_model;
pub mod phrase;
mod prompting_transformer;
mod text_attributes;

pub use attributes::{Reader, SoftAttributes, Widths};
pub use checkpoint::Chat;
pub use decoder::Decoder;
pub use error::LanguageModelError;
pub(crate) use generator::before_a_repeated_line;
pub use generator::{Generator, Limits, Written};
pub(crate) use language_model::deviation;
pub use language_model::{LanguageModel, States};
pub use prompting_transformer::{PromptingConfig, PromptingTransformer};
pub use text_attributes::TextAttributes;

#[cfg(test)]
mod tests;
