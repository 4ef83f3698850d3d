use super::{LossConfig, RegularizationConfig, SyntheticConfig};
use crate::{
    label_embedding::{LabelEncoderConfig, Prompts},
    models::{AdditionsConfig, HeadsConfig},
    soft_attributes::{PromptingConfig, Reader},
    training::{Plan, TrainingError, TrainingPrecision},
    video_embedding::TemporalConfig,
};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The file that a finetuning follows. Paths count from where it lies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinetuneConfig {
    /// Start values, and the order of examples, depend on it.
    pub seed: u64,
    /// The frozen model: a name, a hub id or a directory.
    pub model: String,
    /// In what precision the frozen model, and the products of a temporal branch, compute; what is trained is f32.
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
    /// How much an action counts in it, a thing counting 1: things outnumber actions, and are seen without looking along time.
    #[serde(default = "unweighted")]
    pub action_weight: f32,
    /// Which embeddings have a residual head.
    #[serde(default)]
    pub heads: HeadsConfig,
    /// The temporal branch, if there is to be one.
    #[serde(default)]
    pub temporal: Option<TemporalConfig>,
    /// How the text encoder embeds a label by itself.
    #[serde(default)]
    pub prompts: Prompts,
    /// The label encoder, if there is to be one.
    #[serde(default)]
    pub label_encoder: Option<LabelEncoderConfig>,
    /// Labels of a kind a step: so many things and so many actions, drawn anew for each; all of them if that is not said.
    #[serde(default)]
    pub labels_a_step: Option<usize>,
    /// How the label encoder learns what the frozen text encoder knows.
    #[serde(default)]
    pub grounding: Option<GroundingConfig>,
    /// Labels that were proposed by a language model, as soft targets.
    #[serde(default)]
    pub synthetic: Option<SyntheticConfig>,
    /// What keeps the open vocabulary.
    #[serde(default)]
    pub regularization: RegularizationConfig,
    /// How long and how fast.
    pub plan: Plan,
}

/// Words that the frozen text encoder knows, whether they are labels or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroundingConfig {
    /// One a line, or a vocabulary.
    pub words: PathBuf,
    /// Words a step.
    pub batch: usize,
    /// Of the loss, 1 - cos(soft(w), plain(w)), soft attributes alone being given to the text encoder.
    pub weight: f64,
    /// Share of labels among the words whose name the text encoder does not get in training.
    #[serde(default)]
    pub nameless: f32,
    /// Share of labels among the words that come with another label's plain embedding in training, as if the text encoder did not know them.
    #[serde(default)]
    pub strangers: f32,
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

fn unweighted() -> f32 {
    1.0
}

impl FinetuneConfig {
    /// What is trained on top of the frozen model.
    pub fn additions(&self) -> AdditionsConfig {
        AdditionsConfig {
            heads: self.heads,
            temporal: self.temporal,
            prompts: self.prompts.clone(),
            label_encoder: self.label_encoder.clone(),
        }
    }

    /// What cannot be, before anything is computed.
    ///
    /// # Errors
    /// When it is so configured.
    pub fn check(&self) -> Result<(), TrainingError> {
        let bad = |field: &str, reason: String| Err(TrainingError::Config { path: field.into(), reason });
        if self.labels_a_step == Some(0) {
            return bad("labels_a_step", "expected at least 1, got 0".into());
        }
        if !(self.action_weight.is_finite() && self.action_weight >= 0.0) {
            return bad("action_weight", format!("expected at least 0, got {}", self.action_weight));
        }
        if let Some(TemporalConfig { blocks, drop_path, .. }) = self.temporal {
            if blocks == 0 {
                return bad("[temporal]", "expected at least 1 block, got 0".into());
            }
            if !(0.0..1.0).contains(&drop_path) {
                return bad("[temporal]", format!("expected a drop_path from 0 to below 1, got {drop_path}"));
            }
        }
        if let Some(SyntheticConfig { weight, .. }) = &self.synthetic
            && !(weight.is_finite() && *weight >= 0.0)
        {
            return bad("[synthetic]", format!("expected a weight of at least 0, got {weight}"));
        }
        if let Some(grounding) = &self.grounding {
            if self.label_encoder.is_none() {
                return bad("[grounding]", "expected a [label_encoder] that learns by it, found none".into());
            }
            if grounding.batch == 0 {
                return bad("[grounding]", "expected a batch of at least 1, got 0".into());
            }
        }
        match &self.label_encoder {
            Some(LabelEncoderConfig { attributes: 0, .. }) => {
                bad("[label_encoder]", "expected at least 1 attribute, got 0".into())
            }
            Some(LabelEncoderConfig { reader: Reader::Prompting(PromptingConfig { width, heads, .. }), .. })
                if *width == 0 || *heads == 0 || width % heads != 0 =>
            {
                bad(
                    "[label_encoder]",
                    format!("expected a width that divides among its heads, got {width} and {heads}"),
                )
            }
            _ => Ok(()),
        }
    }

    /// With paths that count from the directory `dir`. A model that is no directory there is a name.
    pub fn beside(mut self, dir: &Path) -> Self {
        self.manifest = dir.join(&self.manifest);
        self.labels = dir.join(&self.labels);
        if let Some(grounding) = &mut self.grounding {
            grounding.words = dir.join(&grounding.words);
        }
        if let Some(synthetic) = &mut self.synthetic {
            synthetic.review = dir.join(&synthetic.review);
        }
        let mut language_models: Vec<&mut String> = Vec::new();
        language_models.extend(self.label_encoder.as_mut().map(|encoder| &mut encoder.language_model));
        if let Prompts::Attributes { language_model } = &mut self.prompts {
            language_models.push(language_model);
        }
        for language_model in language_models {
            if let Ok(path) = dir.join(&*language_model).canonicalize() {
                *language_model = path.to_string_lossy().into_owned();
            }
        }
        if let Ok(model) = dir.join(&self.model).canonicalize() {
            self.model = model.to_string_lossy().into_owned();
        }
        self
    }
}
