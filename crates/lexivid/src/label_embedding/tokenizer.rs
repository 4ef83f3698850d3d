//! Label text -> token ids, as a model's own tokenizer does it.

use std::{path::Path, str::FromStr};
use tokenizers::{ModelWrapper, Tokenizer as HubTokenizer};

/// Why a tokenizer could not be read or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// The file could not be read, or is no tokenizer.
    #[error("{path}: expected a tokenizer.json, got: {reason}")]
    BadFile {
        /// The file.
        path: String,
        /// What the tokenizers library said.
        reason: String,
    },
    /// A text could not be tokenized.
    #[error("{text:?} cannot be tokenized: {reason}")]
    Encode {
        /// The text.
        text: String,
        /// What the tokenizers library said.
        reason: String,
    },
    /// The tokenizer knows tokens that the text tower does not.
    #[error("{text:?} has the token id {id}, but the model's vocabulary ends at {vocabulary}")]
    OutOfVocabulary {
        /// The text.
        text: String,
        /// The token's id.
        id: u32,
        /// Rows of the model's token embedding.
        vocabulary: usize,
    },
}

/// The token ids of one text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// Start and end included.
    pub ids: Vec<u32>,
    /// Whether the text was longer than the model's context, and its end was cut off.
    pub truncated: bool,
}

/// What a text is turned into before the tokenizer sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Canonical {
    /// Nothing: CLIP's tokenizer.json normalises by itself.
    AsIs,
    /// Lower case: SigLIP 2 was trained on it, but the tokenizer.json of its first uploads does not do it.
    LowerCase,
    /// Lower case, ASCII punctuation removed, white space collapsed: `canonicalize_text` of SigLIP's tokenizer
    /// (transformers `tokenization_siglip.py`, after big_vision).
    LowerCaseNoPunctuation,
}

/// A model's tokenizer.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: HubTokenizer,
    canonical: Canonical,
    context: usize,
    vocabulary: usize,
}

impl Tokenizer {
    /// CLIP's tokenizer from its `tokenizer.json`. `context`: longest sequence, `vocabulary`: rows of the model's token
    /// embedding.
    pub fn clip(path: &Path, context: usize, vocabulary: usize) -> Result<Self, TokenizerError> {
        Ok(Self { inner: read(path)?, canonical: Canonical::AsIs, context, vocabulary })
    }

    /// CLIP's tokenizer from the text of its `tokenizer.json`; otherwise as [`Tokenizer::clip`].
    pub fn parse(json: &str, context: usize, vocabulary: usize) -> Result<Self, TokenizerError> {
        let inner = HubTokenizer::from_str(json)
            .map_err(|e| TokenizerError::BadFile { path: "tokenizer.json".into(), reason: e.to_string() })?;
        Ok(Self { inner, canonical: Canonical::AsIs, context, vocabulary })
    }

    /// SigLIP's or SigLIP 2's tokenizer from its `tokenizer.json`. They differ in what is done to a text first, and are
    /// told apart by their model: SigLIP has a SentencePiece unigram model, SigLIP 2 Gemma's byte-pair encoding.
    pub fn siglip(path: &Path, context: usize, vocabulary: usize) -> Result<Self, TokenizerError> {
        let inner = read(path)?;
        let canonical = match inner.get_model() {
            ModelWrapper::Unigram(_) => Canonical::LowerCaseNoPunctuation,
            _ => Canonical::LowerCase,
        };
        Ok(Self { inner, canonical, context, vocabulary })
    }

    /// The id of a token, if it is in the vocabulary.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// A token as text, marks of word borders and byte pairs undone; its number if it is none.
    pub fn token(&self, id: u32) -> String {
        match self.inner.decode(&[id], false) {
            Ok(text) if !text.trim().is_empty() => text.trim().to_owned(),
            _ => format!("#{id}"),
        }
    }

    /// The ids of a text with start and end tokens, not padded. A text over the context loses its end, but keeps the
    /// end-of-sequence token.
    pub fn encode(&self, text: &str) -> Result<Tokens, TokenizerError> {
        let encoding = self
            .inner
            .encode(self.canonical.apply(text), true)
            .map_err(|e| TokenizerError::Encode { text: text.into(), reason: e.to_string() })?;
        let mut ids = encoding.get_ids().to_vec();
        if let Some(&id) = ids.iter().find(|&&id| id as usize >= self.vocabulary) {
            return Err(TokenizerError::OutOfVocabulary { text: text.into(), id, vocabulary: self.vocabulary });
        }
        let truncated = ids.len() > self.context;
        if truncated {
            let end = ids[ids.len() - 1];
            ids.truncate(self.context);
            ids[self.context - 1] = end;
        }
        Ok(Tokens { ids, truncated })
    }
}

fn read(path: &Path) -> Result<HubTokenizer, TokenizerError> {
    let bad = |reason: String| TokenizerError::BadFile { path: path.display().to_string(), reason };
    let mut tokenizer = HubTokenizer::from_file(path).map_err(|e| bad(e.to_string()))?;
    // Files may carry truncation and padding of their own; a silent cut is what we must not have.
    tokenizer.with_truncation(None).map_err(|e| bad(e.to_string()))?;
    tokenizer.with_padding(None);
    Ok(tokenizer)
}

impl Canonical {
    fn apply(self, text: &str) -> String {
        match self {
            Canonical::AsIs => text.into(),
            Canonical::LowerCase => text.to_lowercase(),
            Canonical::LowerCaseNoPunctuation => {
                let bare: String = text.to_lowercase().chars().filter(|c| !c.is_ascii_punctuation()).collect();
                bare.split_whitespace().collect::<Vec<_>>().join(" ")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/clip_gelu/tokenizer.json")
    }

    #[test]
    fn a_token_that_the_tower_does_not_know_is_an_error() {
        let tokenizer = Tokenizer::clip(&fixture(), 77, 600).unwrap();
        let error = tokenizer.encode("dog").unwrap_err();
        assert!(matches!(error, TokenizerError::OutOfVocabulary { vocabulary: 600, .. }), "{error}");
    }

    #[test]
    fn a_file_that_is_no_tokenizer_is_named() {
        let error = Tokenizer::clip(&fixture().with_file_name("config.json"), 77, 600).unwrap_err().to_string();
        assert!(error.contains("clip_gelu/config.json"), "{error}");
        assert!(Tokenizer::siglip(Path::new("/nowhere/tokenizer.json"), 64, 600).is_err());
    }
}
