//! Tests on the installed starter: `lexivid models pull starter` first (`scripts/test` does).

use std::{ops::ControlFlow, sync::LazyLock};

use serde::Deserialize;

use super::*;
use crate::{
    models::store::{FileState, Store},
    soft_attributes::{Chat, Generator, Limits, checkpoint::Checkpoint},
};

static STARTER: LazyLock<Starter> =
    LazyLock::new(|| load(&directory(), &Compute::exact().unwrap()).unwrap_or_else(|e| panic!("{e}")));

fn directory() -> PathBuf {
    Store::from_env()
        .and_then(|store| store.path(NAME))
        .unwrap_or_else(|e| panic!("{e}; these tests need `lexivid models pull starter`"))
}

fn worst_difference(got: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(got.len(), expected.len());
    got.iter().zip(expected).map(|(g, e)| (g - e).abs()).fold(0.0, f32::max)
}

/// Colour ramps with a disc; scripts/goldens/efficientnet_lite.py draws the same.
fn picture() -> Vec<u8> {
    let pixel = |x: i32, y: i32| {
        let disc = (x - 130).pow(2) + (y - 110).pow(2) < 60 * 60;
        [(x * 255 / 259) as u8, (y * 255 / 259) as u8, if disc { 230 } else { 40 }]
    };
    (0..260).flat_map(|y| (0..260).flat_map(move |x| pixel(x, y))).collect()
}

fn frame() -> FramePixels {
    FramePixels { time: 1.5, views: vec![picture(), picture()] }
}

fn embed(names: &[&str]) -> Vec<LabelEmbedding> {
    STARTER.encode_labels(&names.iter().map(|name| Label::new(*name)).collect::<Vec<_>>()).expect("embeds")
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[test]
fn image_tower_agrees_with_pytorch_on_its_own_weights() {
    #[derive(Deserialize)]
    struct Golden {
        features: Vec<Vec<f32>>,
        logits: Vec<Vec<f32>>,
    }
    let golden: Golden =
        serde_json::from_str(include_str!("../../../tests/goldens/efficientnet_lite2.json")).expect("golden");
    let features = STARTER.features(&frame()).expect("features");
    let logits = STARTER.tower.logits(&features).expect("logits");
    for view in 0..2 {
        let row = |tensor: &Tensor| tensor.get(view).and_then(|row| row.to_vec1::<f32>()).expect("a row");
        let worst = worst_difference(&row(&features), &golden.features[0]);
        assert!(worst < 1e-4, "features: max abs difference {worst}");
        let worst = worst_difference(&row(&logits), &golden.logits[0]);
        assert!(worst < 1e-4, "logits: max abs difference {worst}");
    }
}

#[test]
fn language_model_agrees_with_transformers_on_the_same_file() {
    #[derive(Deserialize)]
    struct Golden {
        texts: Vec<String>,
        tokens: Vec<Vec<u32>>,
        mean8: Vec<Vec<f32>>,
        last24: Vec<Vec<f32>>,
    }
    let golden: Golden = serde_json::from_str(include_str!("../../../tests/goldens/smollm2.json")).expect("golden");
    let gguf = Gguf::open(&directory().join(LANGUAGE_MODEL)).expect("opens");
    let tokenizer = gguf.tokenizer().expect("has a tokenizer");
    for (text, expected) in golden.texts.iter().zip(&golden.tokens) {
        assert_eq!(tokenizer.encode(text.as_str(), false).expect("tokenizes").get_ids(), expected, "{text:?}");
    }
    // In one batch, so the shorter texts are padded.
    let encoder = PhraseEncoder::load(&gguf, &Compute::exact().unwrap()).expect("loads");
    let got = encoder.encode(&golden.texts[..3]).and_then(|x| x.to_vec2::<f32>()).expect("encodes");
    for (text, got) in got.iter().enumerate() {
        let expected: Vec<f32> =
            [&golden.mean8, &golden.last24].iter().flat_map(|part| l2_normalised(part[text].clone())).collect();
        let worst = worst_difference(got, &expected);
        assert!(worst < 1e-4, "{:?}: max abs difference {worst}", golden.texts[text]);
    }
}

#[test]
fn language_model_says_what_it_says_in_transformers() {
    #[derive(Deserialize)]
    struct Golden {
        system: String,
        question: String,
        tokens: Vec<u32>,
        text: String,
    }
    let golden = include_str!("../../../tests/goldens/smollm2_reply.json");
    let golden: Golden = serde_json::from_str(golden).expect("golden");
    let path = Store::from_env().and_then(|store| store.language_model(NAME)).unwrap_or_else(|e| panic!("{e}"));
    let generator = Generator::open(&path, &Compute::exact().unwrap()).unwrap_or_else(|e| panic!("{e}"));
    let limits = Limits::tokens(golden.tokens.len());
    let control = &mut || ControlFlow::Continue(());
    let chat = Chat { system: &golden.system, examples: &[], question: &golden.question };
    let written = generator.answer(&chat, limits, control).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((written.tokens, written.text), (golden.tokens, golden.text));
}

#[test]
fn frames_become_unit_embeddings_with_their_times() {
    let features = STARTER.encode_frames(&[frame(), frame()]).expect("encodes");
    assert_eq!(features.len(), 2);
    assert_eq!(features[0].embedding, features[1].embedding);
    assert_eq!(features[0].time, 1.5);
    assert_eq!(features[0].embedding.len(), STARTER.dimension());
    let length = cosine(&features[0].embedding, &features[0].embedding);
    assert!((length - 1.0).abs() < 1e-5, "{length}");
}

#[test]
fn frames_of_another_size_are_refused() {
    for views in [vec![], vec![picture()], vec![picture(), vec![0; 12]]] {
        assert!(STARTER.encode_frames(&[FramePixels { time: 0.0, views }]).is_err());
    }
}

#[test]
fn known_names_get_their_row_in_singular_and_plural() {
    let labels = embed(&["goldfish", "dogs", "mice of the sea"]);
    assert_eq!(labels[0].origin, Origin::KnownClass { class: "goldfish".into() });
    assert_eq!(labels[1].origin, Origin::KnownClass { class: "dog".into() });
    assert!(matches!(labels[2].origin, Origin::Inferred { .. }), "{:?}", labels[2].origin);
    let by_synonym = Label { synonyms: vec!["goldfish".into()], ..Label::new("Goldie's kind") };
    let embedding = STARTER.encode_labels(&[by_synonym]).expect("embeds");
    assert_eq!(embedding[0].vector, labels[0].vector);
}

#[test]
fn unknown_names_come_near_their_kin() {
    let labels = embed(&["sparrow", "cauldron", "bird", "vehicle"]);
    assert!(matches!(labels[0].origin, Origin::Inferred { .. }), "{:?}", labels[0].origin);
    let near = cosine(&labels[0].vector, &labels[2].vector);
    let far = cosine(&labels[0].vector, &labels[3].vector);
    assert!(near > far + 0.2, "sparrow: bird {near}, vehicle {far}");
}

#[test]
fn a_label_does_not_depend_on_the_others() {
    let alone = embed(&["sparrow"]);
    let among = embed(&["a rather long description of something else entirely", "sparrow", "dog"]);
    // Padding changes the order in which sums are made, no more.
    let worst = worst_difference(&alone[0].vector, &among[1].vector);
    assert!(worst < 1e-4, "max abs difference {worst}");
    assert_eq!(alone[0].calibration, among[1].calibration);
}

#[test]
fn is_as_it_was_assembled() {
    let store = Store::from_env().expect("a home directory");
    let checks = store.verify(NAME).expect("has a manifest");
    let bad: Vec<_> = checks.iter().filter(|check| check.state != FileState::Ok).collect();
    assert!(bad.is_empty(), "{bad:?}");
    assert!(checks.iter().any(|check| check.file == TOWER));
}

#[test]
fn another_layout_is_refused() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let refusal = || load(dir.path(), &Compute::exact().unwrap()).err().expect("refused").to_string();
    assert!(refusal().contains("got nothing"), "{}", refusal());
    Manifest::write(dir.path(), VERSION + 1).expect("writes");
    assert!(refusal().contains(&format!("got layout {}", VERSION + 1)), "{}", refusal());
}
