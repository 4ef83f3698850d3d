//! Label text -> states of a frozen language model, H(l) -> soft attributes, A(l).

mod attributes;
pub mod gguf;
mod language_model;
pub mod llama;
pub mod phrase;
mod prompting_transformer;

pub use attributes::{Reader, SoftAttributes, Widths};
pub(crate) use language_model::deviation;
pub use language_model::{LanguageModel, States};
pub use prompting_transformer::{PromptingConfig, PromptingTransformer};

#[cfg(test)]
mod tests;
