//! Pixels -> features of every frame: the image towers.

pub mod efficientnet_lite;
pub mod i3d;
mod vit;

pub use vit::{PatchWeights, Vit, VitConfig, VitOutput, VitPooling};

use candle_core::Tensor;

/// What a motion network says about one clip.
#[derive(Debug, Clone, PartialEq)]
pub struct ClipFeatures {
    /// Where it begins, in seconds from the video's first frame.
    pub start: f64,
    /// Where it ends, exclusive.
    pub end: f64,
    /// Motion embedding, L2-normalised; what it says in the joint space is for [`Model::encode_window`](crate::models::Model::encode_window).
    pub embedding: Vec<f32>,
}

/// What an image tower says about one frame.
#[derive(Debug, Clone)]
pub struct FrameFeatures {
    /// Presentation time in seconds from the video's first frame.
    pub time: f64,
    /// Image embedding, `[D]`, L2-normalised, in the model's joint space.
    pub embedding: Vec<f32>,
    /// h_(L-K+1) .. h_L, the raw outputs of the tower's last K blocks, `[K, S, W]` in f16 on the CPU, where they were asked for.
    pub blocks: Option<Tensor>,
}
