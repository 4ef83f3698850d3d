//! The files of a language model: one GGUF file, or a directory in Hugging Face's layout.

mod chat;
mod config;
mod directory;
mod gguf;

pub use chat::{Chat, ChatFormat};
pub use config::{DecoderConfig, Family, Pairs};
pub use directory::Directory;
pub use gguf::Gguf;

use super::LanguageModelError;
use std::path::Path;
use tokenizers::Tokenizer;

/// Where a language model is read from. Tensors have the names of Hugging Face's layout, without `model.` in front:
/// `layers.0.self_attn.q_proj.weight`.
pub trait Checkpoint {
    /// The file or directory.
    fn path(&self) -> &Path;

    /// Hyper-parameters.
    fn config(&self) -> &DecoderConfig;

    /// A tensor's values in f32, row-major.
    ///
    /// # Errors
    /// When it is missing, or has another shape than `expected`.
    fn values(&self, name: &str, expected: &[usize]) -> Result<Vec<f32>, LanguageModelError>;

    /// The tokenizer. Where the model was trained with a token before every text, it is among the special tokens that
    /// the tokenizer adds.
    fn tokenizer(&self) -> Result<Tokenizer, LanguageModelError>;

    /// How it is spoken to.
    fn chat(&self) -> Result<ChatFormat, LanguageModelError>;
}

/// Opens a GGUF file or a directory with `config.json`, `tokenizer.json` and safetensors. The family is what the files say it is.
///
/// # Errors
/// When it is neither, or of a family that is not known here.
pub fn open(path: &Path) -> Result<Box<dyn Checkpoint>, LanguageModelError> {
    Ok(match path.is_dir() {
        true => Box::new(Directory::open(path)?),
        false => Box::new(Gguf::open(path)?),
    })
}
