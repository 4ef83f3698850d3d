//! A GGUF file: hyper-parameters, tokenizer and weights of a language model in one file
//! (github.com/ggml-org/ggml, docs/gguf.md).

use super::{ChatFormat, Checkpoint, DecoderConfig, Family, Pairs, config::frequencies};
use crate::soft_attributes::LanguageModelError;
use candle_core::{Device, quantized::gguf_file};
use serde_json::{Value, json};
use std::{
    fs::File,
    io::{BufReader, Read, Seek},
    path::{Path, PathBuf},
};
use tokenizers::Tokenizer;

/// An open GGUF file.
pub struct Gguf {
    path: PathBuf,
    file: File,
    content: gguf_file::Content,
    config: DecoderConfig,
}

const ROTARY_BASE: f32 = 10_000.0;

impl Gguf {
    /// Opens `path` and reads everything but the weights.
    pub fn open(path: &Path) -> Result<Self, LanguageModelError> {
        let io = |source| LanguageModelError::Io { path: path.to_owned(), source };
        let bad =
            |got: String| LanguageModelError::BadFile { path: path.to_owned(), expected: "a GGUF file".into(), got };
        let mut file = File::open(path).map_err(io)?;
        let mut magic = [0; 4];
        file.read_exact(&mut magic).map_err(|e| bad(e.to_string()))?;
        if &magic != b"GGUF" {
            return Err(bad(format!("the magic number {magic:02x?}")));
        }
        file.rewind().map_err(io)?;
        let content = gguf_file::Content::read(&mut BufReader::new(&file)).map_err(|e| bad(e.to_string()))?;
        let config = Metadata { path, content: &content }.config()?.check(path)?;
        let mut gguf = Self { path: path.to_owned(), file, content, config };
        if gguf.content.tensor_infos.contains_key(ROTARY_FACTORS) {
            let factors = gguf.tensor(ROTARY_FACTORS, &[gguf.config.head_width / 2])?;
            gguf.config.frequencies.iter_mut().zip(factors).for_each(|(frequency, factor)| *frequency /= factor);
            gguf.config = gguf.config.check(path)?;
        }
        Ok(gguf)
    }

    fn metadata(&self) -> Metadata<'_> {
        Metadata { path: &self.path, content: &self.content }
    }

    /// A tensor by llama.cpp's name, dequantised to f32.
    fn tensor(&self, name: &str, expected: &[usize]) -> Result<Vec<f32>, LanguageModelError> {
        let bad = |got: String| LanguageModelError::BadFile {
            path: self.path.clone(),
            expected: format!("a tensor {name:?} of shape {expected:?}"),
            got,
        };
        match self.content.tensor_infos.get(name) {
            None => return Err(bad("none".into())),
            Some(info) if info.shape.dims() != expected => return Err(bad(format!("{:?}", info.shape.dims()))),
            Some(_) => {}
        }
        let tensor = self.content.tensor(&mut BufReader::new(&self.file), name, &Device::Cpu)?;
        Ok(tensor.dequantize(&Device::Cpu)?.flatten_all()?.to_vec1()?)
    }
}

/// How Llama 3.1 stretches its rotary frequencies: what each is divided by (llama.cpp, convert_hf_to_gguf.py).
const ROTARY_FACTORS: &str = "rope_freqs.weight";

/// Hugging Face's name -> llama.cpp's (gguf-py, `tensor_mapping.py`).
fn gguf_name(name: &str) -> String {
    const TOP: [(&str, &str); 3] = [("embed_tokens", "token_embd"), ("norm", "output_norm"), ("lm_head", "output")];
    const PARTS: [(&str, &str); 11] = [
        ("input_layernorm", "attn_norm"),
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.q_norm", "attn_q_norm"),
        ("self_attn.k_norm", "attn_k_norm"),
        ("self_attn.o_proj", "attn_output"),
        ("post_attention_layernorm", "ffn_norm"),
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
    ];
    let (layer, part, kind) = match name.rsplit_once('.') {
        Some((part, kind)) => match part.strip_prefix("layers.").and_then(|part| part.split_once('.')) {
            Some((layer, part)) => (Some(layer), part, kind),
            None => (None, part, kind),
        },
        None => (None, name, ""),
    };
    let of = |table: &[(&str, &'static str)]| table.iter().find(|(theirs, _)| *theirs == part).map(|(_, name)| *name);
    match layer {
        Some(layer) => format!("blk.{layer}.{}.{kind}", of(&PARTS).unwrap_or(part)),
        None => format!("{}.{kind}", of(&TOP).unwrap_or(part)),
    }
}

/// What stands before the weights.
struct Metadata<'a> {
    path: &'a Path,
    content: &'a gguf_file::Content,
}

impl Metadata<'_> {
    fn get(&self, key: &str) -> Option<&gguf_file::Value> {
        self.content.metadata.get(key)
    }

    fn value<'a, T>(
        &'a self,
        key: &str,
        expected: &str,
        read: impl FnOnce(&'a gguf_file::Value) -> candle_core::Result<T>,
    ) -> Result<Option<T>, LanguageModelError> {
        let bad = |got: String| LanguageModelError::BadFile {
            path: self.path.to_owned(),
            expected: format!("{expected} {key:?}"),
            got,
        };
        self.get(key).map(|value| read(value).map_err(|e| bad(e.to_string()))).transpose()
    }

    fn needed<T>(&self, key: &str, found: Option<T>) -> Result<T, LanguageModelError> {
        found.ok_or_else(|| LanguageModelError::BadFile {
            path: self.path.to_owned(),
            expected: format!("metadata {key:?}"),
            got: "none".into(),
        })
    }

    fn text(&self, key: &str) -> Result<Option<&str>, LanguageModelError> {
        self.value(key, "a text", |value| value.to_string().map(String::as_str))
    }

    fn count(&self, key: &str) -> Result<Option<usize>, LanguageModelError> {
        self.value(key, "a count", |value| usize::try_from(value.to_u64()?).map_err(candle_core::Error::wrap))
    }

    fn number(&self, key: &str) -> Result<Option<f32>, LanguageModelError> {
        self.value(key, "a number", gguf_file::Value::to_f32)
    }

    fn texts(&self, key: &str) -> Result<Vec<String>, LanguageModelError> {
        let texts = self.value(key, "a list of texts", |value| {
            value.to_vec()?.iter().map(|v| v.to_string().cloned()).collect::<candle_core::Result<Vec<_>>>()
        })?;
        self.needed(key, texts)
    }

    fn unsupported(&self, what: &str, expected: &str, got: impl std::fmt::Debug) -> LanguageModelError {
        LanguageModelError::Unsupported {
            path: self.path.to_owned(),
            what: what.into(),
            expected: expected.into(),
            got: format!("{got:?}").into(),
        }
    }

    fn config(&self) -> Result<DecoderConfig, LanguageModelError> {
        const ARCHITECTURE: &str = "general.architecture";
        let architecture = self.needed(ARCHITECTURE, self.text(ARCHITECTURE)?)?;
        let family = match architecture {
            // Mistral, too: llama.cpp makes no difference.
            "llama" => Family::Llama,
            "qwen2" => Family::Qwen2,
            "qwen3" => Family::Qwen3,
            other => return Err(self.unsupported(ARCHITECTURE, "llama, qwen2 or qwen3", other)),
        };
        let key = |name: &str| format!("{architecture}.{name}");
        let count = |name: &str| self.needed(&key(name), self.count(&key(name))?);
        for (name, allowed) in [("expert_count", "0"), ("rope.scaling.type", "none")] {
            let found = self.get(&key(name)).map(|value| match value {
                gguf_file::Value::String(text) => text.clone(),
                other => other.to_u64().map_or_else(|_| format!("{other:?}"), |count| count.to_string()),
            });
            if let Some(other) = found.filter(|found| found != allowed) {
                return Err(self.unsupported(&key(name), allowed, other));
            }
        }
        let (width, heads) = (count("embedding_length")?, count("attention.head_count")?);
        let head_width = self.count(&key("attention.key_length"))?.unwrap_or(width / heads.max(1));
        for name in ["attention.value_length", "rope.dimension_count"] {
            if let Some(other) = self.count(&key(name))?.filter(|&width| width != head_width) {
                return Err(self.unsupported(&key(name), &head_width.to_string(), other));
            }
        }
        const EPSILON: &str = "attention.layer_norm_rms_epsilon";
        let embeddings = self.content.tensor_infos.get("token_embd.weight");
        Ok(DecoderConfig {
            family,
            vocabulary: embeddings.and_then(|info| info.shape.dims().first().copied()).unwrap_or_default(),
            width,
            layers: count("block_count")?,
            heads,
            kv_heads: self.count(&key("attention.head_count_kv"))?.unwrap_or(heads),
            head_width,
            mlp_width: count("feed_forward_length")?,
            context: count("context_length")?,
            rms_epsilon: self.needed(&key(EPSILON), self.number(&key(EPSILON))?)?,
            frequencies: frequencies(self.number(&key("rope.freq_base"))?.unwrap_or(ROTARY_BASE), head_width),
            pairs: match family {
                Family::Llama | Family::Mistral => Pairs::Neighbours,
                Family::Qwen2 | Family::Qwen3 => Pairs::Halves,
            },
            tied: !self.content.tensor_infos.contains_key("output.weight"),
        })
    }

    /// The format of Hugging Face's tokenizer.json.
    fn tokenizer_json(&self) -> Result<Value, LanguageModelError> {
        const MODEL: &str = "tokenizer.ggml.model";
        let model = self.needed(MODEL, self.text(MODEL)?)?;
        if model != "gpt2" {
            return Err(self.unsupported(MODEL, "gpt2 (byte-level pairs)", model));
        }
        const PRE: &str = "tokenizer.ggml.pre";
        let pre = self.needed(PRE, self.text(PRE)?)?;
        let Some((normalizer, pre_tokenizer)) = pre_tokenizer(pre) else {
            return Err(self.unsupported(PRE, "smollm, llama-bpe or qwen2", pre));
        };
        let is_llama3 = pre == "llama-bpe";

        let tokens = self.texts("tokenizer.ggml.tokens")?;
        // `llama_token_type` of llama.h.
        const CONTROL: i32 = 3;
        const USER_DEFINED: i32 = 4;
        const TYPES: &str = "tokenizer.ggml.token_type";
        let types = self.value(TYPES, "a list of numbers", |value| {
            value.to_vec()?.iter().map(gguf_file::Value::to_i32).collect::<candle_core::Result<Vec<_>>>()
        })?;
        let types = self.needed(TYPES, types)?;
        let added =
            tokens.iter().zip(types).enumerate().filter(|(_, (_, kind))| [CONTROL, USER_DEFINED].contains(kind));
        let added: Vec<Value> = added
            .map(|(id, (token, kind))| {
                json!({
                    "id": id, "content": token, "special": kind == CONTROL,
                    "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
                })
            })
            .collect();

        // llama.cpp has these two of Llama 3 by its name alone.
        let begins = self.value("tokenizer.ggml.add_bos_token", "a truth value", gguf_file::Value::to_bool)?;
        let post_processor = match begins.unwrap_or(is_llama3) {
            false => Value::Null,
            true => {
                const BEGIN: &str = "tokenizer.ggml.bos_token_id";
                let id = self.needed(BEGIN, self.count(BEGIN)?)?;
                let begin = self.needed(BEGIN, tokens.get(id))?;
                let special = json!({"SpecialToken": {"id": begin, "type_id": 0}});
                let [a, b] = ["A", "B"].map(|id| json!({"Sequence": {"id": id, "type_id": 0}}));
                json!({
                    "type": "TemplateProcessing", "single": [special, a], "pair": [special, a, special, b],
                    "special_tokens": {begin: {"id": begin, "ids": [id], "tokens": [begin]}},
                })
            }
        };
        let vocab: serde_json::Map<_, _> = tokens.into_iter().zip((0u32..).map(Into::into)).collect();
        Ok(json!({
            "version": "1.0",
            "added_tokens": added,
            "normalizer": normalizer,
            "pre_tokenizer": pre_tokenizer,
            "post_processor": post_processor,
            "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false},
            "model": {
                "type": "BPE", "vocab": vocab, "merges": self.texts("tokenizer.ggml.merges")?,
                "ignore_merges": is_llama3,
            },
        }))
    }
}

/// What is done to a text before pairs are merged, by llama.cpp's name for it (`llama_vocab_pre_type` in llama-vocab.cpp): the
/// normalizer and the pre-tokenizer. The patterns are those of the models' own tokenizer.json.
fn pre_tokenizer(name: &str) -> Option<(Value, Value)> {
    let bytes = |use_regex: bool| json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": use_regex});
    let sequence = |first: Value, second: Value| json!({"type": "Sequence", "pretokenizers": [first, second]});
    // GPT-4's pattern, but for how many digits stay together.
    let words = |digits: &str| {
        let pattern = format!(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        );
        let split = json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false});
        sequence(split, bytes(false))
    };
    Some(match name {
        // Single digits, then GPT-2's pattern.
        "smollm" => (Value::Null, sequence(json!({"type": "Digits", "individual_digits": true}), bytes(true))),
        "llama-bpe" => (Value::Null, words(r"\p{N}{1,3}")),
        "qwen2" => (json!({"type": "NFC"}), words(r"\p{N}")),
        _ => return None,
    })
}

impl Checkpoint for Gguf {
    fn path(&self) -> &Path {
        &self.path
    }

    fn config(&self) -> &DecoderConfig {
        &self.config
    }

    fn values(&self, name: &str, expected: &[usize]) -> Result<Vec<f32>, LanguageModelError> {
        self.tensor(&gguf_name(name), expected)
    }

    /// Byte-level BPE as stored with the weights. Control tokens such as `<|im_start|>` are known by name.
    fn tokenizer(&self) -> Result<Tokenizer, LanguageModelError> {
        let json = self.metadata().tokenizer_json()?;
        let bad = |got: String| LanguageModelError::BadFile {
            path: self.path.clone(),
            expected: "a tokenizer of byte-level pairs".into(),
            got,
        };
        let json = serde_json::to_vec(&json).map_err(|e| bad(e.to_string()))?;
        Tokenizer::from_bytes(json).map_err(|e| bad(e.to_string()))
    }

    fn chat(&self) -> Result<ChatFormat, LanguageModelError> {
        let metadata = self.metadata();
        let id = |name: &str| metadata.count(&format!("tokenizer.ggml.{name}_token_id"));
        let tokens = metadata.texts("tokenizer.ggml.tokens")?;
        let name = |id: Option<usize>| id.and_then(|id| tokens.get(id)).cloned().unwrap_or_default();
        // Of the text, of the turn, of the message.
        let ends = [id("eos")?, id("eot")?, id("eom")?];
        Ok(ChatFormat {
            template: metadata.text("tokenizer.chat_template")?.map(str::to_owned),
            begin: name(id("bos")?),
            end: name(id("eos")?),
            ends: ends.into_iter().flatten().filter_map(|id| id.try_into().ok()).collect(),
        })
    }
}
