//! GGUF files: hyper-parameters, tokenizer and weights of a language model in one file.

use std::{
    fs::File,
    io::{BufReader, Read, Seek},
    path::{Path, PathBuf},
};

use candle_core::{Device, Result, Tensor, bail, quantized::gguf_file};
use serde_json::json;
use tokenizers::Tokenizer;

/// An open GGUF file.
pub struct Gguf {
    path: PathBuf,
    file: BufReader<File>,
    content: gguf_file::Content,
}

impl Gguf {
    /// Opens `path` and reads everything but the weights.
    pub fn open(path: &Path) -> Result<Self> {
        let mut file = BufReader::new(File::open(path).map_err(|e| candle_core::Error::Io(e).with_path(path))?);
        let mut magic = [0; 4];
        file.read_exact(&mut magic)?;
        if &magic != b"GGUF" {
            bail!("{}: expected the magic number GGUF, got {magic:02x?}", path.display());
        }
        file.rewind()?;
        let content = gguf_file::Content::read(&mut file)?;
        Ok(Self { path: path.to_owned(), file, content })
    }

    fn value(&self, key: &str) -> Result<&gguf_file::Value> {
        match self.content.metadata.get(key) {
            Some(value) => Ok(value),
            None => bail!("{}: no metadata {key:?}", self.path.display()),
        }
    }

    /// A text of the metadata.
    pub fn text(&self, key: &str) -> Result<&str> {
        self.value(key)?.to_string().map(String::as_str)
    }

    /// A count of the metadata.
    pub fn count(&self, key: &str) -> Result<usize> {
        Ok(self.value(key)?.to_u32()? as usize)
    }

    /// A number of the metadata.
    pub fn number(&self, key: &str) -> Result<f32> {
        self.value(key)?.to_f32()
    }

    fn texts(&self, key: &str) -> Result<Vec<String>> {
        self.value(key)?.to_vec()?.iter().map(|v| v.to_string().cloned()).collect()
    }

    /// A tensor, dequantised to f32.
    pub fn tensor(&mut self, name: &str, device: &Device) -> Result<Tensor> {
        self.content.tensor(&mut self.file, name, device)?.dequantize(device)
    }

    /// The tokenizer that is stored with the weights: byte-level BPE with SmolLM's pre-tokenizer (single digits, then
    /// GPT-2's pattern; `LLAMA_VOCAB_PRE_TYPE_SMOLLM` in llama.cpp). Adds no token at start or end. Control tokens
    /// such as `<|im_start|>` are known by name.
    pub fn tokenizer(&self) -> Result<Tokenizer> {
        let (model, pre) = (self.text("tokenizer.ggml.model")?, self.text("tokenizer.ggml.pre")?);
        if (model, pre) != ("gpt2", "smollm") {
            bail!("{}: expected a gpt2 / smollm tokenizer, got {model} / {pre}", self.path.display());
        }
        let tokens = self.texts("tokenizer.ggml.tokens")?;
        const CONTROL: i32 = 3; // LLAMA_TOKEN_TYPE_CONTROL
        let types = self.value("tokenizer.ggml.token_type")?.to_vec()?;
        let mut control = Vec::new();
        for (id, (token, kind)) in tokens.iter().zip(types).enumerate() {
            if kind.to_i32()? == CONTROL {
                control.push(json!({
                    "id": id, "content": token, "special": true,
                    "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
                }));
            }
        }
        let vocab: serde_json::Map<_, _> = tokens.into_iter().zip((0u32..).map(Into::into)).collect();
        // The format of Hugging Face's tokenizer.json.
        let tokenizer = json!({
            "version": "1.0",
            "added_tokens": control,
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                {"type": "Digits", "individual_digits": true},
                {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": true},
            ]},
            "model": {"type": "BPE", "vocab": vocab, "merges": self.texts("tokenizer.ggml.merges")?},
        });
        let json = serde_json::to_vec(&tokenizer).map_err(candle_core::Error::wrap)?;
        Tokenizer::from_bytes(json).map_err(candle_core::Error::wrap)
    }
}
