//! The networks of the rooms, wired into whole models behind one trait, and the store that they are kept in.

mod assembly;
mod device;
mod digest;
mod dual_encoder;
mod error;
mod finetuned;
mod fingerprint;
mod known_digests;
mod manifest;
pub mod motion;
pub(crate) mod packages;
pub mod starter;
pub mod store;

pub use crate::nn::Compute;
pub use device::device;
pub use dual_encoder::{DualEncoder, FittedOn, StoredCalibration};
pub(crate) use dual_encoder::{DualEncoderConfig, Towers};
pub use error::ModelError;
pub use finetuned::{
    Additions, AdditionsConfig, Disturbance, EmbeddedLabels, Explanation, Finetuned, FinetunedConfig, HeadsConfig,
    LabelSide, LabelTexts, MODEL_TYPE as FINETUNED, Near,
};
pub use lexivid_kernels::Precision;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use store::Store;

use crate::{
    features::{ClipFeatures, FrameFeatures},
    frames::{Clips, FramePixels, Preprocessing},
    label::Label,
    label_embedding::{Confidence, EmbeddedWith, LabelEmbedding, Origin},
    video_embedding::VideoEmbedding,
};

/// What stands between the pipeline and any model. Nothing outside this module asks which model it has.
pub trait Model: Send + Sync {
    /// Name, fingerprint and card.
    fn about(&self) -> &About;

    /// How a frame becomes this model's pixels.
    fn preprocessing(&self) -> &Preprocessing;

    /// Width D of the joint space.
    fn dimension(&self) -> usize;

    /// Frames -> features: one entry a frame, in order. All views of a frame are looked at.
    fn encode_frames(&self, frames: &[FramePixels]) -> Result<Vec<FrameFeatures>, ModelError>;

    /// The network that looks at clips beside the image tower, if there is one.
    fn clip_encoder(&self) -> Option<&dyn ClipEncoder> {
        None
    }

    /// Features of one window's frames (T >= 1, in order of time), and of its clips where [`Model::clip_encoder`] looked at any -> f_v(v).
    fn encode_window(&self, frames: &[&FrameFeatures], clips: &[&ClipFeatures]) -> Result<VideoEmbedding, ModelError>;

    /// Whether a window says what its frames do not say one by one. A frame is judged by the window around it, then, and by itself otherwise.
    fn looks_along_time(&self) -> bool {
        false
    }

    /// Labels -> f_t(l), one a label, in order. The result for a label does not depend on the others.
    fn encode_labels(&self, labels: &[Label]) -> Result<Vec<LabelEmbedding>, ModelError>;

    /// Texts exactly as they stand, without the prompt of labels -> their embeddings, `[D]`, L2-normalised, one each, in
    /// order.
    fn encode_texts(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, ModelError>;

    /// Probability from which on the label counts as present, where that was fitted for this model; a threshold of the
    /// label's own goes before.
    fn threshold(&self, _label: &Label) -> Option<f32> {
        None
    }

    /// How far the probabilities of a label can be trusted whose embedding comes from `origin`.
    fn confidence(&self, _origin: &Origin) -> Confidence {
        Confidence::Usual
    }

    /// The model as one of two towers, whose insides can be prompted and branched from.
    ///
    /// # Errors
    /// When it is none.
    fn towers(&self) -> Result<&DualEncoder, ModelError> {
        Err(ModelError::NoTowers { name: self.about().name.clone() })
    }

    /// How many labels [`Model::encode_labels`] likes to be given at once.
    fn label_batch(&self) -> usize {
        64
    }
}

/// A network that looks at clips: what moves, and how.
pub trait ClipEncoder: Send + Sync {
    /// Which clips it looks at.
    fn clips(&self) -> &Clips;

    /// How a frame becomes its pixels.
    fn preprocessing(&self) -> &Preprocessing;

    /// The frames of one clip, as many as [`ClipEncoder::clips`] says, -> its motion embedding, L2-normalised.
    fn encode_clip(&self, frames: &[&FramePixels]) -> Result<Vec<f32>, ModelError>;
}

/// What a model says about itself.
#[derive(Debug, Clone, PartialEq)]
pub struct About {
    /// Name or path, as loaded.
    pub name: String,
    /// SHA-256 over weights and configuration, the first 16 hex digits; keys the caches.
    pub fingerprint: String,
    /// In what precision the networks compute.
    pub precision: Precision,
    /// Model card, Markdown.
    pub card: String,
    /// What a user should be warned of on every run ("probabilities are not calibrated"), if anything.
    pub caveats: Vec<String>,
}

impl About {
    /// What the model's label embeddings are kept under.
    pub fn embedded_with(&self) -> EmbeddedWith {
        // Another precision, another embedding.
        EmbeddedWith { key: format!("{}-{}", self.fingerprint, self.precision), name: self.name.clone() }
    }
}

/// The model types of `config.json` that [`load`] knows.
const SUPPORTED: [&str; 5] = ["clip", "siglip", "siglip2", starter::MODEL_TYPE, finetuned::MODEL_TYPE];

/// The directory of an installed model whose similarities can be calibrated: where its [`StoredCalibration`] lies.
///
/// # Errors
/// When it is not installed, or is of another kind.
pub fn calibration_directory(name: &str) -> Result<PathBuf, ModelError> {
    let dir = Store::from_env()?.path(name)?;
    match model_type(&dir)?.as_str() {
        "clip" | "siglip" | "siglip2" => Ok(dir),
        _ => Err(ModelError::NotCalibratable { name: name.into() }),
    }
}

/// Loads an installed model: a name or hub id of the [`store`], or a directory.
///
/// # Errors
/// When it is not installed, or its files are not as expected.
pub fn load(name: &str, compute: &Compute) -> Result<Arc<dyn Model>, ModelError> {
    let _span = tracing::debug_span!("load model").entered();
    let dir = Store::from_env()?.path(name)?;
    match model_type(&dir)?.as_str() {
        "clip" | "siglip" | "siglip2" => Ok(Arc::new(DualEncoder::load(name, &dir, compute)?)),
        starter::MODEL_TYPE => Ok(Arc::new(starter::load(&dir, compute)?)),
        finetuned::MODEL_TYPE => Ok(Arc::new(Finetuned::load(name, &dir, compute)?)),
        other => Err(ModelError::BadFile {
            path: dir.join("config.json"),
            reason: format!("expected model_type {}, got {other:?}", SUPPORTED.join(", ")),
        }),
    }
}

/// Loads an installed model that `lexivid train` made.
///
/// # Errors
/// As [`load`], and when it is another kind of model.
pub fn load_finetuned(name: &str, compute: &Compute) -> Result<Finetuned, ModelError> {
    let dir = Store::from_env()?.path(name)?;
    match model_type(&dir)?.as_str() {
        finetuned::MODEL_TYPE => Finetuned::load(name, &dir, compute),
        _ => Err(ModelError::NoLabelEncoder { name: name.into() }),
    }
}

/// The `model_type` of a directory's `config.json`.
fn model_type(dir: &Path) -> Result<String, ModelError> {
    #[derive(serde::Deserialize)]
    struct Config {
        model_type: String,
    }
    let path = dir.join("config.json");
    let config = std::fs::read_to_string(&path)
        .map_err(|e| e.to_string())
        .and_then(|json| serde_json::from_str::<Config>(&json).map_err(|e| e.to_string()));
    match config {
        Ok(config) => Ok(config.model_type),
        Err(reason) => Err(ModelError::BadFile { path, reason }),
    }
}
