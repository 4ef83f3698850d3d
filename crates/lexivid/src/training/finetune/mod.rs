//! Finetuning: a frozen model learns the labels of a data set, through what is added to it.
//!
//! Gradients are computed where something trains, and nowhere else: what the frozen model sees of a video is computed once and kept
//! ([`FeatureCache`]).

mod config;
mod evaluation;
mod features;
mod grounding;
mod loss;
mod regularization;
mod synthetic;
#[cfg(test)]
mod tests;

pub use config::{FinetuneConfig, GroundingConfig};
pub use evaluation::evaluate_on;
pub use features::FeatureCache;
pub use loss::{LossConfig, Target, multi_label};
pub use regularization::{InterpolationConfig, RegularizationConfig};
pub use synthetic::SyntheticConfig;

use super::{Gradients, Task, TemporalStart, TrainingError, additions_start};
use crate::{
    classify::ClassifyError,
    dataset::{Example, Manifest, Truth, Truths, Vocabulary},
    eval::{EvaluationOptions, Scores, evaluate, platt},
    features::FrameFeatures,
    label::{Kind, Label},
    label_embedding::Calibration,
    models::{Additions, FINETUNED, FinetunedConfig, LabelSide, LabelTexts, Model, ModelError, Precision},
    nn::{Compute, Weights, unit_rows},
    soft_attributes::LanguageModel,
    video::VideoError,
    video_embedding::{TemporalBranch, TemporalConfig},
};
use candle_core::{Device, Tensor, Var, safetensors};
use grounding::Grounding;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use regularization::{StartWeights, distance};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, HashMap},
    fs,
    ops::ControlFlow,
    path::Path,
};
use synthetic::Synthetic;

/// How far the preparations are.
#[derive(Debug, Clone, Copy)]
pub struct Preparing {
    /// What is done.
    pub what: Preparation,
    /// Examples or labels that are done.
    pub done: usize,
    /// Examples or labels in all.
    pub total: usize,
}

/// What is done before the first step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preparation {
    /// The frozen model looks at examples.
    Examples,
    /// A language model writes attributes of labels.
    Attributes,
}

/// What is known of one split, and what the frozen model sees of it.
struct Split {
    /// f_v of the frozen model, `[E, D]`.
    videos: Tensor,
    /// The frames of every example, where there is a temporal branch to look at them.
    windows: Vec<Vec<FrameFeatures>>,
    /// Which examples of the manifest could be read.
    examples: Vec<Example>,
    truths: Truths,
}

/// A model that is being finetuned.
pub struct Finetuning<'a> {
    config: FinetuneConfig,
    base: &'a dyn Model,
    label_side: LabelSide,
    additions: Additions,
    variables: BTreeMap<String, Var>,
    start: StartWeights,
    train: Split,
    validation: Split,
    vocabulary: Vocabulary,
    texts: LabelTexts,
    /// The labels that are trained on, synthetic ones after those of the vocabulary.
    trained: Vec<u32>,
    synthetic: Option<Synthetic>,
    grounding: Option<Grounding>,
    /// The last validation, for the card.
    validated: Vec<(String, f64)>,
}

impl<'a> Finetuning<'a> {
    /// Looks at both splits with the frozen model; what it sees is kept in the directory `cache`. Videos that cannot be read are told to
    /// `failed` and left out. `observer` is told how far it is; `Break` stops with [`ClassifyError::Interrupted`].
    ///
    /// # Errors
    /// When manifest or vocabulary are not usable, a split has no example that can be read, or no label is known to be there.
    pub fn new(
        config: FinetuneConfig,
        model: &'a dyn Model,
        cache: &Path,
        failed: &mut dyn FnMut(&VideoError),
        observer: &mut dyn FnMut(Preparing) -> ControlFlow<()>,
    ) -> Result<Self, TrainingError> {
        config.check()?;
        let vocabulary = Vocabulary::read(&config.labels)?;
        let manifest = Manifest::read(&config.manifest)?;
        let (train, validation) = (manifest.clone().of_split(&config.train)?, manifest.of_split(&config.validation)?);
        let mut cache = FeatureCache::new(model, config.frames, cache)?;
        if let Some(TemporalConfig { blocks, .. }) = config.temporal {
            let there = model.towers()?.image_tower().config().encoder.layers;
            if blocks > there {
                let reason = format!("expected at most the {there} blocks of the image tower, got {blocks}");
                return Err(TrainingError::Config { path: "[temporal]".into(), reason });
            }
            cache = cache.keeping_blocks(blocks);
        }
        let total = train.examples().len() + validation.examples().len();
        let mut done = 0;
        let mut split = |manifest: &Manifest| -> Result<Split, TrainingError> {
            let (all, _) = manifest.truths(&vocabulary)?;
            let (mut videos, mut windows, mut examples) = (Vec::new(), Vec::new(), Vec::new());
            let mut truths = Truths::new(all.labels());
            for (index, example) in manifest.examples().iter().enumerate() {
                match cache
                    .get(manifest, example, &mut || observer(Preparing { what: Preparation::Examples, done, total }))
                {
                    Ok(frames) => {
                        videos.extend(model.encode_window(&frames.iter().collect::<Vec<_>>(), &[])?.0);
                        truths.push(all.row(index));
                        examples.push(example.clone());
                        if config.temporal.is_some() {
                            windows.push(frames);
                        }
                    }
                    Err(TrainingError::Classify(ClassifyError::Video(error))) => failed(&error),
                    Err(error) => return Err(error),
                }
                done += 1;
            }
            let what = manifest.path().display().to_string();
            if truths.examples() == 0 {
                let expected = "at least one video that can be read".into();
                return Err(TrainingError::Data { what, expected, got: "none".into() });
            }
            let videos = Tensor::from_vec(videos, (truths.examples(), model.dimension()), &Device::Cpu)?;
            Ok(Split { videos, windows, examples, truths })
        };
        let (train, validation) = (split(&train)?, split(&validation)?);

        let mut trained: Vec<u32> = (0..vocabulary.labels().len())
            .filter(|&label| vocabulary.seen(label) != Some(false))
            .filter(|&label| train.truths.rows().any(|row| row[label] == Truth::Positive))
            .map(|label| label as u32)
            .collect();
        if trained.is_empty() {
            return Err(TrainingError::Data {
                what: config.manifest.display().to_string(),
                expected: format!("a label that is there in some example of split {:?}", config.train),
                got: "none".into(),
            });
        }
        let first = model.encode_labels(&vocabulary.labels()[..1])?.swap_remove(0);
        let compute = Compute::new(Device::Cpu, Some(config.precision.into())).map_err(ModelError::from)?;
        let label_side = LabelSide::open(&config.additions(), &compute)?;
        let synthetic = config.synthetic.as_ref().map(|config| Synthetic::read(config, &vocabulary, &trained));
        let synthetic = synthetic.transpose()?;
        let proposed = synthetic.iter().flat_map(|synthetic| &synthetic.labels);
        let labels: Vec<Label> = vocabulary.labels().iter().chain(proposed).cloned().collect();
        let total = labels.len();
        label_side.write_attributes(&labels, &mut |done| {
            observer(Preparing { what: Preparation::Attributes, done, total })
        })?;
        let mut texts = label_side.read(model, &labels)?;

        let prefix_deviation = label_side.language_model().map(LanguageModel::token_deviation).transpose()?;
        let exact = Compute { precision: Precision::F32, ..compute };
        let calibration = fitted(&train, &texts.plain, &trained, first.calibration)?;
        trained.extend(vocabulary.labels().len() as u32..labels.len() as u32);
        let temporal = |branch| -> Result<TemporalStart, ModelError> {
            let towers = model.towers()?;
            Ok(TemporalStart { branch, config: *towers.image_tower().config(), weights: towers.weights()? })
        };
        let temporal = config.temporal.map(temporal).transpose()?;
        let start = additions_start(config.seed, calibration, prefix_deviation.unwrap_or_default(), temporal);
        let weights = Weights::start(start, &exact);
        let additions = Additions::load(&weights.root(), model, &label_side, &config.additions())?;
        label_side.keep_states(&additions, &mut texts)?;
        let grounding = config.grounding.as_ref().map(|config| Grounding::new(config, model, &label_side, &additions));
        let variables = weights.variables();
        Ok(Self {
            base: model,
            label_side,
            start: StartWeights::of(&variables)?,
            additions,
            variables,
            train,
            validation,
            vocabulary,
            texts,
            trained,
            synthetic,
            grounding: grounding.transpose()?,
            validated: Vec::new(),
            config,
        })
    }

    /// How many labels are trained on.
    pub fn trained_labels(&self) -> usize {
        self.trained.len()
    }

    /// How many numbers are trained.
    pub fn size(&self) -> usize {
        self.variables.values().map(|variable| variable.elem_count()).sum()
    }

    /// s / tau + b of videos `[B, D]` and labels `[L, D]`, both L2-normalised: `[B, L]`.
    fn logits(&self, videos: &Tensor, labels: &Tensor) -> candle_core::Result<Tensor> {
        let s = videos.matmul(&labels.t()?)?; // [B, L]
        s.broadcast_mul(&self.additions.log_scale.exp()?)?.broadcast_add(&self.additions.bias)
    }

    /// f_v of the examples `chosen`, `[B, D]`, L2-normalised, and that of the frozen model.
    fn videos(&self, split: &Split, chosen: &[u32], shares: Option<&[f32]>) -> Result<(Tensor, Tensor), TrainingError> {
        let frozen = split.videos.index_select(&Tensor::from_slice(chosen, chosen.len(), &Device::Cpu)?, 0)?;
        let windows: Vec<Vec<&FrameFeatures>> = match split.windows.as_slice() {
            [] => Vec::new(),
            windows => chosen.iter().map(|&example| windows[example as usize].iter().collect()).collect(),
        };
        Ok((unit_rows(&self.additions.videos(self.base, &frozen, &windows, shares)?)?, frozen))
    }

    /// What the branch's part in every example of a step is multiplied by: nothing is dropped on the average.
    fn shares(&self, count: usize, random: &mut ChaCha8Rng) -> Option<Vec<f32>> {
        let dropped =
            self.additions.temporal.as_ref().map(TemporalBranch::drop_path).filter(|&dropped| dropped > 0.0)?;
        Some((0..count).map(|_| if happens(random, dropped) { 0.0 } else { 1.0 / (1.0 - dropped) }).collect())
    }

    /// f_t of the vocabulary's labels, `[L, D]`, L2-normalised, without gradients.
    fn all_labels(&self) -> Result<Tensor, TrainingError> {
        let all: Vec<u32> = (0..self.vocabulary.labels().len() as u32).collect();
        let parts = all.chunks(LABELS_AT_ONCE).map(|chosen| {
            let embedded = self.label_side.embed(self.base, &self.additions, &self.texts, chosen, None)?;
            Ok(unit_rows(&embedded.labels)?.detach())
        });
        Ok(Tensor::cat(&parts.collect::<Result<Vec<_>, TrainingError>>()?, 0)?)
    }

    /// The loss of one part of a step, and all that is added to it.
    fn loss(&self, batch: u64, random: &mut ChaCha8Rng) -> Result<Tensor, TrainingError> {
        let chosen = examples(self.config.seed, batch, self.config.batch, self.train.truths.examples());
        let (labels, stand_for) = self.labels_of_step(random);
        let all = self.vocabulary.labels();
        let disturbance =
            (self.grounding.as_ref()).map(|grounding| grounding.disturb(all, &labels, &self.trained, random));
        let targets = |&example: &u32| {
            let targets = self.targets(example as usize, &labels);
            targets.into_iter().zip(&stand_for).map(|(target, &labels)| target * labels).collect::<Vec<_>>()
        };
        let targets: Vec<Target> = chosen.iter().flat_map(targets).collect();
        let shares = self.shares(chosen.len(), random);
        let (videos, frozen) = self.videos(&self.train, &chosen, shares.as_deref())?;
        let embedded = self.label_side.embed(self.base, &self.additions, &self.texts, &labels, disturbance.as_ref())?;
        let embedded = unit_rows(&embedded.labels)?; // [l, D]
        let mut loss = multi_label(self.config.loss, &self.logits(&videos, &embedded)?, &targets)?;
        let RegularizationConfig { distil_video, distil_label, .. } = self.config.regularization;
        if distil_video > 0.0 {
            loss = (loss + (distance(&videos, &frozen)? * distil_video)?)?;
        }
        if distil_label > 0.0 {
            let labels = Tensor::from_slice(&labels, labels.len(), &Device::Cpu)?;
            let plain = self.texts.plain.index_select(&labels, 0)?;
            loss = (loss + (distance(&embedded, &plain)? * distil_label)?)?;
        }
        if let Some(grounding) = &self.grounding {
            loss = (loss + grounding.loss(self.base, &self.label_side, &self.additions, random)?)?;
        }
        Ok(loss)
    }

    /// What is known of these labels in a training example.
    fn targets(&self, example: usize, labels: &[u32]) -> Vec<Target> {
        let row = self.train.truths.row(example);
        let proposed = match &self.synthetic {
            Some(synthetic) => synthetic.proposed_for(&self.train.examples[example]),
            None => Vec::new(),
        };
        let target = |&label: &u32| match (row.get(label as usize), &self.synthetic) {
            (None, Some(synthetic)) => synthetic.target(label as usize - row.len(), row, &proposed),
            (truth, _) => {
                let target = truth.copied().map(Target::from).unwrap_or_default();
                if self.is_action(label) { target * self.config.action_weight } else { target }
            }
        };
        labels.iter().map(target).collect()
    }

    fn is_action(&self, label: u32) -> bool {
        self.vocabulary.labels().get(label as usize).is_some_and(|label| label.kind == Some(Kind::Action))
    }

    /// The labels of one step, and of how many of its kind each stands for.
    fn labels_of_step(&self, random: &mut ChaCha8Rng) -> (Vec<u32>, Vec<f32>) {
        let (actions, things): (Vec<u32>, Vec<u32>) = self.trained.iter().partition(|&&label| self.is_action(label));
        let (mut labels, mut stand_for) = (Vec::new(), Vec::new());
        for mut kind in [things, actions] {
            let all = kind.len();
            if let Some(count) = self.config.labels_a_step.filter(|&count| count < all) {
                for i in 0..count {
                    let other = i + below(random, all - i);
                    kind.swap(i, other);
                }
                kind.truncate(count);
            }
            stand_for.extend(kind.iter().map(|_| all as f32 / kind.len() as f32));
            labels.extend(kind);
        }
        (labels, stand_for)
    }
}

/// Examples by which scale and bias begin.
const FITTED_EXAMPLES: usize = 4096;

/// Scale and bias by which the frozen model fits the examples best, so that the first steps need not move all embeddings apart to get the
/// number of positives right. Where the frozen model is no better than a guess, logits spread by at most 1 about the right number of
/// positives: its `own` scale would be sure of what it does not know. Its `own` where no label is known to be absent.
fn fitted(train: &Split, plain: &Tensor, trained: &[u32], own: Calibration) -> Result<Calibration, TrainingError> {
    let count = train.truths.examples().min(FITTED_EXAMPLES);
    let labels = plain.index_select(&Tensor::from_slice(trained, trained.len(), &Device::Cpu)?, 0)?;
    let s = train.videos.narrow(0, 0, count)?.matmul(&labels.t()?)?.to_vec2::<f32>()?;
    let known: Vec<(f32, bool)> = (s.iter().zip(train.truths.rows()))
        .flat_map(|(s, truths)| s.iter().zip(trained).map(|(&s, &label)| (s, truths[label as usize])))
        .filter_map(|(s, truth)| match truth {
            Truth::Positive => Some((s, true)),
            Truth::Negative => Some((s, false)),
            Truth::Unknown => None,
        })
        .collect();
    let n = known.len() as f32;
    let positives = known.iter().filter(|(_, present)| *present).count() as f32;
    let mean = known.iter().map(|(s, _)| s / n).sum::<f32>();
    let spread = known.iter().map(|(s, _)| (s - mean).powi(2) / n).sum::<f32>().sqrt();
    let guess = || {
        let scale = own.scale.min(1.0 / spread);
        let bias = (positives / (n - positives)).ln() - scale * mean;
        if bias.is_finite() { Calibration { scale, bias } } else { own }
    };
    Ok(platt::fit(known.iter().copied()).unwrap_or_else(|_| guess()))
}

/// Videos that are embedded at once where no gradient is wanted; bounds memory.
const VIDEOS_AT_ONCE: usize = 64;

/// Labels that are embedded at once where no gradient is wanted; bounds memory.
const LABELS_AT_ONCE: usize = 64;

/// What chance decides in a step: the same for the same step.
fn random(seed: u64, what: &str, step: u64) -> ChaCha8Rng {
    ChaCha8Rng::from_seed(Sha256::digest(format!("{seed} {what} {step}")).into())
}

/// A number below `count`.
fn below(random: &mut ChaCha8Rng, count: usize) -> usize {
    ((u64::from(random.next_u32()) * count as u64) >> 32) as usize
}

/// Whether something of this probability happens.
fn happens(random: &mut ChaCha8Rng, probability: f32) -> bool {
    (random.next_u32() as f32) < probability * u32::MAX as f32
}

/// The examples of batch number `batch`: all of them once in an order of its own for every round.
fn examples(seed: u64, batch: u64, size: usize, count: usize) -> Vec<u32> {
    let mut order = Vec::new();
    let mut ordered = None;
    let places = (0..size as u64).map(|i| batch * size as u64 + i);
    places
        .map(|place| {
            let round = place / count as u64;
            if ordered != Some(round) {
                order = (0..count as u32).collect();
                let mut random = ChaCha8Rng::from_seed(Sha256::digest(format!("{seed} round {round}")).into());
                for i in (1..order.len()).rev() {
                    order.swap(i, ((u64::from(random.next_u32()) * (i as u64 + 1)) >> 32) as usize);
                }
                ordered = Some(round);
            }
            order[(place % count as u64) as usize]
        })
        .collect()
}

impl Task for Finetuning<'_> {
    fn variables(&self) -> &BTreeMap<String, Var> {
        &self.variables
    }

    fn gradients(&mut self, step: u64) -> Result<Gradients, TrainingError> {
        let parts = self.config.accumulate.max(1) as u64;
        let mut sum: Option<Gradients> = None;
        for part in step * parts..(step + 1) * parts {
            // Both losses of a part see the same examples, labels and disturbances.
            let at_these_weights = |weight: f64| {
                let loss = (self.loss(part, &mut random(self.config.seed, "step", part))? * (weight / parts as f64))?;
                Gradients::collect(loss.to_scalar::<f32>()?.into(), &self.variables, &loss.backward()?)
            };
            let mut gradients = at_these_weights(1.0)?;
            if let Some(InterpolationConfig { weight, greatest }) = self.config.regularization.interpolation {
                let mut random = random(self.config.seed, "between", part);
                let between = self.start.between(&self.variables, greatest, &mut random, || at_these_weights(weight));
                let (mut between, a) = between?;
                // d theta_a / d theta = 1 - a.
                between.of.iter_mut().flatten().for_each(|x| *x *= (1.0 - a) as f32);
                gradients = gradients.plus(&between);
            }
            sum = Some(match sum {
                Some(sum) => sum.plus(&gradients),
                None => gradients,
            });
        }
        Ok(sum.expect("at least one part"))
    }

    fn validate(&mut self) -> Result<Vec<(String, f64)>, TrainingError> {
        let labels = self.all_labels()?;
        let mut scores = Scores::new(self.validation.truths.labels());
        let all: Vec<u32> = (0..self.validation.truths.examples() as u32).collect();
        for chosen in all.chunks(VIDEOS_AT_ONCE) {
            let (videos, _) = self.videos(&self.validation, chosen, None)?;
            let probabilities = candle_nn::ops::sigmoid(&self.logits(&videos.detach(), &labels)?)?;
            for row in probabilities.detach().to_vec2::<f32>()? {
                scores.push(&row)?;
            }
        }
        let options = EvaluationOptions::new(scores.labels(), 0.5);
        let evaluation = evaluate(&scores, &self.validation.truths, &self.vocabulary, &options)?;
        let numbers = evaluation.groups.first().into_iter().flat_map(|all| {
            [
                ("mAP", all.mean_average_precision),
                ("micro AP", all.micro_average_precision),
                ("ECE", all.calibration_error),
            ]
        });
        self.validated = numbers.filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        if let Some(encoder) = &self.additions.label_encoder {
            self.validated.push(("gate".into(), encoder.gate().to_scalar::<f32>()?.into()));
        }
        if let Some(grounding) = &self.grounding {
            let cosine = grounding.cosine(self.base, &self.label_side, &self.additions)?;
            self.validated.push(("grounding cosine".into(), cosine));
        }
        Ok(self.validated.clone())
    }

    fn save(&self, dir: &Path, step: u64) -> Result<(), TrainingError> {
        let write =
            |file: &str, text: String| fs::write(dir.join(file), text).map_err(TrainingError::io(dir.join(file)));
        let config = FinetunedConfig {
            model_type: FINETUNED.into(),
            base: self.config.model.clone(),
            base_fingerprint: self.base.about().fingerprint.clone(),
            language_model_sha256: self.label_side.digest().map(str::to_owned),
            attributes_sha256: self.label_side.digest_of_writer().map(str::to_owned),
            additions: self.config.additions(),
        };
        write("config.json", serde_json::to_string_pretty(&config).expect("plain fields"))?;
        let tensors: HashMap<_, _> =
            self.variables.iter().map(|(name, variable)| (name.clone(), variable.as_tensor().clone())).collect();
        safetensors::save(&tensors, dir.join("model.safetensors"))?;
        let numbers: String = self.validated.iter().map(|(name, value)| format!("- {name}: {value:.3}\n")).collect();
        let FinetuneConfig { model, train, validation, manifest, .. } = &self.config;
        let manifest = manifest.file_name().unwrap_or_default().to_string_lossy();
        write(
            "MODEL.md",
            format!(
                "# {model}, finetuned\n\n{} numbers trained for {step} steps on {} examples (split {train} of \
                 {manifest}) with {} labels; the model beneath is frozen. On split {validation}:\n\n{numbers}",
                self.size(),
                self.train.truths.examples(),
                self.trained.len(),
            ),
        )
    }
}
