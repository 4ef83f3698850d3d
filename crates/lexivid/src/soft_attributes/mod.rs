//! Label text -> states of a frozen language model.

pub mod gguf;
pub mod llama;
pub mod phrase;

#[cfg(test)]
mod tests;
