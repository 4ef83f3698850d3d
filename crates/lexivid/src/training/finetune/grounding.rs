use super::{GroundingConfig, below, happens, regularization::distance};
use crate::{
    label::{Label, LabelList},
    models::{Additions, Disturbance, LabelSide, LabelTexts, Model, ModelError},
    training::TrainingError,
};
use candle_core::{Device, Tensor};
use rand_chacha::ChaCha8Rng;
use std::collections::HashSet;

/// Words that validation looks at.
const VALIDATED: usize = 128;

/// The label encoder learns to say in soft attributes what the frozen text encoder says by name, of words that it knows: what it then
/// says of a word that the text encoder does not know comes from the language model alone \[ours\].
pub(super) struct Grounding {
    config: GroundingConfig,
    words: HashSet<String>,
    texts: LabelTexts,
}

impl Grounding {
    /// Reads the words.
    pub fn new(
        config: &GroundingConfig,
        base: &dyn Model,
        label_side: &LabelSide,
        additions: &Additions,
    ) -> Result<Self, TrainingError> {
        let bad =
            |e: crate::label::LabelError| TrainingError::Config { path: config.words.clone(), reason: e.to_string() };
        let words = LabelList::from_file(&config.words).map_err(bad)?;
        let mut texts = label_side.read(base, &words)?;
        label_side.keep_states(additions, &mut texts)?;
        let words = words.iter().map(|word| word.name.clone()).collect();
        Ok(Self { config: config.clone(), words, texts })
    }

    /// How the labels of a step, rows of `all`, are disturbed; strangers are drawn from `trained`. Only what is among the words can be as if
    /// it were not known; of another label its name is all that the text encoder has.
    pub fn disturb(&self, all: &[Label], labels: &[u32], trained: &[u32], random: &mut ChaCha8Rng) -> Disturbance {
        let GroundingConfig { nameless, strangers, .. } = self.config;
        let known: Vec<bool> = (labels.iter())
            .map(|&label| all.get(label as usize).is_some_and(|label| self.words.contains(&label.name)))
            .collect();
        Disturbance {
            nameless: known.iter().map(|known| happens(random, nameless) && *known).collect(),
            stranger: (known.iter())
                .map(|known| (happens(random, strangers) && *known).then(|| trained[below(random, trained.len())]))
                .collect(),
        }
    }

    /// 1 - cos(soft(w), plain(w)) of words without their names, times its weight.
    pub fn loss(
        &self,
        base: &dyn Model,
        label_side: &LabelSide,
        additions: &Additions,
        random: &mut ChaCha8Rng,
    ) -> Result<Tensor, TrainingError> {
        let words: Vec<u32> = (0..self.config.batch).map(|_| below(random, self.texts.len()) as u32).collect();
        Ok((self.distance(base, label_side, additions, &words)? * self.config.weight)?)
    }

    /// cos(soft(w), plain(w)), the mean over words spread over the whole file.
    pub fn cosine(
        &self,
        base: &dyn Model,
        label_side: &LabelSide,
        additions: &Additions,
    ) -> Result<f64, TrainingError> {
        let step = self.texts.len().div_ceil(VALIDATED).max(1);
        let words: Vec<u32> = (0..self.texts.len() as u32).step_by(step).collect();
        Ok(1.0 - f64::from(self.distance(base, label_side, additions, &words)?.to_scalar::<f32>()?))
    }

    /// 1 - cos(soft(w), plain(w)), the mean over words, without their names.
    fn distance(
        &self,
        base: &dyn Model,
        label_side: &LabelSide,
        additions: &Additions,
        words: &[u32],
    ) -> Result<Tensor, TrainingError> {
        let disturbance = Disturbance { nameless: vec![true; words.len()], stranger: vec![None; words.len()] };
        let embedded = label_side.embed(base, additions, &self.texts, words, Some(&disturbance))?;
        let Some(soft) = embedded.soft else {
            return Err(ModelError::NoTowers { name: base.about().name.clone() }.into());
        };
        let words = Tensor::from_slice(words, words.len(), &Device::Cpu)?;
        Ok(distance(&soft, &self.texts.plain.index_select(&words, 0)?)?)
    }
}
