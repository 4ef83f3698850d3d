//! The networks of the rooms, wired into whole models behind one trait, and the store that they are kept in.

mod error;
pub(crate) mod packages;
pub mod starter;

pub use error::ModelError;

use crate::{
    features::FrameFeatures,
    frames::{FramePixels, Preprocessing},
    label::Label,
    label_embedding::LabelEmbedding,
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

    /// Features of one window's frames (T >= 1, in order of time) -> f_v(v).
    fn encode_window(&self, frames: &[&FrameFeatures]) -> Result<VideoEmbedding, ModelError>;

    /// Labels -> f_t(l), one a label, in order. The result for a label does not depend on the others.
    fn encode_labels(&self, labels: &[Label]) -> Result<Vec<LabelEmbedding>, ModelError>;

    /// How many labels [`Model::encode_labels`] likes to be given at once.
    fn label_batch(&self) -> usize {
        64
    }
}

/// What a model says about itself.
#[derive(Debug, Clone, PartialEq)]
pub struct About {
    /// Name or path, as loaded.
    pub name: String,
    /// SHA-256 over weights and configuration, the first 16 hex digits; keys the caches.
    pub fingerprint: String,
    /// Model card, Markdown.
    pub card: String,
    /// What a user should be warned of on every run ("probabilities are not calibrated"), if anything.
    pub caveats: Vec<String>,
}
