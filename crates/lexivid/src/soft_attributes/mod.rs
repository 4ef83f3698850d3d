//! Label text -> states of a frozen language model.

pub mod gguf;
pub mod llama;

#[cfg(test)]
mod tests;
