//! What weights start from.

use crate::{label_embedding::Calibration, nn::Start};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use rand_distr::{Distribution, Normal};
use sha2::{Digest, Sha256};
use std::f32::consts::PI;

/// A CLIP that was never trained: gains 1, biases 0, weights normal with OpenAI's deviations (`CLIP.initialize_parameters`
/// of openai/CLIP; the patch embedding is ours) for `layers` blocks, `logit_scale` as given. Every tensor has random numbers of its own, by `seed` and its name.
pub fn clip(seed: u64, layers: usize, logit_scale: f32) -> Box<Start> {
    Box::new(move |name, shape| {
        let count = shape.iter().product();
        if let (true, &[width, 3, side, _]) = (name.contains("patch_embedding"), shape) {
            return cosines(width, side);
        }
        let deviation = match (name.rsplit('.').next(), shape) {
            _ if name == "logit_scale" => return vec![logit_scale],
            (Some("bias"), _) => return vec![0.0; count],
            (Some("class_embedding"), [width]) => (*width as f32).powf(-0.5),
            // Norms.
            (Some("weight"), [_]) => return vec![1.0; count],
            (Some("weight"), [_, rest @ ..]) => {
                let inputs: usize = rest.iter().product();
                let residual = (2.0 * layers as f32).powf(-0.5);
                match name {
                    _ if name.contains("token_embedding") => 0.02,
                    _ if name.contains("position_embedding") => 0.01,
                    // Into the residual stream: smaller, the more blocks add to it.
                    _ if name.contains("out_proj") => (inputs as f32).powf(-0.5) * residual,
                    _ if name.contains("fc2") => (inputs as f32 / 4.0).powf(-0.5) * residual,
                    _ if name.contains("fc1") => (2.0 * inputs as f32).powf(-0.5),
                    _ => (inputs as f32).powf(-0.5),
                }
            }
            _ => return vec![0.0; count],
        };
        normal(seed, name, count, deviation)
    })
}

/// A patch embedding `[width, 3, side, side]` that begins as a discrete cosine transform of luma and two differences of colours, lowest
/// frequencies first, the higher ones lifted by as much as pictures have less of them. Part of Nano-CLIP's
/// recipe; docs/TRAINING.md says what it was seen to do.
fn cosines(width: usize, side: usize) -> Vec<f32> {
    /// Luma, red against blue, green against both; each of length 1.
    const COLOURS: [[f32; 3]; 3] = [[0.577, 0.577, 0.577], [0.707, 0.0, -0.707], [-0.408, 0.816, -0.408]];
    /// How much less a difference of colours counts: a frequency twice as high.
    const CHROMA: f32 = 2.0;
    let mut filters: Vec<(f32, [f32; 3], usize, usize)> = Vec::new();
    for (i, colour) in COLOURS.into_iter().enumerate() {
        for (u, v) in (0..side).flat_map(|u| (0..side).map(move |v| (u, v))) {
            let frequency = (u as f32).hypot(v as f32);
            let order = if i == 0 { frequency } else { (frequency + 1.0) * CHROMA };
            filters.push((order, colour, u, v));
        }
    }
    filters.sort_by(|a, b| a.0.total_cmp(&b.0));
    let wave = |k: usize, x: usize| {
        let norm = if k == 0 { (1.0 / side as f32).sqrt() } else { (2.0 / side as f32).sqrt() };
        norm * (PI * k as f32 * (x as f32 + 0.5) / side as f32).cos()
    };
    let mut weights = Vec::with_capacity(width * 3 * side * side);
    for (_, colour, u, v) in filters.into_iter().cycle().take(width) {
        let lift = (1.0 + (u as f32).hypot(v as f32)) / side as f32;
        for c in colour {
            weights.extend((0..side * side).map(|i| lift * c * wave(u, i / side) * wave(v, i % side)));
        }
    }
    weights
}

/// `count` normal numbers of mean 0, by `seed` and `name`.
fn normal(seed: u64, name: &str, count: usize, deviation: f32) -> Vec<f32> {
    let mut random = ChaCha8Rng::from_seed(Sha256::digest(format!("{seed} {name}")).into());
    match Normal::new(0.0, deviation) {
        Ok(normal) => normal.sample_iter(&mut random).take(count).collect(),
        Err(_) => vec![0.0; count],
    }
}

/// What is added to a frozen model: it begins as no change at all, and with the model's scale and bias. Prefixes are as large as the language
/// model's token embeddings, whose numbers have the deviation `prefix`.
pub fn additions(seed: u64, calibration: Calibration, prefix: f32) -> Box<Start> {
    Box::new(move |name, shape| {
        let count = shape.iter().product();
        let deviation = match (name.rsplit_once('.'), shape) {
            _ if name == "log_scale" => return vec![calibration.scale.ln()],
            _ if name == "bias" => return vec![calibration.bias],
            (Some((_, "prefixes")), _) => prefix,
            (Some((_, "queries" | "attributes")), _) => 1.0,
            // Norms.
            (Some((_, "weight")), [_]) => return vec![1.0; count],
            // The second layer of a residual head: no correction yet.
            (Some(("video.fc2" | "label.fc2", _)), _) => 0.0,
            (Some((_, "weight")), [_, inputs]) => (*inputs as f32).powf(-0.5),
            // Biases and gates.
            _ => 0.0,
        };
        normal(seed, name, count, deviation)
    })
}
