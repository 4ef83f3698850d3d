//! Finetuning: a frozen model learns the labels of a data set, through residual heads, a scale and a bias.
//!
//! Gradients are computed where something trains, and nowhere else: what the frozen model sees of a video is computed once and kept
//! ([`FeatureCache`]).

mod features;
mod loss;
#[cfg(test)]
mod tests;

pub use features::FeatureCache;
pub use loss::{LossConfig, multi_label};

use super::{Gradients, Plan, Task, TrainingError, TrainingPrecision, heads_start};
use crate::{
    classify::ClassifyError,
    dataset::{Manifest, Truth, Truths, Vocabulary},
    eval::{EvaluationOptions, Scores, evaluate},
    models::{FINETUNED, FinetunedConfig, Heads, HeadsConfig, Model, ModelError, Precision},
    nn::{Compute, Weights, unit_rows},
    video::VideoError,
};
use candle_core::{Device, Tensor, Var, safetensors};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, HashMap},
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

/// The file that a finetuning follows. Paths count from where it lies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinetuneConfig {
    /// Start values, and the order of examples, depend on it.
    pub seed: u64,
    /// The frozen model: a name, a hub id or a directory.
    pub model: String,
    /// In what precision the frozen model computes; what is trained is f32.
    #[serde(default)]
    pub precision: TrainingPrecision,
    /// Examples, with both splits.
    pub manifest: PathBuf,
    /// The vocabulary. Labels that it calls unseen are not trained on.
    pub labels: PathBuf,
    /// The split to learn from.
    #[serde(default = "train")]
    pub train: String,
    /// The split to choose by.
    #[serde(default = "val")]
    pub validation: String,
    /// Frames looked at in an example.
    #[serde(default = "eight")]
    pub frames: usize,
    /// Examples a step, all at once.
    pub batch: usize,
    /// Batches whose gradients make one step.
    #[serde(default = "one")]
    pub accumulate: usize,
    /// What is made smaller.
    pub loss: LossConfig,
    /// What is trained.
    pub heads: HeadsConfig,
    /// How long and how fast.
    pub plan: Plan,
}

fn train() -> String {
    "train".into()
}

fn val() -> String {
    "val".into()
}

fn eight() -> usize {
    8
}

fn one() -> usize {
    1
}

impl FinetuneConfig {
    /// With paths that count from the directory `dir`. A model that is no directory there is a name.
    pub fn beside(mut self, dir: &Path) -> Self {
        self.manifest = dir.join(&self.manifest);
        self.labels = dir.join(&self.labels);
        if let Ok(model) = dir.join(&self.model).canonicalize() {
            self.model = model.to_string_lossy().into_owned();
        }
        self
    }
}

/// How far the looking is.
#[derive(Debug, Clone, Copy)]
pub struct Looking {
    /// Examples looked at.
    pub done: usize,
    /// Examples in all.
    pub total: usize,
}

/// What is known of one split, and what the frozen model sees of it.
struct Split {
    /// f_v of the frozen model, `[E, D]`.
    videos: Tensor,
    truths: Truths,
}

/// A model that is being finetuned.
pub struct Finetuning {
    config: FinetuneConfig,
    base_fingerprint: String,
    heads: Heads,
    variables: BTreeMap<String, Var>,
    train: Split,
    validation: Split,
    vocabulary: Vocabulary,
    /// f_t of the frozen model, `[L, D]`.
    labels: Tensor,
    /// The labels that are trained on.
    trained: Vec<u32>,
    /// The last validation, for the card.
    validated: Vec<(String, f64)>,
}

impl Finetuning {
    /// Looks at both splits with the frozen model; what it sees is kept in the directory `cache`. Videos that cannot be read are told to
    /// `failed` and left out. `observer` is told how far it is; `Break` stops with [`ClassifyError::Interrupted`].
    ///
    /// # Errors
    /// When manifest or vocabulary are not usable, a split has no example that can be read, or no label is known to be there.
    pub fn new(
        config: FinetuneConfig,
        model: &dyn Model,
        cache: &Path,
        failed: &mut dyn FnMut(&VideoError),
        observer: &mut dyn FnMut(Looking) -> ControlFlow<()>,
    ) -> Result<Self, TrainingError> {
        let vocabulary = Vocabulary::read(&config.labels)?;
        let manifest = Manifest::read(&config.manifest)?;
        let (train, validation) = (manifest.clone().of_split(&config.train)?, manifest.of_split(&config.validation)?);
        let cache = FeatureCache::new(model, config.frames, cache)?;
        let total = train.examples().len() + validation.examples().len();
        let mut done = 0;
        let mut split = |manifest: &Manifest| -> Result<Split, TrainingError> {
            let (all, _) = manifest.truths(&vocabulary)?;
            let (mut videos, mut truths) = (Vec::new(), Truths::new(all.labels()));
            for (index, example) in manifest.examples().iter().enumerate() {
                match cache.get(manifest, example, &mut || observer(Looking { done, total })) {
                    Ok(frames) => {
                        videos.extend(model.encode_window(&frames.iter().collect::<Vec<_>>())?.0);
                        truths.push(all.row(index));
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
            Ok(Split { videos, truths })
        };
        let (train, validation) = (split(&train)?, split(&validation)?);

        let trained: Vec<u32> = (0..vocabulary.labels().len())
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
        let mut embeddings = Vec::new();
        for batch in vocabulary.labels().chunks(model.label_batch()) {
            embeddings.extend(model.encode_labels(batch)?);
        }
        let Some(calibration) = embeddings.first().map(|embedding| embedding.calibration) else {
            unreachable!("a vocabulary has at least one label");
        };
        let width = model.dimension();
        let labels: Vec<f32> = embeddings.into_iter().flat_map(|embedding| embedding.vector).collect();
        let labels = Tensor::from_vec(labels, (vocabulary.labels().len(), width), &Device::Cpu)?;

        let compute = Compute::new(Device::Cpu, Some(Precision::F32)).map_err(ModelError::from)?;
        let weights = Weights::start(heads_start(config.seed, calibration), &compute);
        let heads = Heads::load(&weights.root(), width, &config.heads)?;
        let (base_fingerprint, variables) = (model.about().fingerprint.clone(), weights.variables());
        let validated = Vec::new();
        Ok(Self {
            config,
            base_fingerprint,
            heads,
            variables,
            train,
            validation,
            vocabulary,
            labels,
            trained,
            validated,
        })
    }

    /// How many labels are trained on.
    pub fn trained_labels(&self) -> usize {
        self.trained.len()
    }

    /// s / tau + b of videos `[B, D]` and labels `[L, D]`: `[B, L]`.
    fn logits(&self, videos: &Tensor, labels: &Tensor) -> candle_core::Result<Tensor> {
        let videos = unit_rows(&self.heads.video(videos)?)?;
        let labels = unit_rows(&self.heads.label(labels)?)?;
        let s = videos.matmul(&labels.t()?)?; // [B, L]
        s.broadcast_mul(&self.heads.log_scale.exp()?)?.broadcast_add(&self.heads.bias)
    }
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

impl Task for Finetuning {
    fn variables(&self) -> &BTreeMap<String, Var> {
        &self.variables
    }

    fn gradients(&mut self, step: u64) -> Result<Gradients, TrainingError> {
        let count = self.train.truths.examples();
        let trained = Tensor::from_slice(&self.trained, self.trained.len(), &Device::Cpu)?;
        let labels = self.labels.index_select(&trained, 0)?; // [L, D]
        let parts = self.config.accumulate.max(1);
        let mut sum: Option<Gradients> = None;
        for part in 0..parts as u64 {
            let chosen = examples(self.config.seed, step * parts as u64 + part, self.config.batch, count);
            let truths: Vec<Truth> = chosen
                .iter()
                .flat_map(|&e| self.trained.iter().map(move |&l| (e, l)))
                .map(|(e, l)| self.train.truths.row(e as usize)[l as usize])
                .collect();
            let chosen = Tensor::from_slice(&chosen, chosen.len(), &Device::Cpu)?;
            let videos = self.train.videos.index_select(&chosen, 0)?; // [B, D]
            let loss = (multi_label(self.config.loss, &self.logits(&videos, &labels)?, &truths)? / parts as f64)?;
            let gradients = Gradients::collect(loss.to_scalar::<f32>()?.into(), &self.variables, &loss.backward()?)?;
            sum = Some(match sum {
                Some(sum) => sum.plus(&gradients),
                None => gradients,
            });
        }
        Ok(sum.expect("at least one part"))
    }

    fn validate(&mut self) -> Result<Vec<(String, f64)>, TrainingError> {
        let probabilities = candle_nn::ops::sigmoid(&self.logits(&self.validation.videos, &self.labels)?)?;
        let mut scores = Scores::new(self.validation.truths.labels());
        for row in probabilities.detach().to_vec2::<f32>()? {
            scores.push(&row)?;
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
        Ok(self.validated.clone())
    }

    fn save(&self, dir: &Path, step: u64) -> Result<(), TrainingError> {
        let write =
            |file: &str, text: String| fs::write(dir.join(file), text).map_err(TrainingError::io(dir.join(file)));
        let config = FinetunedConfig {
            model_type: FINETUNED.into(),
            base: self.config.model.clone(),
            base_fingerprint: self.base_fingerprint.clone(),
            heads: self.config.heads,
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
                "# {model}, finetuned\n\nResidual heads, scale and bias, trained for {step} steps on {} examples (split {train} of \
                 {manifest}) with {} labels; the model beneath is frozen. On split {validation}:\n\n{numbers}",
                self.train.truths.examples(),
                self.trained.len(),
            ),
        )
    }
}
