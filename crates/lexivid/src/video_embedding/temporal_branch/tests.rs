use super::*;
use crate::{
    frames::FramePixels,
    label_embedding::Calibration,
    models::{Model, load},
    nn::{Compute, Start, Weights, on_every_path, pseudo_random::pseudo_random},
    training::{TemporalStart, additions_start},
    video_embedding::frame_mean,
};
use candle_core::Device;
use lexivid_kernels::Precision;
use serde::Deserialize;
use std::{collections::HashMap, sync::Arc};

const K: usize = 2;
const MODELS: [&str; 2] = ["clip_quick_gelu", "siglip"];

fn tiny(model: &str) -> Arc<dyn Model> {
    load(&format!("{}/tests/fixtures/{model}", env!("CARGO_MANIFEST_DIR")), &Compute::exact().unwrap()).unwrap()
}

/// Made by scripts/goldens/temporal_branch.py.
#[derive(Deserialize)]
struct Golden {
    times: Vec<Vec<f64>>,
    embeddings: HashMap<String, Vec<Vec<f32>>>,
}

fn golden() -> Golden {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/temporal_branch.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The golden's frames of window `number`, and its mean embedding.
fn window(number: usize, times: &[f64], tower: &VitConfig) -> (Vec<FrameFeatures>, Vec<f32>) {
    let shape = (times.len(), K, tower.tokens(), tower.encoder.width);
    let count = times.len() * K * tower.tokens() * tower.encoder.width;
    let states = Tensor::from_vec(pseudo_random(100 + number as u32, count), shape, &Device::Cpu).unwrap();
    let states = states.to_dtype(DType::F16).unwrap();
    let frames = times.iter().enumerate().map(|(t, &time)| FrameFeatures {
        time,
        embedding: Vec::new(),
        blocks: Some(states.get(t).unwrap()),
    });
    let mean = crate::nn::l2_normalised(pseudo_random(200 + number as u32, tower.dimension()));
    (frames.collect(), mean)
}

/// The golden's weights.
fn start() -> Box<Start> {
    Box::new(|name, shape| {
        let seed = name.bytes().map(u32::from).sum();
        Ok(pseudo_random(seed, shape.iter().product()).into_iter().map(|x| 0.3 * x).collect())
    })
}

/// f_v of the golden's windows, `[3, D]`.
fn embed(branch: &TemporalBranch, tower: &Vit, times: &[Vec<f64>]) -> Tensor {
    let windows: Vec<_> = times.iter().enumerate().map(|(i, times)| window(i, times, tower.config())).collect();
    let means: Vec<f32> = windows.iter().flat_map(|(_, mean)| mean.clone()).collect();
    let means = Tensor::from_vec(means, (windows.len(), tower.config().dimension()), &Device::Cpu).unwrap();
    let frames: Vec<Vec<&FrameFeatures>> = windows.iter().map(|(frames, _)| frames.iter().collect()).collect();
    branch.forward(tower, &frames, &means, None).unwrap()
}

const CONFIG: TemporalConfig = TemporalConfig { blocks: K, moments: 3, pairs: 2, drop_path: 0.0 };

/// The same weights to be trained, and as they are frozen.
fn trained_and_frozen(tower: &VitConfig, compute: &Compute) -> (TemporalBranch, Weights, TemporalBranch) {
    let weights = Weights::start(start(), compute);
    let trained = TemporalBranch::load(&weights.root(), &CONFIG, tower).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let tensors: HashMap<_, _> =
        weights.variables().into_iter().map(|(name, variable)| (name, variable.as_tensor().clone())).collect();
    candle_core::safetensors::save(&tensors, dir.path().join("model.safetensors")).unwrap();
    let frozen = TemporalBranch::load(&Weights::open(dir.path(), compute).unwrap().root(), &CONFIG, tower).unwrap();
    (trained, weights, frozen)
}

#[test]
fn agrees_with_numpy_on_every_path() {
    let golden = golden();
    for model in MODELS {
        let model_of = tiny(model);
        let tower = model_of.towers().unwrap().image_tower();
        for (precision, tolerance) in [(Precision::F32, 2e-5), (Precision::Bf16, 2e-2)] {
            for compute in on_every_path(precision) {
                let (trained, _weights, frozen) = trained_and_frozen(tower.config(), &compute);
                for branch in [trained, frozen] {
                    let got = embed(&branch, tower, &golden.times).to_vec2::<f32>().unwrap();
                    for (got, expected) in got.iter().zip(&golden.embeddings[model]) {
                        let worst = got.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                        assert!(worst < tolerance, "{model} {precision} {:?}: {worst}", compute.isa);
                    }
                }
            }
        }
    }
}

/// Pictures of a scene that changes.
fn frames(model: &dyn Model) -> Vec<FrameFeatures> {
    let (height, width) = model.preprocessing().size;
    let pixels = |t: usize| -> FramePixels {
        let picture = image::RgbImage::from_fn(width, height, |x, y| {
            image::Rgb([(40 * t) as u8, (x * 17) as u8, (y * 13 + 5 * t as u32) as u8])
        });
        FramePixels { time: t as f64 * 0.3, ..crate::frames::preprocess(picture, model.preprocessing()) }
    };
    let pixels: Vec<FramePixels> = (0..4).map(pixels).collect();
    model.towers().unwrap().encode_frames_keeping(&pixels, K).unwrap()
}

/// A branch as training begins with it.
fn untrained(model: &dyn Model, config: TemporalConfig) -> (TemporalBranch, Weights) {
    let towers = model.towers().unwrap();
    let temporal =
        TemporalStart { branch: config, config: *towers.image_tower().config(), weights: towers.weights().unwrap() };
    let start = additions_start(1, Calibration { scale: 10.0, bias: -2.0 }, 0.0, Some(temporal));
    let weights = Weights::start(start, &Compute::exact().unwrap());
    let branch =
        TemporalBranch::load(&weights.root().enter("temporal"), &config, towers.image_tower().config()).unwrap();
    (branch, weights)
}

fn mean_of(frames: &[&FrameFeatures]) -> Tensor {
    let mean = frame_mean(frames).0;
    Tensor::from_slice(&mean, (1, mean.len()), &Device::Cpu).unwrap()
}

#[test]
fn before_training_a_video_is_the_mean_over_its_frames() {
    for model in MODELS.map(tiny) {
        let frames = frames(model.as_ref());
        let window: Vec<&FrameFeatures> = frames.iter().collect();
        let (branch, _weights) = untrained(model.as_ref(), CONFIG);
        let tower = model.towers().unwrap().image_tower();
        let mean = mean_of(&window);
        let got = branch.forward(tower, &[window], &mean, None).unwrap();
        assert_eq!(got.to_vec2::<f32>().unwrap(), unit_rows(&mean).unwrap().to_vec2::<f32>().unwrap());
    }
}

#[test]
fn order_is_seen_by_moments_by_pairs_or_by_attention_along_time_and_only_when_the_branch_has_a_say() {
    for model in MODELS.map(tiny) {
        let frames = frames(model.as_ref());
        let mut reversed = frames.clone();
        reversed.reverse();
        for (frame, now) in reversed.iter_mut().zip(&frames) {
            frame.time = now.time;
        }
        let tower = model.towers().unwrap().image_tower();
        let windows = [&frames, &reversed].map(|frames| frames.iter().collect::<Vec<_>>());
        let mean = mean_of(&windows[0]);
        let means = Tensor::cat(&[&mean, &mean], 0).unwrap();
        let apart = |branch: &TemporalBranch| {
            let rows = branch.forward(tower, &windows, &means, None).unwrap().to_vec2::<f32>().unwrap();
            rows[0].iter().zip(&rows[1]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
        };
        let give = |weights: &Weights, ending: &str| {
            for (name, variable) in weights.variables().iter().filter(|(name, _)| name.ends_with(ending)) {
                let values = pseudo_random(name.len() as u32, variable.elem_count());
                variable.set(&Tensor::from_vec(values, variable.shape(), &Device::Cpu).unwrap()).unwrap();
            }
        };

        let forget_time = |weights: &Weights| {
            let variable = &weights.variables()["temporal.time_embedding"];
            variable.set(&variable.zeros_like().unwrap()).unwrap();
        };

        for config in [TemporalConfig { pairs: 0, ..CONFIG }, TemporalConfig { moments: 0, ..CONFIG }] {
            let (branch, weights) = untrained(model.as_ref(), config);
            assert!(apart(&branch) < 1e-6, "the gate is at 0");
            give(&weights, "temporal.output.weight");
            forget_time(&weights);
            assert!(apart(&branch) > 1e-3, "{config:?} alone");
        }

        let (branch, weights) = untrained(model.as_ref(), TemporalConfig { moments: 0, pairs: 0, ..CONFIG });
        give(&weights, "temporal.output.weight");
        give(&weights, "time.self_attn.out_proj.weight");
        assert!(apart(&branch) > 1e-4, "attention and the time embedding");
        forget_time(&weights);
        assert!(apart(&branch) < 1e-5, "neither");

        let dropped = branch.forward(tower, &windows, &means, Some(&[0.0, 2.0])).unwrap().to_vec2::<f32>().unwrap();
        let mean = mean.to_vec2::<f32>().unwrap();
        assert!(dropped[0].iter().zip(&mean[0]).all(|(a, b)| (a - b).abs() < 1e-6), "without the branch");
        assert!(dropped[1].iter().zip(&mean[0]).any(|(a, b)| (a - b).abs() > 1e-3));
    }
}

/// Central differences of a loss that every number of the embeddings has a part in.
#[test]
fn gradients_agree_with_finite_differences() {
    let golden = golden();
    for model in MODELS {
        let model = tiny(model);
        let tower = model.towers().unwrap().image_tower();
        let weights = Weights::start(start(), &Compute::exact().unwrap());
        let branch = TemporalBranch::load(&weights.root(), &CONFIG, tower.config()).unwrap();
        let loss = || {
            let embedded = embed(&branch, tower, &golden.times);
            let factors = pseudo_random(3, embedded.elem_count());
            let factors = Tensor::from_vec(factors, embedded.shape(), &Device::Cpu).unwrap();
            (embedded * factors).unwrap().sum_all().unwrap()
        };
        let store = loss().backward().unwrap();
        for (name, variable) in weights.variables() {
            let gradient = store.get(&variable).unwrap_or_else(|| panic!("{name} has no gradient")).clone();
            let length = gradient.sqr().unwrap().sum_all().unwrap().sqrt().unwrap().to_scalar::<f32>().unwrap();
            if length < 1e-4 {
                // Nothing to see in f32: a bias of keys shifts all scores of a query alike.
                assert!(name.contains("k_proj.bias"), "{name}: {length}");
                continue;
            }
            // Along the gradient, where the difference is largest.
            let step = 2e-3 / f64::from(length);
            let start = variable.as_tensor().copy().unwrap().detach();
            let at = |factor: f64| {
                variable.set(&(&start + (&gradient * factor).unwrap()).unwrap()).unwrap();
                f64::from(loss().to_scalar::<f32>().unwrap())
            };
            let difference = (at(step) - at(-step)) / (2.0 * step);
            variable.set(&start).unwrap();
            let expected = f64::from(length * length);
            assert!((difference - expected).abs() < 3e-2 * expected + 2e-7 / step, "{name}: {difference} {expected}");
        }
    }
}

#[test]
fn frames_without_the_states_it_needs_are_told() {
    let model = tiny(MODELS[0]);
    let frames = frames(model.as_ref());
    let (branch, _weights) = untrained(model.as_ref(), CONFIG);
    let tower = model.towers().unwrap().image_tower();
    let said = |frames: &[FrameFeatures]| {
        let window: Vec<&FrameFeatures> = frames.iter().collect();
        let mean = mean_of(&window);
        branch.forward(tower, &[window], &mean, None).unwrap_err().to_string()
    };
    let without: Vec<_> = frames.iter().cloned().map(|frame| FrameFeatures { blocks: None, ..frame }).collect();
    assert!(said(&without).contains("got none"));
    let fewer: Vec<_> = (frames.iter().cloned())
        .map(|frame| FrameFeatures { blocks: frame.blocks.map(|b| b.narrow(0, 0, 1).unwrap()), ..frame })
        .collect();
    assert!(said(&fewer).contains("expected the states of 2 blocks"));
}
