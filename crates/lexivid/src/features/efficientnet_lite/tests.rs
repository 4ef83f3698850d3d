use std::collections::HashMap;

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::VarBuilder;
use serde::Deserialize;

use super::*;
use crate::nn::{Compute, on_every_path, pseudo_random::pseudo_random};

/// What `efficientnet_lite_pytorch` answers; scripts/goldens/efficientnet_lite.py.
#[derive(Deserialize)]
struct Golden {
    /// State dict: name -> shape. Values are pseudo-random, seeded by the position in the list.
    parameters: Vec<(String, Vec<usize>)>,
    size: usize,
    features: Vec<Vec<f32>>,
    logits: Vec<Vec<f32>>,
}

const TINY: EfficientNetLiteConfig = EfficientNetLiteConfig { width: 0.2, depth: 0.6, classes: 7 };

/// Values that keep activations in the range where ReLU6 is neither all 0 nor all 6; same rule as in the script.
fn parameter(seed: usize, name: &str, shape: &[usize]) -> Result<Tensor> {
    let count: usize = shape.iter().product();
    let noise = pseudo_random(seed as u32, count); // in [-1, 1)
    let fan_in: usize = shape[1..].iter().product();
    let values: Vec<f32> = match name.rsplit('.').next() {
        Some("running_var") => noise.iter().map(|u| 1.0 + 0.5 * u).collect(),
        Some("weight") if shape.len() == 1 => noise.iter().map(|u| 1.0 + 0.2 * u).collect(),
        Some("weight") => noise.iter().map(|u| u * (6.0 / fan_in as f32).sqrt()).collect(),
        _ => noise.iter().map(|u| 0.2 * u).collect(),
    };
    Tensor::from_vec(values, shape, &Device::Cpu)
}

fn close(got: &Tensor, expected: &[Vec<f32>], tolerance: f32) -> Result<()> {
    let got = got.to_vec2::<f32>()?;
    assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().zip(expected) {
        assert_eq!(got.len(), expected.len());
        let worst = got.iter().zip(expected).map(|(g, e)| (g - e).abs()).fold(0.0, f32::max);
        assert!(worst <= tolerance, "max abs difference {worst}");
    }
    Ok(())
}

/// Pixels `[2, size, size, 3]` in [-1, 1).
fn pixels(size: usize) -> Result<Tensor> {
    Tensor::from_vec(pseudo_random(1_000_003, 2 * size * size * 3), (2, size, size, 3), &Device::Cpu)
}

fn tiny(compute: &Compute) -> Result<(EfficientNetLite, Golden)> {
    let golden: Golden =
        serde_json::from_str(include_str!("../../../tests/goldens/efficientnet_lite_tiny.json")).expect("golden");
    let state = (golden.parameters.iter().enumerate())
        .map(|(seed, (name, shape))| Ok((name.clone(), parameter(seed, name, shape)?)))
        .collect::<Result<HashMap<_, _>>>()?;
    let folded = fold_batch_norms(&TINY, &state)?;
    let weights = VarBuilder::from_tensors(folded, DType::F32, &Device::Cpu);
    let tower = EfficientNetLite::new(&TINY, weights, compute.isa, compute.precision)?;
    Ok((tower, golden))
}

#[test]
fn tiny_tower_agrees_with_pytorch_on_every_path() -> Result<()> {
    for compute in on_every_path(Precision::F32) {
        let (tower, golden) = tiny(&compute)?;
        let features = tower.features(&pixels(golden.size)?)?;
        let first = features.narrow(1, 0, golden.features[0].len())?;
        close(&first, &golden.features, 1e-4)?;
        close(&tower.logits(&features)?, &golden.logits, 1e-4)?;
    }
    Ok(())
}

#[test]
fn a_batch_is_its_pictures_one_by_one() -> Result<()> {
    let (tower, golden) = tiny(&Compute::exact().expect("a processor"))?;
    let pixels = pixels(golden.size)?;
    let batch = tower.features(&pixels)?;
    for i in 0..2 {
        let single = tower.features(&pixels.narrow(0, i, 1)?)?;
        close(&single, &batch.narrow(0, i, 1)?.to_vec2()?, 1e-5)?;
    }
    Ok(())
}

#[test]
fn bf16_points_where_f32_does_on_every_path() -> Result<()> {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    for compute in on_every_path(Precision::Bf16) {
        let (tower, golden) = tiny(&compute)?;
        for (got, expected) in tower.features(&pixels(golden.size)?)?.to_vec2::<f32>()?.iter().zip(&golden.features) {
            let got = &got[..expected.len()];
            let cosine = dot(got, expected) / (dot(got, got) * dot(expected, expected)).sqrt();
            assert!(cosine > 0.999, "{}: cosine {cosine}", compute.isa);
        }
    }
    Ok(())
}

#[test]
fn a_missing_weight_is_named() {
    let message = fold_batch_norms(&TINY, &HashMap::new()).expect_err("no weights").to_string();
    assert!(message.contains("_conv_stem.weight"), "{message}");
}

#[test]
fn lite2_has_the_published_shape() {
    let blocks = EfficientNetLiteConfig::lite2().blocks();
    assert_eq!(blocks.len(), 21);
    let outputs: Vec<_> = blocks.iter().filter(|b| b.input != b.output).map(|b| b.output).collect();
    assert_eq!(outputs, [16, 24, 48, 88, 120, 208, 352]);
}
