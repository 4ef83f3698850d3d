//! Features of a window's frames -> one video embedding, f_v(v).

mod temporal_branch;

pub use temporal_branch::{TemporalBranch, TemporalConfig};

use crate::features::FrameFeatures;

/// f_v(v), `[D]`, L2-normalised, in the model's joint space.
#[derive(Debug, Clone, PartialEq)]
pub struct VideoEmbedding(pub Vec<f32>);

/// The frozen baseline: the mean over frames of the normalised image embeddings, normalised again.
/// `frames`: T frames of one window, T >= 1. Returns `[D]`.
pub fn frame_mean(frames: &[&FrameFeatures]) -> VideoEmbedding {
    let mut mean = vec![0.0; frames.first().map_or(0, |f| f.embedding.len())];
    for frame in frames {
        for (m, x) in mean.iter_mut().zip(&frame.embedding) {
            *m += x / frames.len() as f32;
        }
    }
    VideoEmbedding(crate::nn::l2_normalised(mean))
}
