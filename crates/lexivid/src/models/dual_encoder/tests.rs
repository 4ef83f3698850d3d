//! Against transformers: tiny models with random weights, written by `scripts/goldens/clip.py`.

use super::*;
use crate::{
    frames::{Filter, View},
    label::Kind,
    models::{Precision, known_digests::KnownDigests},
    nn::on_every_path,
};
use candle_core::Var;
use image::RgbImage;
use std::{collections::HashMap, fs, path::PathBuf};

const MODELS: [&str; 4] = ["clip_quick_gelu", "clip_gelu", "siglip", "siglip2"];
/// Largest absolute difference to transformers in f32.
const TOLERANCE: f32 = 1e-4;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn load(name: &str) -> DualEncoder {
    DualEncoder::load(name, &fixture(name), &Compute::exact().unwrap()).unwrap()
}

fn golden(name: &str) -> HashMap<String, Tensor> {
    candle_core::safetensors::load(fixture(name).join("golden.safetensors"), &Device::Cpu).unwrap()
}

fn assert_close(what: &str, got: &Tensor, expected: &Tensor) {
    assert_eq!(got.dims(), expected.dims(), "{what}");
    let difference = (got - expected).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap();
    let difference = difference.to_scalar::<f32>().unwrap();
    assert!(difference <= TOLERANCE, "{what}: differs by {difference}");
}

/// `[B, D]` from B vectors.
fn stack(vectors: Vec<Vec<f32>>) -> Tensor {
    let (rows, columns) = (vectors.len(), vectors[0].len());
    Tensor::from_vec(vectors.concat(), (rows, columns), &Device::Cpu).unwrap()
}

/// The golden pictures as frames.
fn frames(golden: &HashMap<String, Tensor>) -> Vec<FramePixels> {
    let (_, height, width, _) = golden["picture"].dims4().unwrap();
    let pictures = golden["picture"].flatten_from(1).unwrap().to_vec2::<u8>().unwrap();
    let view = |pixels| RgbImage::from_raw(width as u32, height as u32, pixels).unwrap();
    pictures.into_iter().enumerate().map(|(i, p)| FramePixels { time: i as f64, views: vec![view(p)] }).collect()
}

/// A copy of a fixture that a test may spoil.
fn copy(name: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixture(name)).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, dir.path().join(path.file_name().unwrap())).unwrap();
    }
    dir
}

fn models_on_every_path(precision: Precision) -> impl Iterator<Item = (&'static str, Compute)> {
    MODELS.into_iter().flat_map(move |name| on_every_path(precision).into_iter().map(move |compute| (name, compute)))
}

#[test]
fn hidden_states_and_embeddings_are_those_of_transformers_on_every_path() {
    for (name, compute) in models_on_every_path(Precision::F32) {
        let (model, golden) = (DualEncoder::load(name, &fixture(name), &compute).unwrap(), golden(name));
        let path = compute.isa;

        let vision = model.vision.forward(&golden["pixels"], true).unwrap();
        assert_eq!(vision.blocks.len(), 2, "{name}");
        for (l, h) in vision.blocks.iter().enumerate() {
            assert_close(&format!("{name}, {path}: vision block {l}"), h, &golden[&format!("vision_hidden.{}", l + 1)]);
        }

        let ids: Vec<Vec<u32>> = golden["ids"].to_dtype(candle_core::DType::U32).unwrap().to_vec2().unwrap();
        let pooled_at: Vec<usize> =
            ids.iter().map(|ids| model.text_tower().unwrap().config().pooling.position(ids)).collect();
        let ids = golden["ids"].to_dtype(candle_core::DType::U32).unwrap();
        let tokens = model.text_tower().unwrap().token_embeddings(&ids).unwrap();
        let text = model.text_tower().unwrap().forward(&tokens, &pooled_at, true).unwrap();
        assert_eq!(text.hidden.len(), 3, "{name}");
        for (l, h) in text.hidden.iter().enumerate() {
            assert_close(&format!("{name}, {path}: text state {l}"), h, &golden[&format!("text_hidden.{l}")]);
        }

        let normalised = |x: Tensor| stack(x.to_vec2().unwrap().into_iter().map(l2_normalised).collect());
        let (image, text) = (normalised(vision.pooled), normalised(text.embedding));
        assert_close(&format!("{name}, {path}: image embeddings"), &image, &golden["image_embeds"]);
        assert_close(&format!("{name}, {path}: text embeddings"), &text, &golden["text_embeds"]);

        // The golden logits are those of the model's own calibration, which CLIP has only half of.
        let bias = if name.starts_with("clip") { 0.0 } else { f64::from(model.calibration.bias) };
        let logits = (image.matmul(&text.t().unwrap()).unwrap() * f64::from(model.calibration.scale)).unwrap();
        assert_close(&format!("{name}, {path}: logits"), &(logits + bias).unwrap(), &golden["logits_per_image"]);
    }
}

#[test]
fn lower_precisions_point_where_transformers_does_on_every_path() {
    let cosine = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    for (precision, least) in [(Precision::Bf16, 0.999), (Precision::Int8, 0.995)] {
        for (name, compute) in models_on_every_path(precision) {
            let (model, golden) = (DualEncoder::load(name, &fixture(name), &compute).unwrap(), golden(name));
            let images = model.encode_frames(&frames(&golden)).unwrap().into_iter().map(|f| f.embedding).collect();
            let sentences = ["a photo of a dog.", "a video of riding a bike.", "cat"].map(String::from);
            let texts: Vec<Vec<f32>> = model.encode_sentences(&sentences).unwrap();
            for (what, got, expected) in [("image", images, "image_embeds"), ("text", texts, "text_embeds")] {
                let got: Vec<Vec<f32>> = got;
                for (got, expected) in got.iter().zip(golden[expected].to_vec2::<f32>().unwrap()) {
                    let cosine = cosine(got, &expected);
                    assert!(cosine > least, "{name}, {} in {precision}: {what} at cosine {cosine}", compute.isa);
                }
            }
        }
    }
}

#[test]
fn pictures_and_sentences_come_through_the_whole_model_as_through_transformers() {
    for name in MODELS {
        let (model, golden) = (load(name), golden(name));
        let features = model.encode_frames(&frames(&golden)).unwrap();
        assert_eq!(features.iter().map(|f| f.time).collect::<Vec<_>>(), [0.0, 1.0]);
        let image = stack(features.into_iter().map(|f| f.embedding).collect());
        assert_close(&format!("{name}: images"), &image, &golden["image_embeds"]);

        let sentences = ["a photo of a dog.", "a video of riding a bike.", "cat"].map(String::from);
        let text = stack(model.encode_sentences(&sentences).unwrap());
        assert_close(&format!("{name}: sentences"), &text, &golden["text_embeds"]);
    }
}

#[test]
fn labels_become_the_prompts_of_their_kind() {
    for name in MODELS {
        let model = load(name);
        let dog = Label { kind: Some(Kind::Entity), ..Label::new("dog") };
        let riding = Label { kind: Some(Kind::Action), ..Label::new("riding a bike") };
        let labels = model.encode_labels(&[dog, riding]).unwrap();
        let vectors = stack(labels.into_iter().map(|l| l.vector).collect());
        assert_close(name, &vectors, &golden(name)["text_embeds"].narrow(0, 0, 2).unwrap());
    }
}

#[test]
fn a_batch_gives_what_each_gives_alone() {
    for name in MODELS {
        let (model, golden) = (load(name), golden(name));
        let frames = frames(&golden);
        let together = model.encode_frames(&frames).unwrap();
        let alone: Vec<_> = frames.into_iter().flat_map(|f| model.encode_frames(&[f]).unwrap()).collect();
        let embeddings = |features: Vec<FrameFeatures>| stack(features.into_iter().map(|f| f.embedding).collect());
        assert_close(&format!("{name}: frames"), &embeddings(together), &embeddings(alone));

        // More than one batch, of very different lengths.
        let labels: Vec<Label> = (0..SENTENCE_BATCH + 3).map(|i| Label::new("very ".repeat(i % 20) + "dog")).collect();
        let vectors = |labels: Vec<LabelEmbedding>| stack(labels.into_iter().map(|l| l.vector).collect());
        let together = model.encode_labels(&labels).unwrap();
        let alone: Vec<_> = labels.iter().flat_map(|l| model.encode_labels(std::slice::from_ref(l)).unwrap()).collect();
        assert_close(&format!("{name}: labels"), &vectors(together), &vectors(alone));
    }
}

#[test]
fn synonyms_and_views_are_averaged() {
    let model = load("clip_gelu");
    let vector = |label: Label| model.encode_labels(&[label]).unwrap().remove(0).vector;
    let both = vector(Label { synonyms: vec!["cat".into()], ..Label::new("dog") });
    let mean = normalised_mean(&[vector(Label::new("dog")), vector(Label::new("cat"))], model.dimension());
    assert_close("synonyms", &stack(vec![both]), &stack(vec![mean]));

    let [a, b] = <[FramePixels; 2]>::try_from(frames(&golden("clip_gelu"))).unwrap();
    let two_views = FramePixels { time: 0.0, views: vec![a.views[0].clone(), b.views[0].clone()] };
    let mut two = load("clip_gelu");
    two.preprocessing.views.push(View::Stretch);
    let both = two.encode_frames(&[two_views]).unwrap().remove(0).embedding;
    let embedding = |frame| model.encode_frames(&[frame]).unwrap().remove(0).embedding;
    let mean = normalised_mean(&[embedding(a), embedding(b)], model.dimension());
    assert_close("views", &stack(vec![both]), &stack(vec![mean]));
}

#[test]
fn token_ids_are_those_of_the_reference_tokenizers() {
    #[derive(serde::Deserialize)]
    struct Case {
        text: String,
        ids: Vec<u32>,
    }
    for name in MODELS {
        let model = load(name);
        let context = model.text_tower().unwrap().config().context;
        let cases: Vec<Case> = serde_json::from_slice(&fs::read(fixture(name).join("tokens.json")).unwrap()).unwrap();
        let mut truncated = 0;
        for case in &cases {
            let tokens = model.tokenizer.encode(&case.text).unwrap();
            assert_eq!(tokens.ids, case.ids, "{name}: {:?}", case.text);
            assert!(!tokens.truncated || tokens.ids.len() == context, "{name}: {:?}", case.text);
            truncated += usize::from(tokens.truncated);
        }
        assert!(truncated >= 2, "{name}: only {truncated} texts of {} were too long", cases.len());
    }
}

#[test]
fn a_text_that_just_fits_is_not_called_truncated() {
    let model = load("clip_gelu");
    let context = model.text_tower().unwrap().config().context;
    let fits = model.tokenizer.encode(&"a ".repeat(context - 2)).unwrap();
    assert_eq!((fits.ids.len(), fits.truncated), (context, false));
    let over = model.tokenizer.encode(&"a ".repeat(context - 1)).unwrap();
    assert_eq!((over.ids.len(), over.truncated), (context, true));
    assert_eq!(over.ids.last(), fits.ids.last());
}

/// d(sum of the embedding)/d(one number of the input) by autodiff and by central differences.
fn assert_gradient(what: &str, input: Tensor, output: impl Fn(&Tensor) -> Tensor) {
    let input = Var::from_tensor(&input).unwrap();
    let sum = |x: &Tensor| output(x).sum_all().unwrap();
    let gradients = sum(&input).backward().unwrap();
    let gradient = gradients.get(&input).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let values = input.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let step = 1e-2;
    for at in [3, values.len() / 3, values.len() / 2] {
        let moved = |by: f32| {
            let mut values = values.clone();
            values[at] += by;
            let x = Tensor::from_vec(values, input.shape(), &Device::Cpu).unwrap();
            sum(&x).to_scalar::<f32>().unwrap()
        };
        let expected = (moved(step) - moved(-step)) / (2.0 * step);
        let got = gradient[at];
        assert!((got - expected).abs() < 0.02 * expected.abs().max(0.1), "{what} at {at}: {got}, expected {expected}");
    }
}

#[test]
fn gradients_pass_through_both_towers_to_their_inputs() {
    for name in MODELS {
        let (model, golden) = (load(name), golden(name));
        let ids = golden["ids"].to_dtype(candle_core::DType::U32).unwrap();
        let tokens = model.text_tower().unwrap().token_embeddings(&ids).unwrap();
        // Pooled late, so that with causal attention every checked input matters.
        let pooled_at = vec![ids.dim(1).unwrap() - 1; ids.dim(0).unwrap()];
        assert_gradient(&format!("{name}: text"), tokens, |x| {
            model.text_tower().unwrap().forward(x, &pooled_at, false).unwrap().embedding
        });
        assert_gradient(&format!("{name}: image"), golden["pixels"].clone(), |x| {
            model.vision.forward(x, false).unwrap().pooled
        });
    }
}

#[test]
fn only_clip_warns_of_its_probabilities_until_it_is_calibrated() {
    let clip = load("clip_gelu");
    assert!(clip.about().caveats[0].contains("not calibrated"), "{:?}", clip.about().caveats);
    assert!((clip.calibration.probability(0.25) - 0.5).abs() < 1e-6);

    let siglip = load("siglip");
    assert_eq!(siglip.about().caveats, Vec::<String>::new());
    assert!((siglip.calibration.scale - 3f32.exp()).abs() < 1e-2 && siglip.calibration.bias == -4.0);

    let dir = copy("clip_gelu");
    fs::write(dir.path().join(StoredCalibration::FILE), r#"{"scale": 50, "bias": -10}"#).unwrap();
    let calibrated = DualEncoder::load("mine", dir.path(), &Compute::exact().unwrap()).unwrap();
    assert_eq!(calibrated.about().caveats, Vec::<String>::new());
    assert_eq!(calibrated.calibration, Calibration { scale: 50.0, bias: -10.0 });
    assert_ne!(calibrated.about().fingerprint, clip.about().fingerprint);
}

#[test]
fn the_fingerprint_changes_with_a_single_weight_and_not_with_the_place() {
    let dir = copy("siglip");
    let digests = KnownDigests::new(dir.path().join("digests.json"));
    let fingerprint = || fingerprint::of(dir.path(), &digests).unwrap();
    assert_eq!(fingerprint(), load("siglip").about().fingerprint);
    assert_eq!(fingerprint().len(), 16);
    let path = dir.path().join("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_ne!(fingerprint(), load("siglip").about().fingerprint);
}

#[test]
fn the_card_beside_the_weights_is_read_without_its_metadata() {
    let dir = copy("siglip");
    let card = || DualEncoder::load("mine", dir.path(), &Compute::exact().unwrap()).unwrap().about().card.clone();
    assert_eq!(card(), "");
    fs::write(dir.path().join("README.md"), "---\nlicense: mit\n---\n\n# Card").unwrap();
    assert_eq!(card(), "# Card");
    fs::write(dir.path().join("MODEL.md"), "# Ours").unwrap();
    assert_eq!(card(), "# Ours");
}

#[test]
fn files_that_are_not_as_expected_are_named() {
    type Spoil = fn(&Path);
    let cases: [(&str, &str, Spoil, &[&str]); 8] = [
        ("clip_gelu", "no tokenizer", |d| fs::remove_file(d.join("tokenizer.json")).unwrap(), &["tokenizer.json"]),
        ("clip_gelu", "no config", |d| fs::remove_file(d.join("config.json")).unwrap(), &["config.json"]),
        (
            "clip_gelu",
            "no shard",
            |d| fs::remove_file(d.join("model-00002-of-00003.safetensors")).unwrap(),
            &["model-00002-of-00003.safetensors"],
        ),
        (
            "clip_gelu",
            "an index that leads elsewhere",
            |d| fs::write(d.join("model.safetensors.index.json"), r#"{"weight_map": {"a": "../b"}}"#).unwrap(),
            &["model.safetensors.index.json", "../b"],
        ),
        ("siglip", "no weights", |d| fs::remove_file(d.join("model.safetensors")).unwrap(), &["found neither"]),
        (
            "siglip",
            "cut weights",
            |d| {
                let path = d.join("model.safetensors");
                let bytes = fs::read(&path).unwrap();
                fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
            },
            &["model.safetensors", "a safetensors file"],
        ),
        (
            "siglip",
            "another input size",
            |d| {
                let path = d.join("preprocessor_config.json");
                let json = fs::read_to_string(&path).unwrap();
                fs::write(path, json.replace("14", "16")).unwrap();
            },
            &["preprocessor_config.json", "14 x 14", "16 x 16"],
        ),
        (
            "siglip",
            "another width",
            |d| {
                let path = d.join("config.json");
                let json = fs::read_to_string(&path).unwrap();
                fs::write(path, json.replace(r#""intermediate_size": 48"#, r#""intermediate_size": 50"#)).unwrap();
            },
            &["model.safetensors", "mlp.fc1.weight", "[50, 32]", "[48, 32]"],
        ),
    ];
    for (name, what, spoil, said) in cases {
        let dir = copy(name);
        spoil(dir.path());
        let error = DualEncoder::load("mine", dir.path(), &Compute::exact().unwrap()).err().unwrap().to_string();
        for part in said {
            assert!(error.contains(part), "{what}: {error:?} does not say {part:?}");
        }
    }
}

#[test]
fn a_missing_tensor_is_named_with_the_shape_it_should_have() {
    let dir = copy("siglip");
    let path = dir.path().join("config.json");
    let json = fs::read_to_string(&path).unwrap();
    fs::write(&path, json.replace(r#""num_hidden_layers": 2"#, r#""num_hidden_layers": 3"#)).unwrap();
    let error = DualEncoder::load("mine", dir.path(), &Compute::exact().unwrap()).err().unwrap().to_string();
    assert!(error.contains("vision_model.encoder.layers.2.") && error.contains("[32]"), "{error}");
}

#[test]
fn a_picture_of_the_wrong_size_is_an_error() {
    let frame = FramePixels { time: 0.0, views: vec![RgbImage::new(5, 1)] };
    let error = load("siglip").encode_frames(&[frame]).unwrap_err().to_string();
    assert!(error.contains("14 x 14") && error.contains("[(5, 1)]"), "{error}");
}

#[test]
fn preprocessing_is_the_files_and_naflex_gets_the_towers_square() {
    let clip = load("clip_gelu");
    assert_eq!(clip.preprocessing().views, [View::CentreCrop { shortest_edge: 12 }]);
    let naflex = load("siglip2");
    let expected = Preprocessing {
        size: (12, 12),
        views: vec![View::Stretch],
        filter: Filter::Bilinear,
        mean: [0.5; 3],
        std: [0.5; 3],
    };
    assert_eq!(naflex.preprocessing(), &expected);
    assert!(naflex.about().caveats[0].contains("square"));
}
