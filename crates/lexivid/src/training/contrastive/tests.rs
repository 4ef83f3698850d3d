use super::*;
use crate::training::{Finished, run};
use std::ops::ControlFlow;

/// Squares of four colours: a world small enough to be learned in seconds.
struct Colours;

const COLOURS: [(&str, [u8; 3]); 4] =
    [("red", [220, 30, 30]), ("green", [30, 200, 40]), ("blue", [30, 40, 220]), ("white", [240, 240, 240])];

fn picture(colour: usize, shade: u64, side: u32) -> Vec<u8> {
    let shade = (shade % 25) as u8;
    COLOURS[colour].1.map(|c| c.saturating_sub(shade)).repeat((side * side) as usize)
}

impl Pictures for Colours {
    fn texts(&self) -> Vec<String> {
        self.names().iter().flat_map(prompts).collect()
    }

    fn batch(&self, step: u64, size: usize, side: u32) -> Batch {
        let colours = (0..size).map(|i| (i + step as usize) % COLOURS.len());
        Batch {
            pictures: colours.clone().map(|c| picture(c, step * 7, side)).collect(),
            captions: colours.map(|c| format!("a photo of {}.", COLOURS[c].0)).collect(),
            also: (0..size)
                .flat_map(|i| (0..size).filter(move |j| i != *j && i % 4 == j % 4).map(move |j| (i, j)))
                .collect(),
        }
    }

    fn names(&self) -> Vec<Label> {
        COLOURS.map(|(name, _)| Label::new(name)).to_vec()
    }

    fn validation(&self, side: u32) -> Vec<(Vec<u8>, usize)> {
        (0..COLOURS.len()).map(|colour| (picture(colour, 24, side), colour)).collect()
    }
}

fn config() -> PretrainConfig {
    let tower = json!({"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2});
    let mut model = json!({"projection_dim": 8, "text_config": tower, "vision_config": tower});
    model["vision_config"]["image_size"] = json!(8);
    model["vision_config"]["patch_size"] = json!(4);
    PretrainConfig {
        seed: 3,
        batch: 8,
        precision: TrainingPrecision::F32,
        vocabulary: 300,
        model: model.as_object().unwrap().clone(),
        preprocessor: json!({"size": {"height": 8, "width": 8}, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}),
        card: "# Colours".into(),
        plan: plan(40),
    }
}

fn plan(steps: u64) -> Plan {
    let text = format!("steps = {steps}\nwarm_up = 2\nvalidate_every = 10\noptimizer = {{ rate = 0.01 }}");
    toml::from_str(&text).unwrap()
}

#[test]
fn four_colours_are_learned_and_the_model_loads() {
    let out = tempfile::tempdir().unwrap();
    let mut task = Pretraining::new(config(), &Colours).unwrap();
    let before = task.validate().unwrap()[0].1;
    let mut losses = Vec::new();
    let finished = run(&mut task, &plan(40), "c", out.path(), false, &mut |status| {
        losses.push(status.loss);
        ControlFlow::Continue(())
    });
    let Finished::Trained { model: dir, .. } = finished.unwrap() else { panic!("not interrupted") };
    let after = task.validate().unwrap()[0].1;
    assert!(after == 1.0 && before < 1.0, "top-1 {before} -> {after}, loss {losses:?}");

    let compute = Compute::exact().unwrap();
    let model = crate::models::load(dir.to_str().unwrap(), &compute).unwrap();
    assert!(model.about().card.contains("top-1: 1.000"), "{}", model.about().card);
    // What was trained is what was saved, but for f16.
    let sentences = ["a photo of red.".to_owned()];
    let trained = task.read(&sentences).unwrap().to_vec2::<f32>().unwrap().concat();
    let saved = model.encode_texts(&sentences).unwrap().concat();
    assert!(trained.iter().zip(&saved).all(|(a, b)| (a - b).abs() < 5e-3), "{trained:?} {saved:?}");
}

#[test]
fn halves_give_the_gradients_of_the_whole() {
    let mut task = Pretraining::new(config(), &Colours).unwrap();
    let got = task.gradients(5).unwrap();
    let batch = Colours.batch(5, 8, 8);
    let scale = task.towers.logit_scale.exp().unwrap();
    let (seen, read) = (task.see(&batch.pictures).unwrap(), task.read(&batch.captions).unwrap());
    let loss = info_nce(&seen, &read, &scale, &batch.also).unwrap();
    let store = loss.backward().unwrap();
    // Logits are the scale times cosines, whose rounding depends on how many rows a product has: a few of these roundings.
    let (loss, scale) = (loss.to_scalar::<f32>().unwrap(), scale.to_scalar::<f32>().unwrap());
    let apart = (got.loss - f64::from(loss)).abs();
    assert!(apart < f64::from(4.0 * scale * f32::EPSILON), "{} in halves, {loss} as a whole", got.loss);
    let whole = Gradients::collect(0.0, &task.variables, &store).unwrap();
    for ((name, a), b) in task.variables.keys().zip(&got.of).zip(&whole.of) {
        // A bias of the keys shifts all scores of a query alike: its gradient is 0, but for rounding.
        if name.ends_with("k_proj.bias") {
            continue;
        }
        let apart = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let size = b.iter().map(|x| x.abs()).fold(0.0, f32::max);
        assert!(apart <= 1e-4 * size + 1e-7, "{name}: {apart} of {size}");
    }
}

#[test]
fn a_resumed_run_gives_the_same_weights_bit_for_bit() {
    let weights = |task: &Pretraining| -> Vec<Vec<u32>> {
        let bits = |v: &Var| v.flatten_all().unwrap().to_vec1::<f32>().unwrap().iter().map(|x| x.to_bits()).collect();
        task.variables.values().map(bits).collect()
    };
    let (whole, halved) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut straight = Pretraining::new(config(), &Colours).unwrap();
    run(&mut straight, &plan(12), "c", whole.path(), false, &mut |_| ControlFlow::Continue(())).unwrap();

    let mut first = Pretraining::new(config(), &Colours).unwrap();
    let stop = &mut |status: &crate::training::Status| match status.step {
        5 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let stopped = run(&mut first, &plan(12), "c", halved.path(), false, stop).unwrap();
    assert!(matches!(stopped, Finished::Interrupted(at) if at.step == 5));
    // A new process knows nothing of the first.
    let mut second = Pretraining::new(config(), &Colours).unwrap();
    assert!(matches!(
        run(&mut second, &plan(12), "other", halved.path(), true, &mut |_| ControlFlow::Continue(())),
        Err(TrainingError::OtherRun { .. })
    ));
    assert!(matches!(
        run(&mut second, &plan(12), "c", halved.path(), false, &mut |_| ControlFlow::Continue(())),
        Err(TrainingError::RunExists { step: 5, .. })
    ));
    run(&mut second, &plan(12), "c", halved.path(), true, &mut |_| ControlFlow::Continue(())).unwrap();
    assert!(weights(&straight) == weights(&second));

    let csv = std::fs::read_to_string(halved.path().join("metrics.csv")).unwrap();
    let steps: Vec<&str> = csv.lines().filter(|l| l.contains(",loss,")).map(|l| l.split(',').next().unwrap()).collect();
    assert_eq!(steps, (1..=12).map(|i| i.to_string()).collect::<Vec<_>>());
}

#[test]
fn what_is_not_finite_stops_the_run_and_names_the_last_checkpoint() {
    let out = tempfile::tempdir().unwrap();
    let mut task = Pretraining::new(config(), &Colours).unwrap();
    let stop = &mut |status: &crate::training::Status| match status.step {
        3 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    run(&mut task, &plan(9), "c", out.path(), false, stop).unwrap();
    let mut task = Pretraining::new(config(), &Colours).unwrap();
    // Breaks a weight before the next step.
    let broken = task.variables["logit_scale"].clone();
    let observe = &mut |_: &crate::training::Status| {
        broken.set(&Tensor::new(f32::NAN, &Device::Cpu).unwrap()).unwrap();
        ControlFlow::Continue(())
    };
    let error = run(&mut task, &plan(9), "c", out.path(), true, observe).unwrap_err();
    assert!(matches!(&error, TrainingError::NotFinite { step: 4, checkpoint: Some(_), .. }), "{error}");
    assert!(error.to_string().contains("step-00000003"), "{error}");
}
