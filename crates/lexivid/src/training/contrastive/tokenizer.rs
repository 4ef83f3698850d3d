//! A byte-pair encoding, learned from captions (Sennrich, Haddow, Birch, arXiv 1508.07909).
//!
//! On bytes, words with the space before them, as GPT-2 has it: every text has tokens. CLIP's own, which marks the ends of words instead,
//! cannot be learned twice alike: the tokenizers library numbers such letters in the order of a hash map.

use serde_json::{Value, json};
use std::str::FromStr;
use tokenizers::{
    AddedToken, Tokenizer,
    models::{TrainerWrapper, bpe::BpeTrainer},
    pre_tokenizers::byte_level::ByteLevel,
};

/// Opens every sentence.
const START: &str = "<|startoftext|>";
/// Closes every sentence; its position is pooled.
pub const END: &str = "<|endoftext|>";

/// A tokenizer that has learned its vocabulary.
pub struct Learned {
    /// `tokenizer.json`.
    pub json: String,
    /// Tokens in all.
    pub size: usize,
    pub start: u32,
    pub end: u32,
}

/// Learns at most `size` tokens from `texts`.
///
/// # Errors
/// What the tokenizers library says.
pub fn learn(texts: &[String], size: usize) -> Result<Learned, String> {
    let bytes = json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true});
    let mut file = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "NFC"}, {"type": "Lowercase"},
            {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "}, {"type": "Strip", "strip_left": true, "strip_right": true}
        ]},
        "pre_tokenizer": bytes, "post_processor": null, "decoder": bytes,
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                  "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "vocab": {}, "merges": []}
    });
    let mut tokenizer = Tokenizer::from_str(&file.to_string()).map_err(|e| e.to_string())?;
    let mut trainer: TrainerWrapper = BpeTrainer::builder()
        .vocab_size(size)
        .show_progress(false)
        .special_tokens([START, END].map(|token| AddedToken::from(token, true)).to_vec())
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build()
        .into();
    tokenizer.train(&mut trainer, texts.iter()).map_err(|e| e.to_string())?;

    let id = |token: &str| tokenizer.token_to_id(token).ok_or_else(|| format!("expected a token {token}, found none"));
    let (start, end) = (id(START)?, id(END)?);
    let learned = tokenizer.to_string(false).map_err(|e| e.to_string())?;
    let learned: Value = serde_json::from_str(&learned).map_err(|e| e.to_string())?;
    file["added_tokens"] = learned["added_tokens"].clone();
    file["model"] = learned["model"].clone();
    file["post_processor"] = json!({
        "type": "RobertaProcessing", "sep": [END, end], "cls": [START, start], "trim_offsets": false,
        "add_prefix_space": false
    });
    Ok(Learned { json: file.to_string(), size: tokenizer.get_vocab_size(true), start, end })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_tokens_between_start_and_end() {
        let texts = ["a photo of a dog.", "a photo of a cat.", "dog", "cat"].map(String::from);
        let learned = learn(&texts, 300).unwrap();
        assert_eq!(learned.json, learn(&texts, 300).unwrap().json);
        let tokenizer = Tokenizer::from_str(&learned.json).unwrap();
        let encoded = tokenizer.encode("A  photo of a DOG.", true).unwrap();
        let ids = encoded.get_ids();
        assert_eq!((ids[0], ids[ids.len() - 1]), (learned.start, learned.end));
        assert!(encoded.get_tokens().contains(&"Ġdog".to_owned()), "{:?}", encoded.get_tokens());
        // Words that it never saw have tokens, too: none of them is the end of the sentence.
        let odd = tokenizer.encode("xylophone Größe 7", true).unwrap();
        assert_eq!(odd.get_ids().iter().filter(|id| **id == learned.end).count(), 1);
        assert!(learned.size <= 300);
    }
}
