//! Pixels -> features of every frame: the image towers.

pub mod efficientnet_lite;
mod vit;

pub use vit::{PatchWeights, Vit, VitConfig, VitOutput, VitPooling};

/// What an image tower says about one frame.
#[derive(Debug, Clone, PartialEq)]
pub struct FrameFeatures {
    /// Presentation time in seconds from the video's first frame.
    pub time: f64,
    /// Image embedding, `[D]`, L2-normalised, in the model's joint space.
    pub embedding: Vec<f32>,
}
