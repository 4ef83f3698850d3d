//! A frozen model with residual heads, a scale and a bias of its own: what `lexivid train` makes.

use super::{About, Model, ModelError, fingerprint, store::Store};
use crate::{
    features::FrameFeatures,
    frames::{FramePixels, Preprocessing},
    label::Label,
    label_embedding::{Calibration, LabelEmbedding},
    nn::{Compute, Residual, ResidualConfig, Scope, Weights, WeightsError, l2_normalised},
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
    /// Its fingerprint: the heads fit no other.
    pub base_fingerprint: String,
    /// The heads.
    pub heads: HeadsConfig,
}

/// Which embeddings have a residual head.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadsConfig {
    /// Of videos.
    pub video: Option<ResidualConfig>,
    /// Of labels.
    pub label: Option<ResidualConfig>,
}

/// What is trained on top of a frozen model of width D.
pub struct Heads {
    video: Option<Residual>,
    label: Option<Residual>,
    /// ln(1 / tau), `[]`.
    pub log_scale: Tensor,
    /// b, `[]`.
    pub bias: Tensor,
}

impl Heads {
    /// Reads `video.*`, `label.*`, `log_scale` and `bias`.
    pub fn load(scope: &Scope, width: usize, config: &HeadsConfig) -> Result<Self, WeightsError> {
        let head = |name, config: Option<ResidualConfig>| {
            config.map(|config| Residual::load(&scope.enter(name), width, config)).transpose()
        };
        Ok(Self {
            video: head("video", config.video)?,
            label: head("label", config.label)?,
            log_scale: scope.tensor("log_scale", &[])?,
            bias: scope.tensor("bias", &[])?,
        })
    }

    /// Video embeddings `[B, D]` of the frozen model -> of this one, not normalised.
    pub fn video(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        self.video.as_ref().map_or(Ok(x.clone()), |head| head.forward(x))
    }

    /// Label embeddings `[L, D]` of the frozen model -> of this one, not normalised.
    pub fn label(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        self.label.as_ref().map_or(Ok(x.clone()), |head| head.forward(x))
    }
}

/// A model of [`MODEL_TYPE`].
pub struct Finetuned {
    about: About,
    base: Arc<dyn Model>,
    heads: Heads,
    calibration: Calibration,
}

impl Finetuned {
    /// Reads `config.json` and `model.safetensors`, and loads the frozen model.
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
        // Two small layers: nothing is gained by rounding them.
        let exact = Compute { precision: super::Precision::F32, ..compute.clone() };
        let weights = Weights::open(dir, &exact)?;
        let heads = Heads::load(&weights.root(), base.dimension(), &config.heads)?;
        let calibration =
            Calibration { scale: heads.log_scale.to_scalar::<f32>()?.exp(), bias: heads.bias.to_scalar()? };
        let caveats = base.about().caveats.iter().filter(|caveat| !caveat.contains("not calibrated"));
        let about = About {
            name: name.into(),
            fingerprint: fingerprint::of(dir, &Store::from_env()?.known_digests())?,
            precision: compute.precision,
            card: std::fs::read_to_string(dir.join("MODEL.md")).unwrap_or_default(),
            caveats: caveats.cloned().collect(),
        };
        Ok(Self { about, base, heads, calibration })
    }
}

/// One vector through a head.
fn through(
    head: impl Fn(&Tensor) -> candle_core::Result<Tensor>,
    vector: Vec<f32>,
) -> Result<Vec<f32>, candle_core::Error> {
    let width = vector.len();
    let x = Tensor::from_vec(vector, (1, width), &Device::Cpu)?;
    Ok(l2_normalised(head(&x)?.flatten_all()?.to_vec1()?))
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
        self.base.encode_frames(frames)
    }

    fn encode_window(&self, frames: &[&FrameFeatures]) -> Result<VideoEmbedding, ModelError> {
        Ok(VideoEmbedding(through(|x| self.heads.video(x), self.base.encode_window(frames)?.0)?))
    }

    fn encode_labels(&self, labels: &[Label]) -> Result<Vec<LabelEmbedding>, ModelError> {
        let embeddings = self.base.encode_labels(labels)?.into_iter().map(|embedding| {
            let vector = through(|x| self.heads.label(x), embedding.vector)?;
            Ok(LabelEmbedding { vector, calibration: self.calibration, ..embedding })
        });
        embeddings.collect()
    }

    fn encode_texts(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, ModelError> {
        let embeddings = self.base.encode_texts(texts)?.into_iter();
        embeddings.map(|vector| Ok(through(|x| self.heads.label(x), vector)?)).collect()
    }

    fn label_batch(&self) -> usize {
        self.base.label_batch()
    }
}
