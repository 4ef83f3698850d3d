//! Models with an image tower and a text tower in one joint space: CLIP, SigLIP, SigLIP 2, from a directory in Hugging
//! Face's layout.

mod calibration;
mod config;
#[cfg(test)]
mod tests;
mod towers;

pub use calibration::{FittedOn, StoredCalibration};

use super::{About, Model, ModelError, fingerprint, store::Store};
use crate::{
    features::{ClipFeatures, FrameFeatures, Vit},
    frames::{FramePixels, Preprocessing},
    label::{Label, prompts, tidy_name},
    label_embedding::{Calibration, LabelEmbedding, Origin, SpecialTokens, TextPooling, TextTransformer, Tokenizer},
    nn::{Compute, Packed, Weights, l2_normalised},
    video_embedding::{VideoEmbedding, frame_mean},
};
use candle_core::{D, DType, Device, Tensor};
pub(crate) use config::DualEncoderConfig;
use config::Family;
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::OnceLock,
};
pub(crate) use towers::Towers;

/// Pictures that go through the image tower at once; bounds memory (about 100 MB for ViT-B/16).
const PICTURE_BATCH: usize = 8;
/// Sentences that go through the text tower at once.
const SENTENCE_BATCH: usize = 64;

/// Weights of fewer bytes are packed at every start, in some 50 milliseconds.
const SMALLEST_PACKED: u64 = 32 << 20;

/// A model with two towers.
pub struct DualEncoder {
    about: About,
    directory: PathBuf,
    preprocessing: Preprocessing,
    config: DualEncoderConfig,
    compute: Compute,
    vision: Vit,
    /// Read when the first text comes: whose labels are all in the database has none.
    text: OnceLock<TextTransformer>,
    tokenizer: Tokenizer,
    /// Fills sentences up to the length of their batch.
    pad_token: u32,
    calibration: Calibration,
    /// By tidy name.
    thresholds: BTreeMap<String, f32>,
}

impl DualEncoder {
    /// Reads `config.json`, `model.safetensors` (or its shards), `tokenizer.json`, `preprocessor_config.json`, and, where
    /// there are any, `tokenizer_config.json`, `lexivid.json` (a [`StoredCalibration`]) and the card (`MODEL.md` or
    /// `README.md`). `name` is what the user calls the model.
    pub fn load(name: &str, dir: &Path, compute: &Compute) -> Result<Self, ModelError> {
        let config = parse_file(dir, "config.json", DualEncoderConfig::parse)?;
        let preprocessing = parse_file(dir, "preprocessor_config.json", |json| preprocessing(json, &config))?;
        let tokenizer = load_tokenizer(dir, &config)?;
        let pad_token = pad_token(dir, &tokenizer, &config)?;

        let fingerprint = fingerprint::of(dir, &Store::from_env()?.known_digests())?;
        let weights = keeping_packed(Weights::open(dir, compute)?, dir, "image", &fingerprint, compute)?;
        let vision = Vit::load(&weights.root(), &config.vision)?;
        weights.keep_packed();
        let logit_scale = number(&Towers::logit_scale(&weights.root(), config.family)?)?.exp();
        let own = StoredCalibration::read(dir)?;
        let mut caveats = Vec::new();
        let calibration = match (&own, config.family) {
            (Some(own), _) => own.calibration(),
            (None, Family::Siglip | Family::Siglip2) => {
                Calibration { scale: logit_scale, bias: number(&weights.root().tensor("logit_bias", &[1])?)? }
            }
            (None, Family::Clip) => {
                caveats.push(format!(
                    "probabilities are not calibrated for {name}: CLIP has no threshold of its own, so a similarity of \
                     0.25 is taken as even odds; compare labels by rank, or fit a scale and bias with `lexivid calibrate`"
                ));
                calibration::uncalibrated(logit_scale)
            }
        };
        if config.family == Family::Siglip2 {
            caveats.push(format!("{name} takes pictures of any shape, but is given them stretched to a square"));
        }
        let about = About { name: name.into(), fingerprint, precision: compute.precision, card: card(dir), caveats };
        Ok(Self {
            about,
            directory: dir.into(),
            preprocessing,
            config,
            compute: compute.clone(),
            vision,
            text: OnceLock::new(),
            tokenizer,
            pad_token,
            calibration,
            thresholds: own.map(StoredCalibration::tidy_thresholds).unwrap_or_default(),
        })
    }

    /// The image encoder.
    pub fn image_tower(&self) -> &Vit {
        &self.vision
    }

    /// Both towers' weights, as they lie in the model's files.
    pub fn weights(&self) -> Result<Weights, ModelError> {
        Ok(Weights::open(&self.directory, &Compute { device: self.compute.device.clone(), ..Compute::exact()? })?)
    }

    /// [`Model::encode_frames`] that keeps the outputs of the image tower's last `kept` blocks, of a frame's first view.
    pub fn encode_frames_keeping(&self, frames: &[FramePixels], kept: usize) -> Result<Vec<FrameFeatures>, ModelError> {
        let views = self.preprocessing.views.len();
        let mut features = Vec::with_capacity(frames.len());
        for batch in frames.chunks((PICTURE_BATCH / views).max(1)) {
            let pixels = self.preprocessing.normalise(batch, &self.compute.device)?.flatten(0, 1)?; // [B * V, 3, H, W]
            let output = self.vision.forward(&pixels, kept > 0)?;
            let first = output.blocks.len().saturating_sub(kept);
            let blocks = match &output.blocks[first..] {
                [] => None,
                // [B * V, K, S, W]
                last => Some(Tensor::stack(last, 1)?.to_dtype(DType::F16)?.to_device(&Device::Cpu)?),
            };
            let mut embeddings = output.pooled.to_vec2::<f32>()?.into_iter().map(l2_normalised); // [B * V, D]
            for (i, frame) in batch.iter().enumerate() {
                let of_frame: Vec<Vec<f32>> = embeddings.by_ref().take(views).collect();
                features.push(FrameFeatures {
                    time: frame.time,
                    embedding: normalised_mean(&of_frame, self.dimension()),
                    blocks: blocks.as_ref().map(|blocks| blocks.get(i * views)?.force_contiguous()).transpose()?,
                });
            }
        }
        Ok(features)
    }

    /// The text encoder, read at the first call.
    ///
    /// # Errors
    /// When its weights are missing or of another shape.
    pub fn text_tower(&self) -> Result<&TextTransformer, ModelError> {
        match self.text.get() {
            Some(text) => Ok(text),
            None => {
                let weights = Weights::open(&self.directory, &self.compute)?;
                let weights = keeping_packed(weights, &self.directory, "text", &self.about.fingerprint, &self.compute)?;
                let text = TextTransformer::load(&weights.root(), &self.config.text)?;
                weights.keep_packed();
                Ok(self.text.get_or_init(|| text))
            }
        }
    }

    /// The text encoder's tokens of a text as it stands, start and end included.
    pub fn name_tokens(&self, name: &str) -> Result<Vec<u32>, ModelError> {
        Ok(self.tokenizer.encode(name.trim())?.ids)
    }

    /// A token of the text encoder as text.
    pub fn token(&self, id: u32) -> String {
        self.tokenizer.token(id)
    }

    /// The text encoder's tokens that are no words.
    pub fn special_tokens(&self) -> Result<SpecialTokens, ModelError> {
        let of_nothing = self.tokenizer.encode("")?.ids;
        let (start, end) = match of_nothing.as_slice() {
            [start, .., end] => (Some(*start), *end),
            [end] => (None, *end),
            [] => (None, self.pad_token),
        };
        Ok(SpecialTokens { start, end, pad: self.pad_token })
    }

    /// Sentences -> normalised text embeddings `[D]`, one each, in order.
    fn encode_sentences(&self, sentences: &[String]) -> Result<Vec<Vec<f32>>, ModelError> {
        let text = self.text_tower()?;
        let mut embeddings = Vec::with_capacity(sentences.len());
        for batch in sentences.chunks(SENTENCE_BATCH) {
            let mut rows = Vec::with_capacity(batch.len());
            for sentence in batch {
                let tokens = self.tokenizer.encode(sentence)?;
                if tokens.truncated {
                    let context = text.config().context;
                    tracing::warn!("only the first {context} tokens of {sentence:?} are looked at");
                }
                rows.push(tokens.ids);
            }
            let pooling = text.config().pooling;
            let length = match pooling {
                // SigLIP was trained on full-length sequences, and pools the last position.
                TextPooling::Last => text.config().context,
                // CLIP's attention is causal: padding behind the pooled position changes nothing.
                _ => rows.iter().map(Vec::len).max().unwrap_or(0),
            };
            rows.iter_mut().for_each(|ids| ids.resize(length, self.pad_token));
            let pooled_at: Vec<usize> = rows.iter().map(|ids| pooling.position(ids)).collect();
            let ids = Tensor::from_vec(rows.concat(), (batch.len(), length), &self.compute.device)?; // [B, S]
            let output = text.forward(&text.token_embeddings(&ids)?, &pooled_at, false)?;
            embeddings.extend(output.embedding.to_vec2::<f32>()?.into_iter().map(l2_normalised));
        }
        Ok(embeddings)
    }
}

impl Model for DualEncoder {
    fn about(&self) -> &About {
        &self.about
    }

    fn preprocessing(&self) -> &Preprocessing {
        &self.preprocessing
    }

    fn dimension(&self) -> usize {
        self.vision.config().dimension()
    }

    fn encode_frames(&self, frames: &[FramePixels]) -> Result<Vec<FrameFeatures>, ModelError> {
        self.encode_frames_keeping(frames, 0)
    }

    fn encode_window(&self, frames: &[&FrameFeatures], _: &[&ClipFeatures]) -> Result<VideoEmbedding, ModelError> {
        Ok(frame_mean(frames))
    }

    fn encode_labels(&self, labels: &[Label]) -> Result<Vec<LabelEmbedding>, ModelError> {
        let sentences: Vec<Vec<String>> = labels.iter().map(prompts).collect();
        let mut embeddings = self.encode_sentences(&sentences.concat())?.into_iter();
        Ok(sentences
            .iter()
            .map(|of_label| {
                let each: Vec<Vec<f32>> = embeddings.by_ref().take(of_label.len()).collect();
                LabelEmbedding {
                    vector: normalised_mean(&each, self.dimension()),
                    calibration: self.calibration,
                    origin: Origin::TextTower,
                }
            })
            .collect())
    }

    fn encode_texts(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, ModelError> {
        self.encode_sentences(texts)
    }

    fn towers(&self) -> Result<&DualEncoder, ModelError> {
        Ok(self)
    }

    fn threshold(&self, label: &Label) -> Option<f32> {
        self.thresholds.get(&tidy_name(&label.name)).copied()
    }

    fn label_batch(&self) -> usize {
        SENTENCE_BATCH
    }
}

/// `weights` of a tower, whose matrices are kept as they are packed, unless reading them takes no time.
fn keeping_packed(
    weights: Weights,
    dir: &Path,
    tower: &str,
    fingerprint: &str,
    compute: &Compute,
) -> Result<Weights, ModelError> {
    if !compute.device.is_cpu() || weights.bytes() < SMALLEST_PACKED {
        return Ok(weights);
    }
    let dir = dir.canonicalize().map_err(|source| ModelError::Io { path: dir.into(), source })?;
    let place = &format!("{:x}", Sha256::digest(dir.to_string_lossy().as_bytes()))[..16];
    let name = format!("{place}-{tower}-{}", compute.precision);
    Ok(weights.packed(Packed::open(&Store::from_env()?.packed(), &name, &dir, fingerprint)))
}

/// The mean of normalised vectors `[D]`, normalised again.
pub(super) fn normalised_mean(vectors: &[Vec<f32>], dimension: usize) -> Vec<f32> {
    let mut sum = vec![0.0; dimension];
    for vector in vectors {
        sum.iter_mut().zip(vector).for_each(|(s, x)| *s += x);
    }
    l2_normalised(sum)
}

/// Reads a text file of the model and makes something of it.
fn parse_file<T>(dir: &Path, file: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Result<T, ModelError> {
    let path = dir.join(file);
    std::fs::read_to_string(&path)
        .map_err(|e| e.to_string())
        .and_then(|text| parse(&text))
        .map_err(|reason| ModelError::BadFile { path, reason })
}

/// What `preprocessor_config.json` says, which has to fit the tower. A NaFlex file names no size: it gets the tower's.
fn preprocessing(json: &str, config: &DualEncoderConfig) -> Result<Preprocessing, String> {
    let side = config.vision.image_size;
    let mut file: serde_json::Value = serde_json::from_str(json).map_err(|e| e.to_string())?;
    if let (Family::Siglip2, Some(fields)) = (config.family, file.as_object_mut()) {
        fields.insert("size".into(), serde_json::json!({"height": side, "width": side}));
    }
    let preprocessing = Preprocessing::from_hf_json(&file.to_string()).map_err(|e| e.to_string())?;
    match preprocessing.size {
        (height, width) if height as usize == side && width as usize == side => Ok(preprocessing),
        (height, width) => Err(format!("expected pictures of {side} x {side} for this tower, got {height} x {width}")),
    }
}

fn load_tokenizer(dir: &Path, config: &DualEncoderConfig) -> Result<Tokenizer, ModelError> {
    let path = dir.join("tokenizer.json");
    let (context, vocabulary) = (config.text.context, config.text.vocabulary);
    Ok(match config.family {
        Family::Clip => Tokenizer::clip(&path, context, vocabulary)?,
        Family::Siglip | Family::Siglip2 => Tokenizer::siglip(&path, context, vocabulary)?,
    })
}

/// The padding token's id: by `tokenizer_config.json`, or else by `config.json`, whose default of 1 is wrong for
/// SigLIP 2 (Gemma's vocabulary pads with 0).
fn pad_token(dir: &Path, tokenizer: &Tokenizer, config: &DualEncoderConfig) -> Result<u32, ModelError> {
    #[derive(serde::Deserialize)]
    struct TokenizerConfig {
        pad_token: Option<Token>,
    }
    /// `"<pad>"` or `{"content": "<pad>", ..}`.
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Token {
        Text(String),
        Added { content: String },
    }
    const FILE: &str = "tokenizer_config.json";
    let token = if dir.join(FILE).is_file() {
        parse_file(dir, FILE, |json| serde_json::from_str::<TokenizerConfig>(json).map_err(|e| e.to_string()))?
            .pad_token
    } else {
        None
    };
    let id = match token {
        Some(Token::Text(token) | Token::Added { content: token }) => tokenizer.token_id(&token),
        None => None,
    };
    let id = id.unwrap_or(config.pad_token);
    if id as usize >= config.text.vocabulary {
        return Err(ModelError::BadFile {
            path: dir.join("config.json"),
            reason: format!("expected a padding token below {}, got {id}", config.text.vocabulary),
        });
    }
    Ok(id)
}

/// The value of a tensor that has just one.
fn number(tensor: &Tensor) -> Result<f32, ModelError> {
    Ok(tensor.flatten_all()?.sum(D::Minus1)?.to_scalar()?)
}

/// The model card that lies beside the weights, or nothing. Cards from the hub begin with metadata between two lines of
/// dashes, which is not for readers.
fn card(dir: &Path) -> String {
    let card = ["MODEL.md", "README.md"].iter().find_map(|file| std::fs::read_to_string(dir.join(file)).ok());
    let card = card.unwrap_or_default();
    match card.strip_prefix("---\n").and_then(|rest| rest.split_once("\n---\n")) {
        Some((_, body)) => body.trim_start().into(),
        None => card,
    }
}
