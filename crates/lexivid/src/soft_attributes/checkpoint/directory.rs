//! A directory in Hugging Face's layout.

use super::{
    ChatFormat, Checkpoint, DecoderConfig, Family, Pairs,
    config::{Llama3Scaling, frequencies},
};
use crate::{
    nn::{Compute, Weights},
    soft_attributes::LanguageModelError,
};
use serde::Deserialize;
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};
use tokenizers::Tokenizer;

/// `config.json`, `tokenizer.json`, and weights in `model.safetensors` or in shards.
pub struct Directory {
    path: PathBuf,
    config: DecoderConfig,
    weights: Weights,
}

/// `config.json` as transformers writes it. Fields that it leaves out have its defaults.
#[derive(Deserialize)]
struct Config {
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    max_position_embeddings: usize,
    rms_norm_eps: f32,
    #[serde(default = "silu")]
    hidden_act: String,
    #[serde(default)]
    tie_word_embeddings: bool,
    /// Whether the projections have biases, where the family does not decide it.
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    sliding_window: Option<usize>,
    /// Qwen's switch.
    #[serde(default = "yes")]
    use_sliding_window: bool,
    /// Until transformers 4.
    rope_theta: Option<f32>,
    rope_scaling: Option<Value>,
    /// From transformers 5.
    rope_parameters: Option<Value>,
    partial_rotary_factor: Option<f32>,
    quantization_config: Option<Value>,
}

fn silu() -> String {
    "silu".into()
}

fn yes() -> bool {
    true
}

const ROTARY_BASE: f32 = 10_000.0;

impl Directory {
    /// Reads `config.json` and the names of the weights.
    pub fn open(path: &Path) -> Result<Self, LanguageModelError> {
        let file = path.join("config.json");
        let json = fs::read_to_string(&file).map_err(|source| LanguageModelError::Io { path: file.clone(), source })?;
        let config = parse(&json, &file)?.check(&file)?;
        let compute = Compute::exact().map_err(candle_core::Error::wrap)?;
        Ok(Self { path: path.to_owned(), config, weights: Weights::open(path, &compute)? })
    }
}

impl Directory {
    /// The text of a file; `None` if it is not there.
    fn read(&self, file: &str) -> Result<Option<String>, LanguageModelError> {
        let path = self.path.join(file);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(LanguageModelError::Io { path, source }),
        }
    }

    fn json(&self, file: &str) -> Result<Option<Value>, LanguageModelError> {
        let bad = |e: serde_json::Error| LanguageModelError::BadFile {
            path: self.path.join(file),
            expected: "JSON".into(),
            got: e.to_string(),
        };
        self.read(file)?.map(|text| serde_json::from_str(&text).map_err(bad)).transpose()
    }
}

fn parse(json: &str, file: &Path) -> Result<DecoderConfig, LanguageModelError> {
    let bad = |e: serde_json::Error| LanguageModelError::BadFile {
        path: file.to_owned(),
        expected: "the configuration of a language model".into(),
        got: e.to_string(),
    };
    let unsupported = |what: &str, expected: &str, got: String| LanguageModelError::Unsupported {
        path: file.to_owned(),
        what: what.into(),
        expected: expected.into(),
        got: got.into(),
    };
    let quoted = |text: Option<&str>| text.map_or("no text".into(), |text| format!("{text:?}"));
    let all: Value = serde_json::from_str(json).map_err(bad)?;
    let family = match all.get("model_type").and_then(Value::as_str) {
        Some("llama") => Family::Llama,
        Some("mistral") => Family::Mistral,
        Some("qwen2") => Family::Qwen2,
        Some("qwen3") => Family::Qwen3,
        other => return Err(unsupported("model_type", "llama, mistral, qwen2 or qwen3", quoted(other))),
    };
    let config: Config = serde_json::from_value(all).map_err(bad)?;
    if config.hidden_act != "silu" {
        return Err(unsupported("hidden_act", "silu", config.hidden_act));
    }
    if config.attention_bias || config.mlp_bias {
        return Err(unsupported("attention_bias and mlp_bias", "false", "true".into()));
    }
    if let Some(quantization) = config.quantization_config.filter(|value| !value.is_null()) {
        let method = quantization.get("quant_method").unwrap_or(&quantization).to_string();
        return Err(unsupported("quantization_config", "none", method));
    }
    if let Some(factor) = config.partial_rotary_factor.filter(|&factor| factor != 1.0) {
        return Err(unsupported("partial_rotary_factor", "1", factor.to_string()));
    }
    let heads = config.num_attention_heads;
    let head_width = config.head_dim.unwrap_or(config.hidden_size / heads.max(1));

    let rope = config.rope_parameters.or(config.rope_scaling).filter(|value| !value.is_null());
    let of_rope = |name: &str| rope.as_ref().and_then(|rope| rope.get(name)).filter(|value| !value.is_null());
    let base = of_rope("rope_theta").and_then(Value::as_f64).map(|base| base as f32);
    let mut frequencies = frequencies(base.or(config.rope_theta).unwrap_or(ROTARY_BASE), head_width);
    match of_rope("rope_type").or(of_rope("type")).map(Value::as_str) {
        None | Some(Some("default")) => {}
        Some(Some("llama3")) => {
            let scaling: Llama3Scaling = serde_json::from_value(rope.unwrap_or_default()).map_err(bad)?;
            scaling.apply(&mut frequencies);
        }
        Some(other) => return Err(unsupported("rope_type", "default or llama3", quoted(other))),
    }

    let window = config.sliding_window.filter(|_| config.use_sliding_window);
    Ok(DecoderConfig {
        family,
        vocabulary: config.vocab_size,
        width: config.hidden_size,
        layers: config.num_hidden_layers,
        heads,
        kv_heads: config.num_key_value_heads.unwrap_or(heads),
        head_width,
        mlp_width: config.intermediate_size,
        context: config.max_position_embeddings.min(window.unwrap_or(usize::MAX)),
        rms_epsilon: config.rms_norm_eps,
        frequencies,
        pairs: Pairs::Halves,
        tied: config.tie_word_embeddings,
    })
}

impl Checkpoint for Directory {
    fn path(&self) -> &Path {
        &self.path
    }

    fn config(&self) -> &DecoderConfig {
        &self.config
    }

    fn values(&self, name: &str, expected: &[usize]) -> Result<Vec<f32>, LanguageModelError> {
        let root = self.weights.root();
        let scope = if name.starts_with("lm_head.") { root } else { root.enter("model") };
        Ok(scope.values(name, expected)?)
    }

    fn tokenizer(&self) -> Result<Tokenizer, LanguageModelError> {
        let path = self.path.join("tokenizer.json");
        let bad = |e: tokenizers::Error| LanguageModelError::BadFile {
            path: path.clone(),
            expected: "a tokenizer.json".into(),
            got: e.to_string(),
        };
        let mut tokenizer = Tokenizer::from_file(&path).map_err(bad)?;
        // Files may carry truncation and padding of their own.
        tokenizer.with_truncation(None).map_err(bad)?;
        tokenizer.with_padding(None);
        Ok(tokenizer)
    }

    fn chat(&self) -> Result<ChatFormat, LanguageModelError> {
        let generation = self.json("generation_config.json")?.unwrap_or_default();
        let config = self.json("config.json")?.unwrap_or_default();
        let tokenizer = self.json("tokenizer_config.json")?.unwrap_or_default();
        // One id, or several.
        let ids = |value: &Value| -> Vec<u32> {
            let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
            values.iter().filter_map(|id| id.as_u64()?.try_into().ok()).collect()
        };
        let ends = [&generation, &config].map(|file| ids(&file["eos_token_id"]));
        // A text, or an object with one.
        let token = |name: &str| {
            let value = &tokenizer[name];
            value.as_str().or(value["content"].as_str()).unwrap_or_default().to_owned()
        };
        // One template, or several with names; from transformers 5 on in a file of its own.
        let templates = &tokenizer["chat_template"];
        let named = templates.as_array().and_then(|all| all.iter().find(|template| template["name"] == "default"));
        let template = templates.as_str().or(named.and_then(|named| named["template"].as_str()));
        Ok(ChatFormat {
            template: self.read("chat_template.jinja")?.or(template.map(str::to_owned)),
            begin: token("bos_token"),
            end: token("eos_token"),
            ends: ends.into_iter().find(|ids| !ids.is_empty()).unwrap_or_default(),
        })
    }
}
