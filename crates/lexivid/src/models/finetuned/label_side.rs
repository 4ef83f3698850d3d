use super::{Additions, AdditionsConfig};
use crate::{
    label::{Label, described, ensemble},
    label_embedding::{Origin, Prompts},
    models::{Model, ModelError, dual_encoder::normalised_mean, fingerprint, store::Store},
    nn::Compute,
    soft_attributes::{LanguageModel, States, TextAttributes},
};
use candle_core::{Device, Tensor};
use std::{ops::ControlFlow, path::PathBuf};

/// The frozen models that labels go through, besides the base's text encoder.
pub struct LabelSide {
    language: Option<(LanguageModel, String)>,
    prompts: Prompts,
    written: Option<(TextAttributes, String)>,
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
    /// Opens the language models, where the configuration has any that are read.
    pub fn open(config: &AdditionsConfig, compute: &Compute) -> Result<Self, ModelError> {
        let store = Store::from_env()?;
        let find = |name: &str| -> Result<(PathBuf, String), ModelError> {
            let path = store.language_model(name)?;
            let digest = fingerprint::of_language_model(&path, &store.known_digests())?;
            Ok((path, digest))
        };
        let encoder = config.label_encoder.as_ref().filter(|config| config.reader.reads());
        let language = encoder.map(|config| -> Result<_, ModelError> {
            let (path, digest) = find(&config.language_model)?;
            Ok((LanguageModel::open(&path, config.layers, compute)?, digest))
        });
        let written = match &config.prompts {
            Prompts::Attributes { language_model } => {
                let (path, digest) = find(language_model)?;
                Some((TextAttributes::open(&path, &store.text_attributes(&path, &digest))?, digest))
            }
            Prompts::Template | Prompts::Ensemble => None,
        };
        Ok(Self { language: language.transpose()?, prompts: config.prompts.clone(), written })
    }

    /// The language model, if there is one.
    pub fn language_model(&self) -> Option<&LanguageModel> {
        self.language.as_ref().map(|(model, _)| model)
    }

    /// SHA-256 of the language model: of its file, or of its directory's files.
    pub fn digest(&self) -> Option<&str> {
        self.language.as_ref().map(|(_, digest)| digest.as_str())
    }

    /// SHA-256 of the language model that writes attributes, as [`LabelSide::digest`].
    pub fn digest_of_writer(&self) -> Option<&str> {
        self.written.as_ref().map(|(_, digest)| digest.as_str())
    }

    /// Whether attributes of labels have to be written, which takes seconds a label.
    pub fn writes(&self) -> bool {
        self.written.is_some()
    }

    /// Writes the attributes of labels where that is not done yet, so that [`LabelSide::read`] finds them; `observer` is told how many labels are
    /// done, and asked whether to go on before every token.
    ///
    /// # Errors
    /// When it says `Break`, or the language model fails.
    pub fn write_attributes(
        &self,
        labels: &[Label],
        observer: &mut dyn FnMut(usize) -> ControlFlow<()>,
    ) -> Result<(), ModelError> {
        let Some((attributes, _)) = &self.written else { return Ok(()) };
        for (done, label) in labels.iter().enumerate() {
            attributes.of(label, &mut || observer(done))?;
        }
        Ok(())
    }

    /// The sentences whose embeddings' mean is that of a label; none where the base embeds it by itself.
    fn sentences(&self, label: &Label) -> Result<Vec<String>, ModelError> {
        Ok(match (&self.prompts, &self.written) {
            (Prompts::Ensemble, _) => ensemble(label),
            (Prompts::Attributes { .. }, Some((attributes, _))) => {
                described(label, &attributes.of(label, &mut || ControlFlow::Continue(()))?)
            }
            _ => Vec::new(),
        })
    }

    /// plain(l) of labels, `[L, D]`, L2-normalised, and where they come from.
    fn plain(&self, base: &dyn Model, labels: &[Label]) -> Result<(Tensor, Vec<Origin>), ModelError> {
        if !self.prompts.are_own() {
            base.towers()?;
        }
        let (mut plain, mut origins) = (Vec::with_capacity(labels.len() * base.dimension()), Vec::new());
        for batch in labels.chunks(base.label_batch()) {
            if self.prompts.are_own() {
                for embedding in base.encode_labels(batch)? {
                    plain.extend(embedding.vector);
                    origins.push(embedding.origin);
                }
                continue;
            }
            for label in batch {
                let sentences = self.sentences(label)?;
                let embedding = match sentences.is_empty() {
                    // Its attributes could not be told: as if there were no language model.
                    true => base.encode_labels(std::slice::from_ref(label))?.swap_remove(0).vector,
                    false => normalised_mean(&base.encode_texts(&sentences)?, base.dimension()),
                };
                plain.extend(embedding);
                origins.push(Origin::TextTower);
            }
        }
        Ok((Tensor::from_vec(plain, (labels.len(), base.dimension()), &Device::Cpu)?, origins))
    }

    /// Tokens and plain embeddings of labels.
    pub fn read(&self, base: &dyn Model, labels: &[Label]) -> Result<LabelTexts, ModelError> {
        let (plain, origins) = self.plain(base, labels)?;
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
            encoder.soft(towers.text_tower()?, states.as_ref(), &names, towers.special_tokens()?)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models;

    const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/clip_quick_gelu");
    const LANGUAGE_MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/language_models/qwen2.gguf");

    fn base() -> std::sync::Arc<dyn Model> {
        models::load(TINY, &Compute::exact().unwrap()).unwrap()
    }

    fn labels() -> [Label; 3] {
        ["dog", "riding a bike", "thin cat"].map(Label::new)
    }

    fn mean(base: &dyn Model, sentences: &[String]) -> Vec<f32> {
        let each = base.encode_texts(sentences).unwrap();
        let sum: Vec<f32> = (0..base.dimension()).map(|i| each.iter().map(|row| row[i]).sum()).collect();
        let length = sum.iter().map(|x| x * x).sum::<f32>().sqrt();
        sum.iter().map(|x| x / length).collect()
    }

    #[test]
    fn the_template_is_bit_for_bit_what_the_base_says() {
        let base = base();
        let side = LabelSide::open(&AdditionsConfig::default(), &Compute::exact().unwrap()).unwrap();
        let texts = side.read(base.as_ref(), &labels()).unwrap();
        let expected = base.encode_labels(&labels()).unwrap();
        let expected: Vec<Vec<f32>> = expected.into_iter().map(|embedding| embedding.vector).collect();
        assert_eq!(texts.plain.to_vec2::<f32>().unwrap(), expected);
        // A model that was saved before there was a choice is read as ever, and nothing new is written.
        let saved = r#"{"heads":{"video":null,"label":null}}"#;
        let config: AdditionsConfig = serde_json::from_str(saved).unwrap();
        assert_eq!(config, AdditionsConfig::default());
        assert_eq!(serde_json::to_string(&config).unwrap(), saved);
    }

    #[test]
    fn an_ensemble_is_the_mean_of_its_sentences() {
        let base = base();
        let config = AdditionsConfig { prompts: Prompts::Ensemble, ..AdditionsConfig::default() };
        let side = LabelSide::open(&config, &Compute::exact().unwrap()).unwrap();
        let plain = side.read(base.as_ref(), &labels()).unwrap().plain.to_vec2::<f32>().unwrap();
        for (label, plain) in labels().iter().zip(plain) {
            let expected = mean(base.as_ref(), &ensemble(label));
            let apart = plain.iter().zip(&expected).map(|(p, e)| (p - e).abs()).fold(0.0, f32::max);
            assert!(apart < 1e-5, "{}: {apart}", label.name);
        }
    }

    #[test]
    fn attributes_are_those_of_the_file_and_a_label_without_any_is_its_template() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("attributes.jsonl");
        let written = TextAttributes::open(LANGUAGE_MODEL.as_ref(), &file).unwrap();
        let prompts = Prompts::Attributes { language_model: LANGUAGE_MODEL.into() };
        let mut side = LabelSide { language: None, prompts, written: Some((written, String::new())) };
        let mut told = Vec::new();
        side.write_attributes(&labels(), &mut |done| {
            if told.last() != Some(&done) {
                told.push(done);
            }
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(told, [0, 1, 2]);
        // What a person writes into the file goes.
        let lines: Vec<serde_json::Value> =
            std::fs::read_to_string(&file).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 3);
        let edited = [vec!["four legs", "a pet"], vec!["two wheels"], vec![]];
        let text = lines.into_iter().zip(edited).map(|(mut line, attributes)| {
            line["attributes"] = attributes.into();
            format!("{line}\n")
        });
        std::fs::write(&file, text.collect::<String>()).unwrap();
        side.written = Some((TextAttributes::open("nowhere.gguf".as_ref(), &file).unwrap(), String::new()));

        let base = base();
        let plain = side.read(base.as_ref(), &labels()).unwrap().plain.to_vec2::<f32>().unwrap();
        let sentences = |all: &[&str]| mean(base.as_ref(), &all.iter().map(|s| s.to_string()).collect::<Vec<_>>());
        let expected = [
            sentences(&["dog, which has four legs", "dog, which is a pet"]),
            sentences(&["riding a bike, which has two wheels"]),
            sentences(&["a photo of thin cat."]),
        ];
        for (plain, expected) in plain.iter().zip(expected) {
            let apart = plain.iter().zip(&expected).map(|(p, e)| (p - e).abs()).fold(0.0, f32::max);
            assert!(apart < 1e-5, "{apart}");
        }
    }
}
