//! What weights start from.

use crate::nn::Start;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use rand_distr::{Distribution, Normal};
use sha2::{Digest, Sha256};

/// ln(1 / 0.07), the temperature that CLIP starts from (Radford et al. 2021, section 2.5).
const LOGIT_SCALE: f32 = 2.659_26;

/// A CLIP that was never trained: gains 1, biases 0, weights normal with OpenAI's deviations (`CLIP.initialize_parameters`
/// of openai/CLIP) for `layers` blocks. Every tensor has random numbers of its own, by `seed` and its name.
pub fn clip(seed: u64, layers: usize) -> Box<Start> {
    Box::new(move |name, shape| {
        let count = shape.iter().product();
        let deviation = match (name.rsplit('.').next(), shape) {
            _ if name == "logit_scale" => return vec![LOGIT_SCALE],
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

/// `count` normal numbers of mean 0, by `seed` and `name`.
fn normal(seed: u64, name: &str, count: usize, deviation: f32) -> Vec<f32> {
    let mut random = ChaCha8Rng::from_seed(Sha256::digest(format!("{seed} {name}")).into());
    match Normal::new(0.0, deviation) {
        Ok(normal) => normal.sample_iter(&mut random).take(count).collect(),
        Err(_) => vec![0.0; count],
    }
}
