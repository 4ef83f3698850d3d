//! A frozen model with what was trained on top of it: what `lexivid train` makes.

mod additions;
mod explanation;
mod label_side;

pub use additions::{Additions, AdditionsConfig, HeadsConfig};
pub use explanation::{Explanation, Near};
pub use label_side::{Disturbance, EmbeddedLabels, LabelSide, LabelTexts};

use super::{About, Model, ModelError, fingerprint, store::Store};
use crate::{
    features::{ClipFeatures, FrameFeatures},
    frames::{FramePixels, Preprocessing},
    label::Label,
    label_embedding::{Calibration, Confidence, LabelEmbedding, Origin},
    nn::{Compute, Weights, l2_normalised},
    video_embedding::VideoEmbedding,
};
use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};
use std::{path::Path, sync::Arc};

/// The `model_type` of its `config.json`.
pub const MODEL_TYPE: &str = "lexivid-finetuned";

/// `config.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FinetunedConfig {
    /// [`MODEL_TYPE`].
    pub model_type: String,
    /// The frozen model: a name, a hub id or a directory.
    pub base: String,
    /// Its fingerprint: what was trained fits no other.
    pub base_fingerprint: String,
    /// SHA-256 of the language model, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language_model_sha256: Option<String>,
    /// SHA-256 of the language model that writes attributes, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes_sha256: Option<String>,
    /// What was trained.
    #[serde(flatten)]
    pub additions: AdditionsConfig,
}

/// A model of [`MODEL_TYPE`].
pub struct Finetuned {
    about: About,
    base: Arc<dyn Model>,
    additions: Additions,
    label_side: LabelSide,
    calibration: Calibration,
}

impl Finetuned {
    /// Reads `config.json` and `model.safetensors`, and loads the frozen models.
    pub fn load(name: &str, dir: &Path, compute: &Compute) -> Result<Self, ModelError> {
        let path = dir.join("config.json");
        let bad = |reason: String| ModelError::BadFile { path: path.clone(), reason };
        let json = std::fs::read_to_string(&path).map_err(|e| bad(e.to_string()))?;
        let config: FinetunedConfig = serde_json::from_str(&json).map_err(|e| bad(e.to_string()))?;
        let base = super::load(&config.base, compute)?;
        let got = &base.about().fingerprint;
        if *got != config.base_fingerprint {
            let (base, expected) = (&config.base, &config.base_fingerprint);
            return Err(bad(format!("base {base:?}: expected the model with the fingerprint {expected}, got {got}")));
        }
        let label_side = LabelSide::open(&config.additions, compute)?;
        for (expected, got) in [
            (&config.language_model_sha256, label_side.digest()),
            (&config.attributes_sha256, label_side.digest_of_writer()),
        ] {
            if let (Some(expected), Some(got)) = (expected, got)
                && expected != got
            {
                return Err(bad(format!("language model: expected the SHA-256 {expected}, got {got}")));
            }
        }
        // Small layers: nothing is gained by rounding them.
        let exact = Compute { precision: super::Precision::F32, ..compute.clone() };
        let weights = Weights::open(dir, &exact)?;
        let additions = Additions::load(&weights.root(), base.as_ref(), &label_side, &config.additions)?;
        let calibration =
            Calibration { scale: additions.log_scale.to_scalar::<f32>()?.exp(), bias: additions.bias.to_scalar()? };
        let caveats = base.about().caveats.iter().filter(|caveat| !caveat.contains("not calibrated"));
        let about = About {
            name: name.into(),
            fingerprint: fingerprint::of(dir, &Store::from_env()?.known_digests())?,
            precision: compute.precision,
            card: std::fs::read_to_string(dir.join("MODEL.md")).unwrap_or_default(),
            caveats: caveats.cloned().collect(),
        };
        Ok(Self { about, base, additions, label_side, calibration })
    }
}

/// Rows of `[B, D]`, L2-normalised.
fn rows(x: &Tensor) -> Result<Vec<Vec<f32>>, candle_core::Error> {
    Ok(x.detach().to_vec2::<f32>()?.into_iter().map(l2_normalised).collect())
}

impl Model for Finetuned {
    fn about(&self) -> &About {
        &self.about
    }

    fn preprocessing(&self) -> &Preprocessing {
        self.base.preprocessing()
    }

    fn dimension(&self) -> usize {
        self.base.dimension()
    }

    fn encode_frames(&self, frames: &[FramePixels]) -> Result<Vec<FrameFeatures>, ModelError> {
        match &self.additions.temporal {
            Some(branch) => self.base.towers()?.encode_frames_keeping(frames, branch.blocks()),
            None => self.base.encode_frames(frames),
        }
    }

    fn encode_window(&self, frames: &[&FrameFeatures], clips: &[&ClipFeatures]) -> Result<VideoEmbedding, ModelError> {
        let mean = self.base.encode_window(frames, clips)?.0;
        let mean = Tensor::from_vec(mean, (1, self.dimension()), &Device::Cpu)?;
        let windows = [frames.to_vec()];
        let embedded = self.additions.videos(self.base.as_ref(), &mean, &windows, None)?;
        Ok(VideoEmbedding(rows(&embedded)?.swap_remove(0)))
    }

    fn looks_along_time(&self) -> bool {
        self.additions.temporal.is_some()
    }

    fn encode_labels(&self, labels: &[Label]) -> Result<Vec<LabelEmbedding>, ModelError> {
        let texts = self.label_side.read(self.base.as_ref(), labels)?;
        let all: Vec<u32> = (0..labels.len() as u32).collect();
        let embedded = self.label_side.embed(self.base.as_ref(), &self.additions, &texts, &all, None)?;
        let embedding = |(vector, origin)| LabelEmbedding { vector, calibration: self.calibration, origin };
        Ok(rows(&embedded.labels)?.into_iter().zip(texts.origins).map(embedding).collect())
    }

    fn encode_texts(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, ModelError> {
        let (count, width) = (texts.len(), self.dimension());
        let plain = Tensor::from_vec(self.base.encode_texts(texts)?.concat(), (count, width), &Device::Cpu)?;
        Ok(rows(&self.additions.label(&plain)?)?)
    }

    fn confidence(&self, origin: &Origin) -> Confidence {
        self.base.confidence(origin)
    }

    fn label_batch(&self) -> usize {
        // Whoever waits wants to be told of every few.
        if self.label_side.writes() { 4 } else { self.base.label_batch() }
    }
}

#[cfg(test)]
mod tests;
