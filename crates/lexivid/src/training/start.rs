//! What weights start from.

use crate::{
    features::VitConfig,
    label_embedding::Calibration,
    nn::{EncoderConfig, Start, Weights, WeightsError},
    video_embedding::TemporalConfig,
};
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
            return Ok(cosines(width, side));
        }
        let deviation = match (name.rsplit('.').next(), shape) {
            _ if name == "logit_scale" => return Ok(vec![logit_scale]),
            (Some("bias"), _) => return Ok(vec![0.0; count]),
            (Some("class_embedding"), [width]) => (*width as f32).powf(-0.5),
            // Norms.
            (Some("weight"), [_]) => return Ok(vec![1.0; count]),
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
            _ => return Ok(vec![0.0; count]),
        };
        Ok(normal(seed, name, count, deviation))
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

/// A temporal branch beside a tower: what it has in common with the tower begins as it is there, the output of its attention along time at
/// zero, and its time embedding as large as the tower's positions.
pub struct TemporalStart {
    /// The branch.
    pub branch: TemporalConfig,
    /// The tower's sizes.
    pub config: VitConfig,
    /// The model that has the tower.
    pub weights: Weights,
}

impl TemporalStart {
    /// The weight `name` of the branch.
    fn values(&self, seed: u64, name: &str, shape: &[usize]) -> Result<Vec<f32>, WeightsError> {
        let EncoderConfig { width, layers, .. } = self.config.encoder;
        let vision = self.weights.root().enter("vision_model");
        let embeddings = vision.enter("embeddings");
        let positions = || embeddings.enter("position_embedding").values("weight", &[self.config.tokens(), width]);
        let parts: Vec<&str> = name.split('.').collect();
        match parts.as_slice() {
            ["class_embedding"] => embeddings.values(name, shape),
            ["position_embedding"] => Ok(positions()?.split_off(width * usize::from(self.config.has_class_token()))),
            ["time_embedding"] => {
                let positions = positions()?;
                let square = positions.iter().map(|x| x * x).sum::<f32>() / positions.len() as f32;
                Ok(normal(seed, name, shape.iter().product(), square.sqrt()))
            }
            ["blocks", _, "moments", "norm", "weight"] => Ok(vec![1.0; shape.iter().product()]),
            ["blocks", _, "moments" | "pairs", "read" | "write", _] => {
                Ok(normal(seed, name, shape.iter().product(), (shape[1] as f32).powf(-0.5)))
            }
            ["blocks", _, "time", "self_attn", "out_proj", _] => Ok(vec![0.0; shape.iter().product()]),
            ["blocks", block, "time" | "space", layers_of_block @ .., last] => {
                let block: usize = block.parse().unwrap_or_default();
                let beside =
                    vision.enter("encoder").enter("layers").enter(&(layers - self.branch.blocks + block).to_string());
                layers_of_block.iter().fold(beside, |scope, part| scope.enter(part)).values(last, shape)
            }
            // The gate, and the bias of the moments' norm.
            _ => Ok(vec![0.0; shape.iter().product()]),
        }
    }
}

/// What is added to a frozen model: it begins as no change at all, and with the model's scale and bias. Prefixes are as large as the language
/// model's token embeddings, whose numbers have the deviation `prefix`; a temporal branch begins as [`TemporalStart`] says.
pub fn additions(seed: u64, calibration: Calibration, prefix: f32, temporal: Option<TemporalStart>) -> Box<Start> {
    Box::new(move |name, shape| {
        if let (Some(temporal), Some(name)) = (&temporal, name.strip_prefix("temporal.")) {
            return temporal.values(seed, name, shape);
        }
        let count = shape.iter().product();
        let deviation = match (name.rsplit_once('.'), shape) {
            _ if name == "log_scale" => return Ok(vec![calibration.scale.ln()]),
            _ if name == "bias" => return Ok(vec![calibration.bias]),
            (Some((_, "prefixes")), _) => prefix,
            (Some((_, "queries" | "attributes")), _) => 1.0,
            // Norms.
            (Some((_, "weight")), [_]) => return Ok(vec![1.0; count]),
            // The second layer of a residual head: no correction yet.
            (Some(("video.fc2" | "label.fc2", _)), _) => 0.0,
            (Some((_, "weight")), [_, inputs]) => (*inputs as f32).powf(-0.5),
            // Biases and gates.
            _ => 0.0,
        };
        Ok(normal(seed, name, count, deviation))
    })
}
