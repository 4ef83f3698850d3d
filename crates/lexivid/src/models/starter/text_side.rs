//! Text side: label -> its place among what the image tower and the motion network were trained on.
//!
//! Kernel ridge regressions from what is known of the names of 1,000 ImageNet classes and their hypernyms, and of 400 Kinetics classes, to the
//! classifiers' rows; for things, the label encoder's guess besides. What is known of a name: states of the language model for prompts that ask for it, and words by which WordNet defines it.
//! scripts/cross_validation/starter.py measures it on held-out names.

use super::{
    label_encoder::LabelEncoder,
    meaning::{Dictionary, first_clause, without_remarks},
    wordnet::Offset,
};
use crate::{
    label_embedding::{
        Bag, BagKernel, Frequencies,
        kernel_regression::{KernelRegression, StatesKernel},
    },
    nn::unit_rows,
    soft_attributes::phrase::{At, PhraseEncoder, Reading},
};
use candle_core::{D, DType, Device, Result, Tensor};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Of "In a photo of a cello, one can see".
const SEEN: [Reading; 3] = [
    Reading { block: 8, at: At::Mean },
    Reading { block: 28, at: At::Last },
    Reading { block: 30, at: At::LastNormalised },
];
/// Of "A photo of a cello, a large stringed instrument."
const DEFINED: [Reading; 4] = [
    Reading { block: 8, at: At::Mean },
    Reading { block: 24, at: At::Mean },
    Reading { block: 28, at: At::Mean },
    Reading { block: 28, at: At::Last },
];
/// Of both prompts of actions.
const DONE: [Reading; 2] = [Reading { block: 8, at: At::Mean }, Reading { block: 28, at: At::Last }];

/// Lambda of all regressions.
const RIDGE: f64 = 0.3;
/// Weight of the words of actions, against 1 for each of two prompts.
const ACTION_WORDS: f64 = 1.0;

/// What the label encoder's guess counts, 1 being the kernels'; SHARE of scripts/training/starter_label_encoder.py, where it was chosen.
const LEARNED: f64 = 0.25;

/// A thing to be placed.
#[derive(Debug, Clone)]
pub(super) struct Thing {
    name: String,
    /// What the language model is told that it is.
    definition: Option<String>,
    /// Words with weights.
    pub bag: Bag,
}

impl Thing {
    /// A label that is looked up; a definition of the user's own stands for WordNet's.
    pub fn of_label(dictionary: &Dictionary, name: &str, definition: Option<&str>) -> Self {
        let synset = match definition {
            Some(_) => None,
            None => dictionary.thing(name),
        };
        // "fire hydrant cover" is some cover, if it is nothing of its own.
        let of_last = || name.split_whitespace().last().and_then(|word| dictionary.thing(word));
        let near = synset.or_else(|| definition.is_none().then(of_last).flatten());
        let bag = dictionary.bag_of_thing(name, near, definition);
        let told = synset.and_then(|offset| dictionary.nouns.synset(offset)).map(|synset| synset.definition());
        Self { name: name.into(), definition: definition.or(told).map(str::to_owned), bag }
    }

    /// A class or a hypernym, whose meaning is known.
    pub fn of_synset(dictionary: &Dictionary, name: &str, synset: Offset) -> Self {
        let definition = dictionary.nouns.synset(synset).map(|synset| synset.definition().to_owned());
        Self { name: name.into(), definition, bag: dictionary.bag_of_thing(name, Some(synset), None) }
    }

    fn seen(&self) -> String {
        format!("In a photo of a {}, one can see", self.name)
    }

    fn defined(&self) -> String {
        format!("A photo of a {}, {}.", self.name, first_clause(self.definition.as_deref().unwrap_or_default()))
    }
}

fn done(action: &str) -> String {
    format!("In a video of someone {}, one can see", without_remarks(action).trim())
}

fn kind_of(action: &str) -> String {
    format!("Someone who is {} is doing a kind of", without_remarks(action).trim())
}

/// Where labels were placed.
#[derive(Debug)]
pub(super) struct Placed {
    /// One a label, not normalised.
    pub rows: Tensor,
    /// The known name that is nearest, and the kernel with it: 1 for the same, 0 for nothing in common.
    pub nearest: Vec<(usize, f32)>,
}

/// Everything that was fitted; the language model and the dictionary are given to every call.
pub(super) struct TextSide {
    seen: StatesKernel,
    defined: StatesKernel,
    with_definition: KernelRegression,
    without_definition: KernelRegression,
    done: StatesKernel,
    kind_of: StatesKernel,
    actions: KernelRegression,
    words: Words,
}

/// The part that is no tensor.
#[derive(Serialize, Deserialize)]
pub(super) struct Words {
    things: BagKernel,
    actions: BagKernel,
    frequencies: Frequencies,
}

/// What the text side is fitted to.
pub(super) struct Known<'a> {
    /// Classes and hypernyms.
    pub things: &'a [Thing],
    /// Where they are, `[N, D]`.
    pub thing_rows: &'a Tensor,
    /// Classes of actions.
    pub actions: &'a [String],
    /// Where they are, `[A, D']`.
    pub action_rows: &'a Tensor,
}

/// The language model and the dictionary.
#[derive(Clone, Copy)]
pub(super) struct Sources<'a> {
    /// Reads phrases.
    pub phrases: &'a PhraseEncoder,
    /// Defines words.
    pub dictionary: &'a Dictionary,
}

impl TextSide {
    /// Fits it.
    pub fn fit(known: &Known, sources: Sources) -> Result<Self> {
        let states = |phrases: Vec<String>, readings: &[Reading]| -> Result<(StatesKernel, Tensor)> {
            let states = sources.phrases.encode(&phrases, readings)?;
            let kernel = StatesKernel::fit(&states)?;
            let among_each_other = kernel.with(&states)?;
            Ok((kernel, among_each_other))
        };
        let texts: Vec<String> = (sources.dictionary.nouns.synsets())
            .map(|synset| format!("{} {}", synset.definition(), synset.words.join(" ")))
            .collect();
        let frequencies = Frequencies::count(texts.iter().map(String::as_str));

        let bags: Vec<Bag> = known.things.iter().map(|thing| thing.bag.clone()).collect();
        let things = BagKernel::fit(&bags, &frequencies);
        let words_kernel = things.with(&bags, &frequencies)?;
        let (seen, seen_kernel) = states(known.things.iter().map(Thing::seen).collect(), &SEEN)?;
        let (defined, defined_kernel) = states(known.things.iter().map(Thing::defined).collect(), &DEFINED)?;
        let fit = |kernel: &Tensor| KernelRegression::fit(kernel, known.thing_rows, RIDGE);
        let with_definition = fit(&mean(&[seen_kernel.clone(), words_kernel.clone(), defined_kernel])?)?;
        let without_definition = fit(&mean(&[seen_kernel, words_kernel])?)?;

        let bags: Vec<Bag> = known.actions.iter().map(|action| sources.dictionary.bag_of_action(action)).collect();
        let actions_bags = BagKernel::fit(&bags, &frequencies);
        let words_kernel = actions_bags.with(&bags, &frequencies)?;
        let (done, done_kernel) = states(known.actions.iter().map(|action| done(action)).collect(), &DONE)?;
        let (kind_of, kind_kernel) = states(known.actions.iter().map(|action| kind_of(action)).collect(), &DONE)?;
        let kernel = of_action(&done_kernel, &kind_kernel, &words_kernel)?;
        let actions = KernelRegression::fit(&kernel, known.action_rows, RIDGE)?;
        Ok(Self {
            seen,
            defined,
            with_definition,
            without_definition,
            done,
            kind_of,
            actions,
            words: Words { things, actions: actions_bags, frequencies },
        })
    }

    /// Places things among the classes of the image tower.
    pub fn things(&self, things: &[&Thing], encoder: &LabelEncoder, sources: Sources) -> Result<Placed> {
        let mut order = Vec::new();
        let (mut rows, mut nearest) = (Vec::new(), Vec::new());
        for defined in [true, false] {
            let of_kind: Vec<usize> =
                (0..things.len()).filter(|&i| things[i].definition.is_some() == defined).collect();
            if of_kind.is_empty() {
                continue;
            }
            let alike: Vec<&Thing> = of_kind.iter().map(|&i| things[i]).collect();
            let placed = self.things_alike(&alike, defined, encoder, sources)?;
            order.extend(of_kind);
            rows.push(placed.rows);
            nearest.extend(placed.nearest);
        }
        let mut back: Vec<u32> = (0..order.len() as u32).collect();
        back.sort_by_key(|&at| order[at as usize]);
        Ok(Placed {
            nearest: back.iter().map(|&at| nearest[at as usize]).collect(),
            rows: Tensor::cat(&rows, 0)?.index_select(&Tensor::new(back, &Device::Cpu)?, 0)?,
        })
    }

    /// Things that all have a definition, or all have none: the kernels' guess and the label encoder's.
    fn things_alike(
        &self,
        things: &[&Thing],
        defined: bool,
        encoder: &LabelEncoder,
        sources: Sources,
    ) -> Result<Placed> {
        let bags: Vec<Bag> = things.iter().map(|thing| thing.bag.clone()).collect();
        let seen = sources.phrases.encode(&things.iter().map(|thing| thing.seen()).collect::<Vec<_>>(), &SEEN)?;
        let mut kernels = vec![self.seen.with(&seen)?, self.words.things.with(&bags, &self.words.frequencies)?];
        let mut readings = vec![self.seen.standardised(&seen)?];
        let mut regression = &self.without_definition;
        if defined {
            let phrases = things.iter().map(|thing| thing.defined()).collect::<Vec<_>>();
            let defined = sources.phrases.encode(&phrases, &DEFINED)?;
            kernels.push(self.defined.with(&defined)?);
            readings.push(self.defined.standardised(&defined)?);
            regression = &self.with_definition;
        }
        let kernel = mean(&kernels)?; // [B, N]
        let learned = encoder.place(&Tensor::cat(&readings, 1)?)?; // [B, D]
        let rows = (unit_rows(&regression.predict(&kernel)?)? + (learned * LEARNED)?)?;
        Ok(Placed { rows, nearest: nearest_of(&kernel)? })
    }

    /// Places actions among the classes of the motion network.
    pub fn actions(&self, actions: &[&str], sources: Sources) -> Result<Placed> {
        let bags: Vec<Bag> = actions.iter().map(|action| sources.dictionary.bag_of_action(action)).collect();
        let words = self.words.actions.with(&bags, &self.words.frequencies)?;
        let prompts = |prompt: fn(&str) -> String| actions.iter().map(|action| prompt(action)).collect::<Vec<_>>();
        let done = self.done.with(&sources.phrases.encode(&prompts(done), &DONE)?)?;
        let kind_of = self.kind_of.with(&sources.phrases.encode(&prompts(kind_of), &DONE)?)?;
        let kernel = of_action(&done, &kind_of, &words)?;
        Ok(Placed { rows: self.actions.predict(&kernel)?, nearest: nearest_of(&kernel)? })
    }

    /// Places what is to be seen where something is done among the classes of the image tower, `[B, D]`.
    pub fn scenes(&self, actions: &[&str], sources: Sources) -> Result<Tensor> {
        let phrases: Vec<String> = actions
            .iter()
            .map(|action| format!("In a photo of someone {}, one can see", without_remarks(action).trim()))
            .collect();
        let seen = self.seen.with(&sources.phrases.encode(&phrases, &SEEN)?)?;
        let bags: Vec<Bag> = actions.iter().map(|action| sources.dictionary.bag_of_action(action)).collect();
        let words = self.words.things.with(&bags, &self.words.frequencies)?;
        self.without_definition.predict(&mean(&[seen, words])?)
    }

    /// Its tensors by name, half as precise, and the rest.
    pub fn into_parts(self) -> Result<(HashMap<String, Tensor>, Words)> {
        let mut tensors = HashMap::new();
        let kernels = [("seen", self.seen), ("defined", self.defined), ("done", self.done), ("kind_of", self.kind_of)];
        for (name, StatesKernel { shift, scale, anchors }) in kernels {
            tensors.insert(format!("{name}.shift"), shift);
            tensors.insert(format!("{name}.scale"), scale);
            tensors.insert(format!("{name}.anchors"), anchors.to_dtype(DType::F16)?);
        }
        let regressions = [
            ("with_definition", self.with_definition),
            ("without_definition", self.without_definition),
            ("actions", self.actions),
        ];
        for (name, KernelRegression { coefficients }) in regressions {
            tensors.insert(name.into(), coefficients.to_dtype(DType::F16)?);
        }
        Ok((tensors, self.words))
    }

    /// From such parts.
    ///
    /// # Errors
    /// When a tensor is missing.
    pub fn from_parts(tensors: &HashMap<String, Tensor>, words: Words) -> Result<Self> {
        let tensor = |name: &str| match tensors.get(name) {
            Some(tensor) => tensor.to_dtype(DType::F32),
            None => candle_core::bail!("expected a tensor {name:?}, found none"),
        };
        let kernel = |name: &str| -> Result<StatesKernel> {
            let part = |part: &str| tensor(&format!("{name}.{part}"));
            Ok(StatesKernel { shift: part("shift")?, scale: part("scale")?, anchors: part("anchors")? })
        };
        let regression = |name: &str| Ok::<_, candle_core::Error>(KernelRegression { coefficients: tensor(name)? });
        Ok(Self {
            seen: kernel("seen")?,
            defined: kernel("defined")?,
            with_definition: regression("with_definition")?,
            without_definition: regression("without_definition")?,
            done: kernel("done")?,
            kind_of: kernel("kind_of")?,
            actions: regression("actions")?,
            words,
        })
    }
}

fn mean(kernels: &[Tensor]) -> Result<Tensor> {
    Tensor::stack(kernels, 0)?.mean(0)
}

fn of_action(done: &Tensor, kind_of: &Tensor, words: &Tensor) -> Result<Tensor> {
    ((done + kind_of)? + (words * ACTION_WORDS)?)? / (2.0 + ACTION_WORDS)
}

/// The greatest entry of every row `[B, N]`.
fn nearest_of(kernel: &Tensor) -> Result<Vec<(usize, f32)>> {
    let kernel = kernel.to_device(&Device::Cpu)?;
    let at = kernel.argmax(D::Minus1)?.to_vec1::<u32>()?;
    Ok(at.into_iter().map(|at| at as usize).zip(kernel.max(D::Minus1)?.to_vec1::<f32>()?).collect())
}
