//! Tests on the installed starter: `lexivid models pull starter` first (`scripts/test` does).

use std::{collections::BTreeMap, ops::ControlFlow, sync::LazyLock};

use image::{Rgb, RgbImage};
use serde::Deserialize;

use super::{meaning::Mention, *};
use crate::{
    models::store::{FileState, Store},
    soft_attributes::{
        Chat, Generator, Limits,
        checkpoint::Checkpoint,
        phrase::{At, Reading},
    },
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
fn picture() -> RgbImage {
    RgbImage::from_fn(260, 260, |x, y| {
        let (x, y) = (x as i32, y as i32);
        let disc = (x - 130).pow(2) + (y - 110).pow(2) < 60 * 60;
        Rgb([(x * 255 / 259) as u8, (y * 255 / 259) as u8, if disc { 230 } else { 40 }])
    })
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
    // Shorter texts are padded, and long ones wait for others of their length.
    let encoder = PhraseEncoder::load(&gguf, &Compute::exact().unwrap()).expect("loads");
    let readings = [Reading { block: 8, at: At::Mean }, Reading { block: 24, at: At::Last }];
    let texts: Vec<String> = (0..40).map(|i| golden.texts[i % 3].clone()).collect();
    let got = encoder.encode(&texts, &readings).and_then(|x| x.to_vec3::<f32>()).expect("encodes");
    for (text, got) in got.into_iter().enumerate().map(|(i, got)| (i % 3, got)) {
        let got: Vec<f32> = got.into_iter().flat_map(l2_normalised).collect();
        let expected: Vec<f32> =
            [&golden.mean8, &golden.last24].iter().flat_map(|part| l2_normalised(part[text].clone())).collect();
        let worst = worst_difference(&got, &expected);
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
    for views in [vec![], vec![picture()], vec![picture(), RgbImage::new(2, 2)]] {
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

/// What scripts/goldens/starter_text.py says of names, by an implementation of its own.
#[derive(Deserialize)]
struct TextGolden {
    stems: Vec<Stems>,
    look_up: Vec<LookUp>,
    bags: Vec<GoldenBag>,
    actions: Vec<GoldenAction>,
    nouns: Guesses,
    motion: Guesses,
}

#[derive(Deserialize)]
struct Stems {
    text: String,
    stems: Vec<String>,
}

#[derive(Deserialize)]
struct LookUp {
    label: String,
    synset: Option<u32>,
}

#[derive(Deserialize)]
struct GoldenBag {
    label: String,
    weights: BTreeMap<String, f32>,
}

#[derive(Deserialize)]
struct GoldenAction {
    label: String,
    words: Vec<GoldenWord>,
    weights: BTreeMap<String, f32>,
}

#[derive(Deserialize)]
struct GoldenWord {
    part: String,
    synset: u32,
}

#[derive(Deserialize)]
struct Guesses {
    anchors: GoldenAnchors,
    novel: Vec<Guess>,
}

#[derive(Deserialize)]
struct GoldenAnchors {
    indices: Vec<usize>,
}

#[derive(Deserialize)]
struct Guess {
    label: String,
    /// With the anchors.
    cosines: Vec<f32>,
    nearest: Option<String>,
    nearest_kernel: Option<f32>,
}

fn text_golden() -> TextGolden {
    serde_json::from_str(include_str!("../../../tests/goldens/starter_text.json")).expect("golden")
}

fn is_bag(got: &crate::label_embedding::Bag, expected: &BTreeMap<String, f32>, label: &str) {
    assert_eq!(got.0.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{label}");
    for (stem, weight) in expected {
        assert!((got.0[stem] - weight).abs() < 1e-5, "{label}: {stem} {}, expected {weight}", got.0[stem]);
    }
}

#[test]
fn words_mean_what_an_independent_implementation_says() {
    let golden = text_golden();
    for Stems { text, stems } in golden.stems {
        assert_eq!(crate::label_embedding::stems(&text), stems, "{text:?}");
    }
    let dictionary = dictionary(&directory()).expect("WordNet");
    for LookUp { label, synset } in golden.look_up {
        assert_eq!(dictionary.thing(&label), synset, "{label}");
    }
    for GoldenBag { label, weights } in golden.bags {
        is_bag(&Thing::of_label(&dictionary, &label, None).bag, &weights, &label);
    }
    for GoldenAction { label, words, weights } in golden.actions {
        let mentions = dictionary.mentions(&label).into_iter().map(|mention| match mention {
            Mention::Verb(synset) => ("verb", synset),
            Mention::Noun(synset) => ("noun", synset),
        });
        let expected: Vec<_> = words.iter().map(|word| (word.part.as_str(), word.synset)).collect();
        assert_eq!(mentions.collect::<Vec<_>>(), expected, "{label}");
        is_bag(&dictionary.bag_of_action(&label), &weights, &label);
    }
}

#[test]
fn unknown_names_are_placed_where_an_independent_implementation_places_them() {
    let golden = text_golden();
    let placed = |labels: Vec<Label>| STARTER.encode_labels(&labels).expect("embeds");
    let novel = |guesses: &Guesses, kind| {
        placed(guesses.novel.iter().map(|guess| Label { kind: Some(kind), ..Label::new(&guess.label) }).collect())
    };
    let close = |got: f32, expected: f32, label: &str| {
        assert!((got - expected).abs() < 4e-3, "{label}: {got}, expected {expected}");
    };
    for (guess, got) in golden.nouns.novel.iter().zip(novel(&golden.nouns, Kind::Entity)) {
        let Origin::Inferred { nearest, similarity } = got.origin else { panic!("{} is known", guess.label) };
        assert_eq!(Some(nearest), guess.nearest, "{}", guess.label);
        close(similarity, guess.nearest_kernel.expect("of things"), &guess.label);
        let image = l2_normalised(got.vector[..IMAGE].to_vec());
        for (anchor, expected) in golden.nouns.anchors.indices.iter().zip(&guess.cosines) {
            close(cosine(&image, &STARTER.rows[*anchor]), *expected, &guess.label);
        }
    }
    for (guess, got) in golden.motion.novel.iter().zip(novel(&golden.motion, Kind::Action)) {
        let motion = l2_normalised(got.vector[IMAGE..].to_vec());
        for (anchor, expected) in golden.motion.anchors.indices.iter().zip(&guess.cosines) {
            close(cosine(&motion, &STARTER.action_rows[*anchor]), *expected, &guess.label);
        }
    }
}

#[test]
fn a_definition_of_the_users_own_is_heeded() {
    let defined = |definition: &str| Label { definition: Some(definition.into()), ..Label::new("frobnicator") };
    let labels = [defined("a small bird with red feathers"), defined("a lorry with eight wheels")];
    let [bird, lorry]: [LabelEmbedding; 2] = STARTER.encode_labels(&labels).expect("embeds").try_into().expect("two");
    let known = embed(&["bird", "vehicle"]);
    assert!(cosine(&bird.vector, &known[0].vector) > cosine(&bird.vector, &known[1].vector) + 0.1);
    assert!(cosine(&lorry.vector, &known[1].vector) > cosine(&lorry.vector, &known[0].vector) + 0.1);
}

#[test]
fn actions_have_a_motion_part_and_things_have_none() {
    let labels = embed(&["riding a bike", "peeling an onion", "dog", "sparrow"]);
    let parts = |label: &LabelEmbedding| {
        let (image, motion) = label.vector.split_at(IMAGE);
        [cosine(image, image), cosine(motion, motion)]
    };
    assert_eq!(labels[0].origin, Origin::KnownClass { class: "riding a bike".into() });
    assert!(matches!(labels[1].origin, Origin::Inferred { .. }), "{:?}", labels[1].origin);
    for (label, expected) in labels.iter().zip([[0.09, 0.91], [0.5, 0.5], [1.0, 0.0], [0.81, 0.0]]) {
        for (got, expected) in parts(label).into_iter().zip(expected) {
            assert!((got - expected).abs() < 2e-3, "{got}, expected {expected}");
        }
    }
}

#[test]
fn a_window_has_what_its_clips_saw_beside_what_its_frames_saw() {
    let frames = STARTER.encode_frames(&[frame()]).expect("encodes");
    let clip = |at: usize| {
        let mut embedding = vec![0.0; MOTION];
        embedding[at] = 1.0;
        ClipFeatures { start: 0.0, end: 1.28, embedding }
    };
    let still = STARTER.encode_window(&[&frames[0]], &[]).expect("encodes").0;
    let moving = STARTER.encode_window(&[&frames[0]], &[&clip(3), &clip(7)]).expect("encodes").0;
    assert_eq!(still[..IMAGE], moving[..IMAGE]);
    assert!(still[IMAGE..].iter().all(|x| *x == 0.0));
    let half = std::f32::consts::FRAC_1_SQRT_2;
    assert!((moving[IMAGE + 3] - half).abs() < 1e-6 && (moving[IMAGE + 7] - half).abs() < 1e-6);
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
