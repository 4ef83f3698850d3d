use super::*;
use crate::nn::{Compute, on_every_path, pseudo_random::pseudo_random};
use candle_core::{DType, Device};
use serde::Deserialize;
use std::collections::HashMap;

/// What PyTorch answers; scripts/goldens/i3d.py.
#[derive(Deserialize)]
struct Golden {
    /// Arrays of the checkpoint: name -> shape. Values are pseudo-random, seeded by the position in the list.
    parameters: Vec<(String, Vec<usize>)>,
    size: [usize; 3],
    features: Vec<Vec<f32>>,
    logits: Vec<Vec<f32>>,
}

const TINY: I3dConfig = I3dConfig { divide: 8, classes: 7 };

/// Values that keep activations of one size from layer to layer; same rule as in the script.
fn parameter(seed: usize, name: &str, shape: &[usize]) -> Result<Tensor> {
    let noise = pseudo_random(seed as u32, shape.iter().product()); // in [-1, 1)
    let values: Vec<f32> = match name.rsplit('/').next() {
        Some("kernel") => {
            let fan_in: usize = shape[..shape.len() - 1].iter().product();
            noise.iter().map(|u| u * (6.0 / fan_in as f32).sqrt()).collect()
        }
        Some("var") => noise.iter().map(|u| 1.0 + 0.5 * u).collect(),
        _ => noise.iter().map(|u| 0.2 * u).collect(),
    };
    Tensor::from_vec(values, shape, &Device::Cpu)
}

fn arrays(golden: &Golden) -> Result<HashMap<String, Tensor>> {
    (golden.parameters.iter().enumerate())
        .map(|(seed, (name, shape))| Ok((name.clone(), parameter(seed, name, shape)?)))
        .collect()
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../../../tests/goldens/i3d_tiny.json")).expect("golden")
}

fn tiny(compute: &Compute) -> Result<(I3d, Golden)> {
    let golden = golden();
    let weights = VarBuilder::from_tensors(fold_batch_norms(&TINY, &arrays(&golden)?)?, DType::F32, &Device::Cpu);
    Ok((I3d::new(&TINY, weights, compute.isa, compute.precision)?, golden))
}

/// Two, `[2, T, H, W, 3]`.
fn clips([t, h, w]: [usize; 3]) -> Result<Tensor> {
    Tensor::from_vec(pseudo_random(1_000_003, 2 * t * h * w * 3), (2, t, h, w, 3), &Device::Cpu)
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

#[test]
fn tiny_network_agrees_with_pytorch_on_every_path() -> Result<()> {
    for compute in on_every_path(Precision::F32) {
        let (network, golden) = tiny(&compute)?;
        let features = network.features(&clips(golden.size)?)?;
        close(&features, &golden.features, 1e-4)?;
        close(&network.logits(&features)?, &golden.logits, 1e-4)?;
    }
    Ok(())
}

#[test]
fn bf16_points_where_f32_does_on_every_path() -> Result<()> {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    for compute in on_every_path(Precision::Bf16) {
        let (network, golden) = tiny(&compute)?;
        for (got, expected) in network.features(&clips(golden.size)?)?.to_vec2::<f32>()?.iter().zip(&golden.features) {
            let cosine = dot(got, expected) / (dot(got, got) * dot(expected, expected)).sqrt();
            assert!(cosine > 0.999, "{}: cosine {cosine}", compute.isa);
        }
    }
    Ok(())
}

#[test]
fn a_batch_is_its_clips_one_by_one() -> Result<()> {
    let (network, golden) = tiny(&Compute::exact().expect("a processor"))?;
    let clips = clips(golden.size)?;
    let batch = network.features(&clips)?;
    for i in 0..2 {
        let single = network.features(&clips.narrow(0, i, 1)?)?;
        close(&single, &batch.narrow(0, i, 1)?.to_vec2()?, 1e-5)?;
    }
    Ok(())
}

#[test]
fn parts_lie_along_the_longer_side() -> Result<()> {
    let (network, _) = tiny(&Compute::exact().expect("a processor"))?;
    let mean = |x: &Tensor| -> Result<Vec<f32>> { x.mean(0)?.to_vec1() };
    for (size, at) in [([9, 96, 288], 2), ([9, 288, 96], 1)] {
        let clip = clips(size)?.get(0)?; // last layer 3 x 9: three parts that do not overlap
        let parts = network.part_features(&clip)?;
        assert_eq!(parts.dims(), [3, 128]);
        close(
            &Tensor::new(mean(&parts)?, &Device::Cpu)?.unsqueeze(0)?,
            &network.features(&clip.unsqueeze(0)?)?.to_vec2()?,
            1e-5,
        )?;
        // What is changed at the end changes the last part most.
        let black = clip.narrow(at, 0, 240)?.pad_with_zeros(at, 0, 48)?;
        let change = (network.part_features(&black)? - &parts)?.sqr()?.sum(1)?.to_vec1::<f32>()?;
        assert!(change[2] > 10.0 * change[1] && change[2] > 10.0 * change[0], "{change:?}");
    }
    let square = clips([9, 64, 64])?.get(0)?;
    close(&network.part_features(&square)?, &network.features(&square.unsqueeze(0)?)?.to_vec2()?, 0.0)
}

#[test]
fn clips_that_are_too_short_are_refused() -> Result<()> {
    let (network, _) = tiny(&Compute::exact().expect("a processor"))?;
    let message = network.features(&clips([8, 32, 32])?).expect_err("8 frames").to_string();
    assert!(message.contains("[2, 8, 32, 32, 3]"), "{message}");
    assert_eq!(network.features(&clips([9, 32, 32])?)?.dims(), [2, 128]);
    Ok(())
}

#[test]
fn what_is_missing_or_of_another_shape_is_named() -> Result<()> {
    let mut arrays = arrays(&golden())?;
    let name = "params/Mixed_4c/Branch_1/Conv3d_0b_3x3/Conv_0/kernel";
    let kernel = arrays.remove(name).expect("is there");
    let message = fold_batch_norms(&TINY, &arrays).expect_err("no kernel").to_string();
    assert!(message.contains(name), "{message}");
    arrays.insert(name.into(), kernel.flatten_all()?);
    let message = fold_batch_norms(&TINY, &arrays).expect_err("a flat kernel").to_string();
    assert!(message.contains("expected shape [3, 3, 3, 14, 28], got [10584]"), "{message}");
    Ok(())
}

#[test]
fn has_the_published_shape() {
    let units = I3dConfig::kinetics_400().units();
    assert_eq!(units.len(), 57);
    let last = units.last().expect("units");
    assert_eq!((last.input, last.output), (832, 128));
    // Of the checkpoint's kernels, without the classifier.
    let weights: usize =
        units.iter().map(|unit| unit.kernel.iter().product::<usize>() * unit.input * unit.output).sum();
    assert_eq!(weights, 12_272_704);
}
