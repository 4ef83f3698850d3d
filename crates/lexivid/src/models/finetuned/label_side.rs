use super::Additions;
use crate::{
    label::Label,
    label_embedding::{LabelEncoderConfig, Origin},
    models::{Model, ModelError, fingerprint, store::Store},
    nn::Compute,
    soft_attributes::{LanguageModel, States},
};
use candle_core::{Device, Tensor};

/// The frozen models that labels go through, besides the base's text encoder.
pub struct LabelSide {
    language: Option<(LanguageModel, String)>,
}

/// Labels as the frozen models read them.
pub struct LabelTexts {
    /// The text encoder's tokens of the plain names, start and end included.
    names: Vec<Vec<u32>>,
    /// The language model's tokens.
    rows: Vec<Vec<u32>>,
    /// The base's embeddings of the plain prompts, `[L, D]`, L2-normalised.
    pub plain: Tensor,
    /// Where those come from.
    pub origins: Vec<Origin>,
    /// H(l) of every label, once it was computed without prefixes: it never changes then.
    states: Vec<States>,
}

/// What a batch of labels came to.
pub struct EmbeddedLabels {
    /// f_t, `[B, D]`, not normalised after its head.
    pub labels: Tensor,
    /// soft(l), `[B, D]`, L2-normalised, where there is a label encoder.
    pub soft: Option<Tensor>,
    /// A(l), `[B, k, W_t]`, where there is a label encoder.
    pub attributes: Option<Tensor>,
}

/// How labels are disturbed in training, one entry a label of the batch.
pub struct Disturbance {
    /// The text encoder does not get the name: soft attributes must say it all.
    pub nameless: Vec<bool>,
    /// The plain embedding is that of another label, as if the text encoder did not know this one.
    pub stranger: Vec<Option<u32>>,
}

impl LabelSide {
    /// Opens the language model, where the configuration has one that is read.
    pub fn open(config: Option<&LabelEncoderConfig>, compute: &Compute) -> Result<Self, ModelError> {
        let Some(config) = config.filter(|config| config.reader.reads()) else { return Ok(Self { language: None }) };
        let store = Store::from_env()?;
        let path = store.language_model(&config.language_model)?;
        let digest = fingerprint::of_language_model(&path, &store.known_digests())?;
        let model = LanguageModel::open(&path, config.layers, compute)?;
        Ok(Self { language: Some((model, digest)) })
    }

    /// The language model, if there is one.
    pub fn language_model(&self) -> Option<&LanguageModel> {
        self.language.as_ref().map(|(model, _)| model)
    }

    /// SHA-256 of the language model: of its file, or of its directory's files.
    pub fn digest(&self) -> Option<&str> {
        self.language.as_ref().map(|(_, digest)| digest.as_str())
    }

    /// Tokens and plain embeddings of labels.
    pub fn read(&self, base: &dyn Model, labels: &[Label]) -> Result<LabelTexts, ModelError> {
        let (mut plain, mut origins) = (Vec::with_capacity(labels.len() * base.dimension()), Vec::new());
        for batch in labels.chunks(base.label_batch()) {
            for embedding in base.encode_labels(batch)? {
                plain.extend(embedding.vector);
                origins.push(embedding.origin);
            }
        }
        let plain = Tensor::from_vec(plain, (labels.len(), base.dimension()), &Device::Cpu)?;
        let (names, rows) = match base.towers() {
            Ok(towers) => {
                let names = labels.iter().map(|label| towers.name_tokens(&label.name));
                let rows = labels.iter().map(|label| match self.language_model() {
                    Some(model) => model.tokens(label),
                    None => Ok(Vec::new()),
                });
                (names.collect::<Result<_, _>>()?, rows.collect::<Result<_, _>>()?)
            }
            Err(_) => (Vec::new(), Vec::new()),
        };
        Ok(LabelTexts { names, rows, plain, origins, states: Vec::new() })
    }

    /// Computes H(l) of all labels for good, where no prefix changes it.
    pub fn keep_states(&self, additions: &Additions, texts: &mut LabelTexts) -> Result<(), ModelError> {
        if let (Some(model), Some(encoder)) = (self.language_model(), &additions.label_encoder)
            && encoder.attributes().prefixes().is_none()
        {
            let states = texts.rows.iter().map(|row| encoder.attributes().states(model, &[row]));
            texts.states = states.collect::<Result<_, _>>()?;
        }
        Ok(())
    }

    /// f_t of the labels `chosen` of `texts`.
    pub fn embed(
        &self,
        base: &dyn Model,
        additions: &Additions,
        texts: &LabelTexts,
        chosen: &[u32],
        disturbance: Option<&Disturbance>,
    ) -> Result<EmbeddedLabels, ModelError> {
        let index = |ids: &[u32]| Tensor::from_slice(ids, ids.len(), &Device::Cpu);
        let Some(encoder) = &additions.label_encoder else {
            let plain = texts.plain.index_select(&index(chosen)?, 0)?;
            return Ok(EmbeddedLabels { labels: additions.label(&plain)?, soft: None, attributes: None });
        };
        let towers = base.towers()?;
        let states = match self.language_model() {
            Some(_) if !texts.states.is_empty() => {
                let parts: Vec<&States> = chosen.iter().map(|&l| &texts.states[l as usize]).collect();
                Some(States::stack(&parts)?)
            }
            Some(model) => {
                let rows: Vec<&[u32]> = chosen.iter().map(|&l| texts.rows[l as usize].as_slice()).collect();
                Some(encoder.attributes().states(model, &rows)?)
            }
            None => None,
        };
        let nameless = |at: usize| disturbance.is_some_and(|d| d.nameless[at]);
        let name = |(at, &label): (usize, &u32)| match nameless(at) {
            true => Vec::new(),
            false => texts.names[label as usize].clone(),
        };
        let names: Vec<Vec<u32>> = chosen.iter().enumerate().map(name).collect();
        let (soft, attributes) =
            encoder.soft(towers.text_tower(), states.as_ref(), &names, towers.special_tokens()?)?;
        let stranger = |at: usize| disturbance.and_then(|d| d.stranger[at]);
        let plain: Vec<u32> = chosen.iter().enumerate().map(|(at, &label)| stranger(at).unwrap_or(label)).collect();
        let plain = texts.plain.index_select(&index(&plain)?, 0)?;
        let labels = additions.label(&encoder.combine(&plain, &soft)?)?;
        Ok(EmbeddedLabels { labels, soft: Some(soft), attributes: Some(attributes) })
    }
}

impl LabelTexts {
    /// How many labels.
    pub fn len(&self) -> usize {
        self.plain.dims()[0]
    }

    /// Whether there is no label.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
