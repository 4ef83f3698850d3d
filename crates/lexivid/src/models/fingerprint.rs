//! What a model's embeddings depend on, in 16 hexadecimal digits.

use super::{ModelError, known_digests::KnownDigests};
use crate::nn::weight_files;
use sha2::{Digest, Sha256};
use std::path::Path;

/// Files besides the weights that change what a model says.
const CONFIGURATION: [&str; 5] =
    ["config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json", "lexivid.json"];

/// SHA-256 over the names and contents of the configuration and the weights in `dir`, the first 16 hexadecimal digits.
///
/// The whole of the weights is hashed, since a finetuned model differs from its origin in nothing else: about half a
/// second a gigabyte with the CPU's SHA instructions, so that `digests` remembers it.
pub(super) fn of(dir: &Path, digests: &KnownDigests) -> Result<String, ModelError> {
    Ok(sha256_of_directory(dir, digests)?[..16].into())
}

/// SHA-256 of a language model, 64 hexadecimal digits: that of its GGUF file, or over its directory as in [`of`].
pub(super) fn of_language_model(path: &Path, digests: &KnownDigests) -> Result<String, ModelError> {
    match path.is_dir() {
        true => sha256_of_directory(path, digests),
        false => digests.sha256_of(path).map_err(|source| ModelError::Io { path: path.to_owned(), source }),
    }
}

fn sha256_of_directory(dir: &Path, digests: &KnownDigests) -> Result<String, ModelError> {
    let (_, weights) = weight_files(dir)?;
    let configuration = CONFIGURATION.map(|file| dir.join(file)).into_iter().filter(|path| path.is_file());
    let mut all = Sha256::new();
    for path in configuration.chain(weights) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let digest = digests.sha256_of(&path).map_err(|e| ModelError::BadFile { path, reason: e.to_string() })?;
        all.update(format!("{name} {digest}\n"));
    }
    Ok(format!("{:x}", all.finalize()))
}
