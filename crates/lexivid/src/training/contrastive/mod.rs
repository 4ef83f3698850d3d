//! Pretraining of a CLIP on pictures and their captions (Radford et al. 2021).

mod loss;
mod parallel;
mod tokenizer;

pub use loss::info_nce;

use super::{Gradients, Plan, Task, TrainingError, TrainingPrecision, clip_start};
use crate::{
    frames::{FramePixels, Preprocessing},
    label::{Label, prompts},
    label_embedding::Tokenizer,
    models::{DualEncoderConfig, Towers},
    nn::{Compute, Weights},
};
use candle_core::{D, DType, Device, Tensor, Var, safetensors};
use image::RgbImage;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
};

/// Where pictures and captions come from.
pub trait Pictures: Sync {
    /// All words that a caption may have, for the tokenizer to learn.
    fn texts(&self) -> Vec<String>;

    /// What step `step` sees: `size` pictures of `side` pixels and a caption each. The same for the same step.
    fn batch(&self, step: u64, size: usize, side: u32) -> Batch;

    /// The names that [`Pictures::validation`] chooses from.
    fn names(&self) -> Vec<Label>;

    /// Pictures that are not trained on, each with the index of its name.
    fn validation(&self, side: u32) -> Vec<(Vec<u8>, usize)>;
}

/// Pictures and captions of one step.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// `side * side * 3` bytes each, row-major, channels last.
    pub pictures: Vec<Vec<u8>>,
    /// One a picture.
    pub captions: Vec<String>,
    /// (picture, caption) where the caption is another picture's, but describes this one, too.
    pub also: Vec<(usize, usize)>,
}

/// What is to be pretrained.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PretrainConfig {
    /// Start values depend on it.
    pub seed: u64,
    /// Pictures a step.
    pub batch: usize,
    /// What products multiply; weights and gradients are f32 in any case.
    #[serde(default)]
    pub precision: TrainingPrecision,
    /// Greatest number of tokens that the tokenizer learns.
    pub vocabulary: usize,
    /// Both towers, as in the `config.json` of a CLIP directory; what the tokenizer decides is filled in.
    pub model: serde_json::Map<String, Value>,
    /// The `preprocessor_config.json`.
    pub preprocessor: Value,
    /// Put before the card's own lines: title, and what the reader must know.
    pub card: String,
    /// How long and how fast.
    pub plan: Plan,
}

/// Greatest 1 / tau (Radford et al. 2021, section 2.5).
const GREATEST_SCALE: f64 = 100.0;

/// ln(1 / 0.07), the temperature that CLIP starts from (Radford et al. 2021, section 2.5).
const LOGIT_SCALE: f64 = 2.6592;

/// The weight that belongs to neither tower.
const SCALE: &str = "logit_scale";

/// A CLIP that is being pretrained.
pub struct Pretraining<'a> {
    config: PretrainConfig,
    pictures: &'a dyn Pictures,
    towers: Towers,
    variables: BTreeMap<String, Var>,
    tokenizer: Tokenizer,
    /// `tokenizer.json`.
    tokenizer_json: String,
    /// `config.json`.
    model_json: Value,
    preprocessing: Preprocessing,
    sizes: DualEncoderConfig,
    /// The last validation, for the card.
    validated: Vec<(String, f64)>,
}

impl<'a> Pretraining<'a> {
    /// Learns the tokenizer, and builds both towers at their start values.
    ///
    /// # Errors
    /// When the configuration is not one of a CLIP, or the tokenizer cannot be learned.
    pub fn new(config: PretrainConfig, pictures: &'a dyn Pictures) -> Result<Self, TrainingError> {
        let bad = |reason: String| TrainingError::Config { path: "[model]".into(), reason };
        let learned = tokenizer::learn(&pictures.texts(), config.vocabulary).map_err(bad)?;
        let mut model_json = Value::Object(config.model.clone());
        if !matches!(model_json["text_config"], Value::Null | Value::Object(_)) {
            return Err(bad(format!("text_config: expected a table, got {}", model_json["text_config"])));
        }
        model_json["model_type"] = json!("clip");
        model_json["text_config"]["vocab_size"] = json!(learned.size);
        model_json["text_config"]["bos_token_id"] = json!(learned.start);
        model_json["text_config"]["eos_token_id"] = json!(learned.end);
        model_json["text_config"]["pad_token_id"] = json!(learned.end);
        let sizes = DualEncoderConfig::parse(&model_json.to_string()).map_err(bad)?;
        let preprocessing = Preprocessing::from_hf_json(&config.preprocessor.to_string());
        let preprocessing = preprocessing
            .map_err(|e| TrainingError::Config { path: "[preprocessor]".into(), reason: e.to_string() })?;
        let tokenizer = Tokenizer::parse(&learned.json, sizes.text.context, sizes.text.vocabulary)?;

        let compute = Compute::new(Device::Cpu, Some(config.precision.into()));
        let compute = compute.map_err(crate::models::ModelError::from)?;
        let logit_scale = model_json["logit_scale_init_value"].as_f64().unwrap_or(LOGIT_SCALE);
        let layers = sizes.vision.encoder.layers.max(sizes.text.encoder.layers);
        let weights = Weights::start(clip_start(config.seed, layers, logit_scale as f32), &compute);
        let towers = Towers::load(&weights.root(), &sizes)?;
        let task = Self {
            config,
            pictures,
            towers,
            variables: weights.variables(),
            tokenizer,
            tokenizer_json: learned.json,
            model_json,
            preprocessing,
            sizes,
            validated: Vec::new(),
        };
        task.centre()?;
        Ok(task)
    }

    /// Moves the biases of the last norms so that the embeddings of a batch have no common part. Untrained towers give everything
    /// nearly the same embedding; left so, the loss first makes them equal altogether, and stays there for long.
    fn centre(&self) -> Result<(), TrainingError> {
        let batch = self.pictures.batch(0, self.config.batch, self.side());
        let (seen, read) = (self.see_raw(&batch.pictures)?, self.read_raw(&batch.captions)?);
        for (raw, bias, projection) in [
            (seen, "vision_model.post_layernorm.bias", "visual_projection.weight"),
            (read, "text_model.final_layer_norm.bias", "text_projection.weight"),
        ] {
            let mean = raw.detach().mean_keepdim(0)?; // [1, D]
            let (bias, projection) = (&self.variables[bias], self.variables[projection].as_tensor().detach()); // [W], [D, W]
            let mut b = Tensor::zeros((1, bias.dim(0)?), DType::F32, &Device::Cpu)?;
            // b P^T = -mean, by gradient descent: the rows of P are nearly orthonormal.
            for _ in 0..200 {
                let left = (&mean + b.matmul(&projection.t()?)?)?;
                b = (b - (left.matmul(&projection)? * 0.3)?)?;
            }
            bias.set(&b.squeeze(0)?)?;
        }
        Ok(())
    }

    /// How many numbers are trained.
    pub fn size(&self) -> usize {
        self.variables.values().map(|variable| variable.elem_count()).sum()
    }

    fn side(&self) -> u32 {
        self.preprocessing.size.0
    }

    /// Pictures -> embeddings `[B, D]`, L2-normalised.
    fn see(&self, pictures: &[Vec<u8>]) -> Result<Tensor, TrainingError> {
        unit(&self.see_raw(pictures)?)
    }

    /// Sentences -> embeddings `[B, D]`, L2-normalised.
    fn read(&self, sentences: &[String]) -> Result<Tensor, TrainingError> {
        unit(&self.read_raw(sentences)?)
    }

    /// Pictures -> embeddings `[B, D]`.
    fn see_raw(&self, pictures: &[Vec<u8>]) -> Result<Tensor, TrainingError> {
        let frame = |picture: &Vec<u8>| {
            let view = RgbImage::from_raw(self.side(), self.side(), picture.clone());
            FramePixels { time: 0.0, views: view.into_iter().collect() }
        };
        let frames: Vec<_> = pictures.iter().map(frame).collect();
        let pixels = self.preprocessing.normalise(&frames, &Device::Cpu)?.squeeze(1)?; // [B, 3, H, W]
        Ok(self.towers.vision.forward(&pixels, false)?.pooled)
    }

    /// Sentences -> embeddings `[B, D]`.
    fn read_raw(&self, sentences: &[String]) -> Result<Tensor, TrainingError> {
        let rows = sentences
            .iter()
            .map(|text| Ok(self.tokenizer.encode(text)?.ids))
            .collect::<Result<Vec<_>, TrainingError>>()?;
        let length = rows.iter().map(Vec::len).max().unwrap_or(0);
        let pooling = self.sizes.text.pooling;
        let pooled_at: Vec<usize> = rows.iter().map(|ids| pooling.position(ids)).collect();
        let pad = self.sizes.pad_token;
        let ids: Vec<u32> = rows.iter().flat_map(|ids| (0..length).map(|i| *ids.get(i).unwrap_or(&pad))).collect();
        let ids = Tensor::from_vec(ids, (rows.len(), length), &Device::Cpu)?; // [B, S]
        let tokens = self.towers.text.token_embeddings(&ids)?;
        Ok(self.towers.text.forward(&tokens, &pooled_at, false)?.embedding)
    }
}

/// Rows of `[B, D]` with length 1, with gradients.
fn unit(x: &Tensor) -> Result<Tensor, TrainingError> {
    Ok(x.broadcast_div(&(x.sqr()?.sum_keepdim(D::Minus1)? + 1e-12)?.sqrt()?)?)
}

impl Task for Pretraining<'_> {
    fn variables(&self) -> &BTreeMap<String, Var> {
        &self.variables
    }

    /// The loss couples all pictures and captions of a batch, but the towers do not: each half of the batch goes forward and back on a
    /// core of its own, and only the embeddings and their gradients meet in between (Gao et al., arXiv 2101.06983).
    fn gradients(&mut self, step: u64) -> Result<Gradients, TrainingError> {
        let batch = self.pictures.batch(step, self.config.batch, self.side());
        let parts = parallel::parts(batch.pictures.len());
        let embedded = parallel::each(&parts, |part| {
            Ok((self.see(&batch.pictures[part.clone()])?, self.read(&batch.captions[part.clone()])?))
        })?;
        let gather = |side: fn(&(Tensor, Tensor)) -> &Tensor| -> Result<Var, TrainingError> {
            let parts: Vec<Tensor> = embedded.iter().map(|part| side(part).detach()).collect();
            Ok(Var::from_tensor(&Tensor::cat(&parts, 0)?)?)
        };
        let (seen, read) = (gather(|part| &part.0)?, gather(|part| &part.1)?);
        let scale = self.towers.logit_scale.minimum(GREATEST_SCALE.ln())?.exp()?;
        let loss = info_nce(&seen, &read, &scale, &batch.also)?;
        let store = loss.backward()?;
        let missing = |weight: &str| TrainingError::NoGradient { weight: weight.into() };
        let d_seen = store.get(&seen).ok_or_else(|| missing("the image embeddings"))?;
        let d_read = store.get(&read).ok_or_else(|| missing("the text embeddings"))?;
        let d_scale = store.get(&self.towers.logit_scale).ok_or_else(|| missing("logit_scale"))?;

        let mut towers = self.variables.clone();
        towers.remove(SCALE);
        let gradients =
            parallel::each(&parts.iter().cloned().zip(embedded).collect::<Vec<_>>(), |(part, (seen, read))| {
                let along = |x: &Tensor, d: &Tensor| (x * d.narrow(0, part.start, part.len())?)?.sum_all();
                // A sum whose gradients are those of the loss.
                let surrogate = (along(seen, d_seen)? + along(read, d_read)?)?;
                Gradients::collect(0.0, &towers, &surrogate.backward()?)
            })?;
        let mut sum = gradients.into_iter().reduce(|sum, part| sum.plus(&part)).ok_or_else(|| missing("any weight"))?;
        sum.loss = loss.to_scalar::<f32>()?.into();
        sum.of.insert(towers.range(..SCALE.to_owned()).count(), vec![d_scale.to_scalar()?]);
        Ok(sum)
    }

    fn validate(&mut self) -> Result<Vec<(String, f64)>, TrainingError> {
        let names = self.pictures.names();
        let sentences: Vec<String> = names.iter().map(|name| prompts(name).swap_remove(0)).collect();
        let pictures = self.pictures.validation(self.side());
        let rows = |x: Tensor| -> Result<Vec<Vec<f32>>, TrainingError> { Ok(x.to_vec2()?) };
        let chunks: Vec<_> = sentences.chunks(64).collect();
        let labels = parallel::each(&chunks, |chunk| rows(self.read(chunk)?))?.concat();
        let chunks: Vec<_> = pictures.chunks(32).collect();
        let seen = parallel::each(&chunks, |chunk| {
            rows(self.see(&chunk.iter().map(|(picture, _)| picture.clone()).collect::<Vec<_>>())?)
        })?;
        let mut within = [0usize; 2];
        for (seen, (_, right)) in seen.concat().iter().zip(&pictures) {
            let similarity = |label: &[f32]| label.iter().zip(seen).map(|(l, s)| l * s).sum::<f32>();
            let own = similarity(&labels[*right]);
            let better = labels.iter().filter(|label| similarity(label) > own).count();
            within[0] += usize::from(better < 1);
            within[1] += usize::from(better < 5);
        }
        let share = |count: usize| count as f64 / pictures.len().max(1) as f64;
        self.validated = vec![("top-1".into(), share(within[0])), ("top-5".into(), share(within[1]))];
        Ok(self.validated.clone())
    }

    fn save(&self, dir: &Path, step: u64) -> Result<(), TrainingError> {
        let write =
            |file: &str, text: String| fs::write(dir.join(file), text).map_err(TrainingError::io(dir.join(file)));
        let pretty = |value: &Value| serde_json::to_string_pretty(value).expect("JSON");
        write("config.json", pretty(&self.model_json))?;
        write("preprocessor_config.json", pretty(&self.config.preprocessor))?;
        write("tokenizer.json", self.tokenizer_json.clone())?;
        write("tokenizer_config.json", pretty(&json!({ "pad_token": tokenizer::END })))?;
        let half = |(name, variable): (&String, &Var)| Ok((name.clone(), variable.to_dtype(DType::F16)?));
        let tensors = self.variables.iter().map(half).collect::<Result<HashMap<_, _>, candle_core::Error>>()?;
        safetensors::save(&tensors, dir.join("model.safetensors"))?;
        let numbers: String = self.validated.iter().map(|(name, value)| format!("- {name}: {value:.3}\n")).collect();
        let card = format!(
            "{}\n\nStep {step}, {} numbers, stored in f16. Zero-shot on validation pictures, among {} names:\n\n{numbers}",
            self.config.card.trim_end(),
            self.size(),
            self.pictures.names().len(),
        );
        write("MODEL.md", card)
    }
}

#[cfg(test)]
mod tests;
