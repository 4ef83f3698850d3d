use super::*;
use crate::{
    features::{ClipFeatures, FrameFeatures},
    frames::{FramePixels, Preprocessing},
    label::Label,
    label_embedding::{LabelEmbedding, LabelEncoderConfig, Prompts},
    models::{About, DualEncoder, HeadsConfig, load},
    nn::ResidualConfig,
    soft_attributes::{PromptingConfig, Reader},
    training::{Finished, TrainingPrecision, run},
    video_embedding::VideoEmbedding,
};
use image::{Rgb, RgbImage};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/clip_quick_gelu");

/// Counts how many frames it is shown.
struct Counting(Arc<dyn Model>, AtomicUsize);

impl Model for Counting {
    fn about(&self) -> &About {
        self.0.about()
    }

    fn preprocessing(&self) -> &Preprocessing {
        self.0.preprocessing()
    }

    fn dimension(&self) -> usize {
        self.0.dimension()
    }

    fn encode_frames(&self, frames: &[FramePixels]) -> Result<Vec<FrameFeatures>, ModelError> {
        self.1.fetch_add(frames.len(), Ordering::Relaxed);
        self.0.encode_frames(frames)
    }

    fn encode_window(&self, frames: &[&FrameFeatures], clips: &[&ClipFeatures]) -> Result<VideoEmbedding, ModelError> {
        self.0.encode_window(frames, clips)
    }

    fn encode_labels(&self, labels: &[Label]) -> Result<Vec<LabelEmbedding>, ModelError> {
        self.0.encode_labels(labels)
    }

    fn encode_texts(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, ModelError> {
        self.0.encode_texts(texts)
    }

    fn towers(&self) -> Result<&DualEncoder, ModelError> {
        self.0.towers()
    }
}

fn model() -> Counting {
    Counting(load(TINY, &Compute::exact().unwrap()).unwrap(), AtomicUsize::new(0))
}

/// Reddish and bluish pictures; "warm" is a label of the red ones, of which nobody says anything for half of the others.
fn world(dir: &Path) -> FinetuneConfig {
    let mut lines = Vec::new();
    for (split, count) in [("train", 12), ("val", 6)] {
        for i in 0..count {
            let red = i % 2 == 0;
            let name = format!("{split}{i}.png");
            let shade = 30 + 9 * i as u8;
            let colour = if red { [220, shade, 40] } else { [30, shade, 210] };
            RgbImage::from_pixel(16, 16, Rgb(colour)).save(dir.join(&name)).unwrap();
            let positives = if red { r#"["red", "warm"]"# } else { r#"["blue"]"# };
            let unknown = if i % 4 == 1 { r#"["warm"]"# } else { "[]" };
            lines.push(format!(
                r#"{{"video": "{name}", "positives": {positives}, "unknown": {unknown}, "negatives": "*", "split": "{split}"}}"#
            ));
        }
    }
    lines.push(r#"{"video": "missing.png", "positives": ["red"], "negatives": "*", "split": "train"}"#.into());
    fs::write(dir.join("manifest.jsonl"), lines.join("\n")).unwrap();
    let vocabulary = r#"[{"name": "red", "seen": true}, {"name": "blue", "seen": true}, {"name": "warm"}, {"name": "azure", "seen": false}]"#;
    fs::write(dir.join("vocabulary.json"), vocabulary).unwrap();
    let head = Some(ResidualConfig { hidden: 16, scale: 0.5 });
    FinetuneConfig {
        seed: 1,
        model: TINY.into(),
        precision: TrainingPrecision::F32,
        manifest: "manifest.jsonl".into(),
        labels: "vocabulary.json".into(),
        train: "train".into(),
        validation: "val".into(),
        frames: 1,
        batch: 6,
        accumulate: 2,
        loss: LossConfig::Bce,
        action_weight: 1.0,
        heads: HeadsConfig { video: head, label: head },
        temporal: None,
        prompts: Prompts::default(),
        label_encoder: None,
        labels_a_step: None,
        grounding: None,
        synthetic: None,
        regularization: RegularizationConfig::default(),
        plan: toml::from_str("steps = 60\noptimizer = { rate = 0.03 }").unwrap(),
    }
    .beside(dir)
}

fn begin<'a>(
    config: FinetuneConfig,
    model: &'a dyn Model,
    dir: &Path,
) -> (Result<Finetuning<'a>, TrainingError>, usize) {
    let mut failed = 0;
    let cache = dir.join("cache");
    let task = Finetuning::new(config, model, &cache, &mut |_| failed += 1, &mut |_| ControlFlow::Continue(()));
    (task, failed)
}

fn probability_logits(task: &Finetuning, split: &Split) -> Vec<Vec<f32>> {
    let all: Vec<u32> = (0..split.truths.examples() as u32).collect();
    let (videos, _) = task.videos(split, &all, None).unwrap();
    task.logits(&videos, &task.all_labels().unwrap()).unwrap().to_vec2().unwrap()
}

#[test]
fn colours_are_learned_by_heads_and_the_checkpoint_classifies_as_trained() {
    let dir = tempfile::tempdir().unwrap();
    learns_colours(world(dir.path()), dir.path());
}

#[test]
fn colours_are_learned_through_a_temporal_branch_and_the_checkpoint_classifies_as_trained() {
    for drop_path in [0.0, 0.2] {
        let dir = tempfile::tempdir().unwrap();
        let config = world(dir.path());
        let heads = HeadsConfig { video: None, ..config.heads };
        let temporal = Some(TemporalConfig { blocks: 2, moments: 8, pairs: 4, drop_path });
        learns_colours(FinetuneConfig { heads, temporal, ..config }, dir.path());
    }
}

#[test]
fn colours_are_learned_from_the_template_ensemble_and_the_checkpoint_classifies_as_trained() {
    let dir = tempfile::tempdir().unwrap();
    learns_colours(FinetuneConfig { prompts: Prompts::Ensemble, ..world(dir.path()) }, dir.path());
}

#[test]
fn colours_are_learned_by_every_label_encoder_and_the_checkpoint_classifies_as_trained() {
    let prompting = PromptingConfig { blocks: 2, width: 16, heads: 2 };
    for reader in [Reader::Prompting(prompting), Reader::Pooled { width: 16 }, Reader::Shared] {
        for prefixes in [0, 2] {
            let dir = tempfile::tempdir().unwrap();
            let config = world(dir.path());
            let label_encoder = Some(LabelEncoderConfig {
                language_model: concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/llama_tiny.gguf").into(),
                layers: None,
                prefixes,
                attributes: 3,
                reader,
            });
            let words = dir.path().join("words.txt");
            fs::write(&words, "red\nblue\nsquare\n").unwrap();
            let grounding = Some(GroundingConfig { words, batch: 2, weight: 0.1, nameless: 0.3, strangers: 0.2 });
            let heads = HeadsConfig { label: None, ..config.heads };
            learns_colours(FinetuneConfig { label_encoder, grounding, heads, ..config }, dir.path());
        }
    }
}

/// Before training it says what the frozen model says, after it what is right, and once loaded what it said when it was saved.
fn learns_colours(config: FinetuneConfig, dir: &Path) {
    let model = model();
    let (task, failed) = begin(config.clone(), &model, dir);
    let mut task = task.unwrap();
    assert_eq!((failed, task.trained_labels()), (1, 3), "one video is missing; azure is never trained on");

    let labels = match config.prompts.are_own() {
        true => model.encode_labels(&task.vocabulary.labels()[..]).unwrap().into_iter().map(|l| l.vector).collect(),
        false => task.texts.plain.to_vec2::<f32>().unwrap(),
    };
    let before = probability_logits(&task, &task.train);
    let videos = task.train.videos.to_vec2::<f32>().unwrap();
    for (logits, video) in before.iter().zip(&videos) {
        for (logit, label) in logits.iter().zip(&labels) {
            let s: f32 = label.iter().zip(video).map(|(l, v)| l * v).sum();
            let number = |x: &Tensor| x.to_scalar::<f32>().unwrap();
            let expected = number(&task.additions.log_scale).exp() * s + number(&task.additions.bias);
            assert!((logit - expected).abs() < 1e-3);
        }
    }

    let fitted = ["log_scale", "bias"].map(|name| task.variables[name].as_tensor().copy().unwrap());
    let Calibration { scale, bias } = model.encode_labels(&[Label::new("red")]).unwrap()[0].calibration;
    for (name, own) in [("log_scale", scale.ln()), ("bias", bias)] {
        task.variables[name].set(&Tensor::new(own, &Device::Cpu).unwrap()).unwrap();
    }
    let unfitted = task.gradients(0).unwrap().loss;
    for (name, fitted) in ["log_scale", "bias"].iter().zip(fitted) {
        task.variables[*name].set(&fitted).unwrap();
    }

    let plan = config.plan.clone();
    let mut losses = Vec::new();
    let finished = run(&mut task, &plan, "c", &dir.join("run"), false, &mut |status| {
        losses.push(status.loss);
        ControlFlow::Continue(())
    });
    let Finished::Trained { model: trained, .. } = finished.unwrap() else { panic!("not interrupted") };
    // Labels that are disturbed in training keep some loss: compared is where the frozen model's own scale and bias would have begun.
    let begun = if config.grounding.is_some() { unfitted } else { losses[0] };
    assert!(losses[59] < 0.3 * begun, "{begun}: {losses:?}");
    let validated: HashMap<String, f64> = task.validated.iter().cloned().collect();
    assert!(validated["mAP"] > 0.99, "{validated:?}");

    // What is saved says what was trained.
    let saved = load(trained.to_str().unwrap(), &Compute::exact().unwrap()).unwrap();
    let labels = saved.encode_labels(&task.vocabulary.labels()[..]).unwrap();
    let mut frames = FeatureCache::new(&model, 1, &dir.join("cache")).unwrap();
    if let Some(temporal) = config.temporal {
        frames = frames.keeping_blocks(temporal.blocks);
    }
    let manifest = Manifest::read(&config.manifest).unwrap().of_split("val").unwrap();
    let expected = probability_logits(&task, &task.validation);
    for (example, expected) in manifest.examples().iter().zip(expected) {
        let seen = frames.get(&manifest, example, &mut || ControlFlow::Continue(())).unwrap();
        let video = saved.encode_window(&seen.iter().collect::<Vec<_>>(), &[]).unwrap();
        for (label, logit) in labels.iter().zip(expected) {
            let s: f32 = label.vector.iter().zip(&video.0).map(|(l, v)| l * v).sum();
            let got = label.calibration.probability(s);
            let expected = 1.0 / (1.0 + (-logit).exp());
            assert!((got - expected).abs() < 1e-4, "{got} {expected}");
        }
    }
    let other = fs::read_to_string(trained.join("config.json"))
        .unwrap()
        .replace(&model.about().fingerprint, "0123456789abcdef");
    fs::write(trained.join("config.json"), other).unwrap();
    let error = load(trained.to_str().unwrap(), &Compute::exact().unwrap()).err().unwrap().to_string();
    assert!(error.contains("fingerprint 0123456789abcdef"), "{error}");
}

/// "crimson" is in no manifest: what is learned of it comes from the review file.
#[test]
fn a_kept_proposal_is_learned_from_the_label_that_it_was_made_for() {
    let dir = tempfile::tempdir().unwrap();
    let review = dir.path().join("review.csv");
    let rows = "keep,name,relation,labels,video,start,end,score,nearest,similarity,why,said,endpoint,model\n\
                true,crimson,paraphrase,red,,,,,,,,,,\n\
                false,navy,paraphrase,blue,,,,,,,,,,\n";
    fs::write(&review, rows).unwrap();
    let model = model();
    let config = FinetuneConfig { synthetic: Some(SyntheticConfig { review, weight: 1.0 }), ..world(dir.path()) };
    let mut task = begin(config.clone(), &model, dir.path()).0.unwrap();
    assert_eq!(task.trained_labels(), 4);
    let out = dir.path().join("run");
    let finished = run(&mut task, &config.plan, "c", &out, false, &mut |_| ControlFlow::Continue(())).unwrap();
    let Finished::Trained { model: trained, .. } = finished else { panic!("not interrupted") };
    let saved = load(trained.to_str().unwrap(), &Compute::exact().unwrap()).unwrap();
    let crimson = saved.encode_labels(&[Label::new("crimson")]).unwrap().swap_remove(0);
    let all: Vec<u32> = (0..task.validation.truths.examples() as u32).collect();
    let videos = task.videos(&task.validation, &all, None).unwrap().0.to_vec2::<f32>().unwrap();
    for (video, truths) in videos.iter().zip(task.validation.truths.rows()) {
        let s: f32 = crimson.vector.iter().zip(video).map(|(l, v)| l * v).sum();
        assert_eq!(crimson.calibration.probability(s) > 0.5, truths[0] == Truth::Positive);
    }
}

#[test]
fn features_are_computed_once_and_belong_to_model_frames_and_content() {
    let dir = tempfile::tempdir().unwrap();
    let config = world(dir.path());
    let model = model();
    let shown = |config: &FinetuneConfig| {
        let before = model.1.load(Ordering::Relaxed);
        begin(config.clone(), &model, dir.path()).0.unwrap();
        model.1.load(Ordering::Relaxed) - before
    };
    // The six pictures of val are also in train, under other names.
    assert_eq!(shown(&config), 12);
    assert_eq!(shown(&config), 0);
    // Another picture under an old name is another picture.
    RgbImage::from_pixel(16, 16, Rgb([9, 9, 9])).save(dir.path().join("train1.png")).unwrap();
    assert_eq!(shown(&config), 1);
    assert_eq!(shown(&FinetuneConfig { frames: 2, ..config.clone() }), 13);
    // A damaged entry is computed anew.
    for entry in fs::read_dir(dir.path().join("cache")).unwrap() {
        fs::write(entry.unwrap().path(), "damaged").unwrap();
    }
    assert_eq!(shown(&config), 13);
}

#[test]
fn what_cannot_be_learned_from_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let config = world(dir.path());
    let model = model();
    let error = |config: FinetuneConfig| begin(config, &model, dir.path()).0.err().unwrap().to_string();
    assert!(error(FinetuneConfig { train: "nowhere".into(), ..config.clone() }).contains("nowhere"));
    assert!(error(FinetuneConfig { labels_a_step: Some(0), ..config.clone() }).contains("labels_a_step"));
    let grounding = GroundingConfig { words: "words.txt".into(), batch: 1, weight: 1.0, nameless: 0.0, strangers: 0.0 };
    assert!(error(FinetuneConfig { grounding: Some(grounding), ..config.clone() }).contains("[label_encoder]"));
    for (attributes, heads, said) in [(0, 2, "attribute"), (1, 0, "heads"), (1, 3, "heads")] {
        let label_encoder = Some(LabelEncoderConfig {
            language_model: "starter".into(),
            layers: None,
            prefixes: 0,
            attributes,
            reader: Reader::Prompting(PromptingConfig { blocks: 1, width: 16, heads }),
        });
        assert!(error(FinetuneConfig { label_encoder, ..config.clone() }).contains(said));
    }
    for (blocks, drop_path, said) in [(0, 0.0, "1 block"), (3, 0.0, "the 2 blocks"), (1, 1.0, "drop_path")] {
        let temporal = Some(TemporalConfig { blocks, moments: 8, pairs: 4, drop_path });
        assert!(error(FinetuneConfig { temporal, ..config.clone() }).contains(said));
    }
    assert!(error(FinetuneConfig { action_weight: -1.0, ..config.clone() }).contains("at least 0, got -1"));
    let synthetic = Some(SyntheticConfig { review: "review.csv".into(), weight: -1.0 });
    assert!(error(FinetuneConfig { synthetic, ..config.clone() }).contains("at least 0, got -1"));
    let unseen = r#"[{"name": "red", "seen": false}, {"name": "blue", "seen": false}]"#;
    fs::write(dir.path().join("vocabulary.json"), unseen).unwrap();
    assert!(error(config).contains("a label that is there in some example"));
}

#[test]
fn a_rate_of_its_own_for_nothing_is_a_mistake() {
    let dir = tempfile::tempdir().unwrap();
    let (mut config, model) = (world(dir.path()), model());
    config.plan = toml::from_str("steps = 1\noptimizer = { rates = { label_encodre = 0.2 } }").unwrap();
    let mut task = begin(config.clone(), &model, dir.path()).0.unwrap();
    let out = dir.path().join("run");
    let error = run(&mut task, &config.plan, "c", &out, false, &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert!(error.to_string().contains("label_encodre"), "{error}");
}

#[test]
fn actions_count_as_often_as_they_are_said_to_and_things_once() {
    let dir = tempfile::tempdir().unwrap();
    let (config, model) = (world(dir.path()), model());
    let vocabulary = r#"[{"name": "red", "kind": "action"}, {"name": "blue", "kind": "entity"}]"#;
    fs::write(dir.path().join("vocabulary.json"), vocabulary).unwrap();
    let loss = |action_weight: f32| {
        let (task, _) = begin(FinetuneConfig { action_weight, ..config.clone() }, &model, dir.path());
        task.unwrap().gradients(0).unwrap().loss
    };
    let (things, both) = (loss(0.0), loss(1.0));
    assert!(things > 0.0 && both > things);
    assert!((loss(3.0) - (things + 3.0 * (both - things))).abs() < 1e-5);
}

#[test]
fn a_step_has_labels_of_every_kind_and_they_stand_for_all_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let (config, model) = (world(dir.path()), model());
    let vocabulary = r#"[{"name": "red", "kind": "action"}, {"name": "blue"}, {"name": "warm", "kind": "entity"}]"#;
    fs::write(dir.path().join("vocabulary.json"), vocabulary).unwrap();
    let (task, _) = begin(FinetuneConfig { labels_a_step: Some(1), ..config }, &model, dir.path());
    let task = task.unwrap();
    let mut drawn = [0; 3];
    for step in 0..50 {
        let (labels, stand_for) = task.labels_of_step(&mut random(1, "test", step));
        assert_eq!((labels.len(), stand_for), (2, vec![2.0, 1.0]));
        labels.iter().for_each(|&label| drawn[label as usize] += 1);
    }
    assert_eq!(drawn[0], 50, "the only action is in every step");
    assert!(drawn[1] > 10 && drawn[2] > 10, "{drawn:?}");
}

#[test]
fn only_words_are_disturbed() {
    let dir = tempfile::tempdir().unwrap();
    let (config, model) = (world(dir.path()), model());
    let words = dir.path().join("words.txt");
    fs::write(&words, "red\nsquare\n").unwrap();
    let label_encoder = Some(LabelEncoderConfig {
        language_model: String::new(),
        layers: None,
        prefixes: 0,
        attributes: 3,
        reader: Reader::Shared,
    });
    let grounding = Some(GroundingConfig { words, batch: 2, weight: 1.0, nameless: 1.0, strangers: 1.0 });
    let (task, _) = begin(FinetuneConfig { label_encoder, grounding, ..config }, &model, dir.path());
    let task = task.unwrap();
    let all = task.vocabulary.labels();
    assert_eq!((all[0].name.as_str(), all[1].name.as_str()), ("red", "blue"));
    let disturbance = task.grounding.as_ref().unwrap().disturb(all, &[0, 1], &[1], &mut random(1, "test", 0));
    assert_eq!((disturbance.nameless, disturbance.stranger), (vec![true, false], vec![Some(1), None]));
}

#[test]
fn every_round_has_every_example_once() {
    for (size, count) in [(4, 12), (5, 7), (20, 7)] {
        let drawn: Vec<u32> = (0..count as u64).flat_map(|batch| examples(3, batch, size, count)).collect();
        for round in drawn.chunks_exact(count) {
            let mut sorted = round.to_vec();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..count as u32).collect::<Vec<_>>());
        }
        assert_ne!(drawn[..count], drawn[count..2 * count], "a new order every round");
    }
}

#[test]
fn the_averaged_model_is_the_mean_of_its_steps_also_after_a_pause() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = world(dir.path());
    config.plan =
        toml::from_str("steps = 6\nkeep = 9\naveraging = { last = 2, every = 1 }\noptimizer = { rate = 0.03 }")
            .unwrap();
    let model = model();
    let run_with = |out: &str, pause: Option<u64>, resume: bool| {
        let mut task = begin(config.clone(), &model, dir.path()).0.unwrap();
        run(&mut task, &config.plan, "c", &dir.path().join(out), resume, &mut |status| match pause {
            Some(step) if status.step == step => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        })
        .unwrap()
    };
    assert!(matches!(run_with("paused", Some(5), false), Finished::Interrupted(_)));
    run_with("paused", None, true);
    run_with("whole", None, false);
    let weights = |path: &str| safetensors::load(dir.path().join(path), &Device::Cpu).unwrap();
    let (paused, whole) = (weights("paused/model/model.safetensors"), weights("whole/model/model.safetensors"));
    let steps = [5, 6].map(|step| weights(&format!("paused/checkpoints/step-{step:08}/model.safetensors")));
    for (name, averaged) in &whole {
        let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(values(&paused[name]), values(averaged), "{name}");
        let mean = ((&steps[0][name] + &steps[1][name]).unwrap() / 2.0).unwrap();
        for (a, b) in values(averaged).into_iter().zip(values(&mean)) {
            assert!((a - b).abs() < 1e-6, "{name}: {a} {b}");
        }
    }
    assert_ne!(whole["log_scale"].to_scalar::<f32>().unwrap(), steps[1]["log_scale"].to_scalar::<f32>().unwrap());
}

#[test]
fn a_finetuned_model_that_is_held_to_the_frozen_one_stays_nearer_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let config = world(dir.path());
    let model = model();
    let apart = |regularization: RegularizationConfig| {
        let config = FinetuneConfig { regularization, ..config.clone() };
        let mut task = begin(config.clone(), &model, dir.path()).0.unwrap();
        let out = tempfile::tempdir().unwrap();
        run(&mut task, &config.plan, "c", out.path(), false, &mut |_| ControlFlow::Continue(())).unwrap();
        let all: Vec<u32> = (0..task.train.truths.examples() as u32).collect();
        let (trained, frozen) = task.videos(&task.train, &all, None).unwrap();
        distance(&trained, &frozen).unwrap().to_scalar::<f32>().unwrap()
    };
    let free = apart(RegularizationConfig::default());
    assert!(free > 1e-3, "{free}");
    let held = apart(RegularizationConfig { distil_video: 20.0, ..RegularizationConfig::default() });
    assert!(held < 0.5 * free, "{held} {free}");
    let between = Some(InterpolationConfig { weight: 20.0, greatest: 1.0 });
    let between = apart(RegularizationConfig { interpolation: between, ..RegularizationConfig::default() });
    assert!(between != free, "the second loss has a part");
}

#[test]
fn interpolated_gradients_are_taken_between_start_and_now_and_weights_come_back() {
    let variable = Var::from_tensor(&Tensor::new(&[1f32, 2.0], &Device::Cpu).unwrap()).unwrap();
    let variables = BTreeMap::from([("w".to_owned(), variable.clone())]);
    let start = StartWeights::of(&variables).unwrap();
    variable.set(&Tensor::new(&[3f32, 6.0], &Device::Cpu).unwrap()).unwrap();
    let values = || variable.to_vec1::<f32>().unwrap();
    let (at, a) = start.between(&variables, 0.6, &mut random(1, "test", 0), || Ok(values())).unwrap();
    assert!((0.0..=0.6).contains(&a));
    let expected = [1.0 * a + 3.0 * (1.0 - a), 2.0 * a + 6.0 * (1.0 - a)];
    assert!(at.iter().zip(expected).all(|(got, expected)| (f64::from(*got) - expected).abs() < 1e-6), "{at:?}");
    assert_eq!(values(), [3.0, 6.0]);
}
