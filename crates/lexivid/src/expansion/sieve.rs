//! What of the proposed names is new, and seen.

use crate::{
    classify::{ClassifyError, EncodedLabels, Look, probabilities},
    label::{Label, LabelList, tidy_name},
    label_embedding::LabelEmbedding,
    models::{Model, ModelError},
    scores::Pool,
};
use std::{
    collections::{BTreeSet, HashMap},
    ops::ControlFlow,
};

/// From where on proposals are dropped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SieveOptions {
    /// Cosine similarity of label embeddings from which on two names are one label.
    pub same_from: f32,
    /// The frozen model's least probability that a label holds in its video.
    pub least_score: f32,
}

/// What became of a name.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The label that it stands for: itself, or a proposal before it that is the same.
    pub name: String,
    /// Cosine similarity to the nearest label of the vocabulary, and its place there; `None`: the name alone decided.
    pub nearest: Option<(usize, f32)>,
    /// Probability that it holds in the video, where there is one.
    pub score: Option<f32>,
    /// Why it is not kept; `None`: it is.
    pub why: Option<String>,
}

/// Compares proposals with a vocabulary, with each other, and with videos.
pub struct Sieve<'a> {
    model: &'a dyn Model,
    vocabulary: &'a EncodedLabels,
    /// Tidy names and synonyms of the vocabulary.
    known: HashMap<String, usize>,
    /// Proposals that were kept, with their embeddings.
    accepted: Vec<(String, Vec<f32>)>,
    options: SieveOptions,
}

impl<'a> Sieve<'a> {
    /// `accepted`: what was kept in a run before.
    pub fn new<'n>(
        model: &'a dyn Model,
        vocabulary: &'a EncodedLabels,
        accepted: impl IntoIterator<Item = &'n str>,
        options: SieveOptions,
    ) -> Result<Self, ModelError> {
        let mut known = HashMap::new();
        for (index, label) in vocabulary.labels().iter().enumerate() {
            for name in label.synonyms.iter().chain([&label.name]) {
                known.insert(tidy_name(name), index);
            }
        }
        let names: Vec<String> = accepted.into_iter().map(String::from).collect::<BTreeSet<_>>().into_iter().collect();
        let labels: Vec<Label> = names.iter().map(Label::new).collect();
        let mut accepted = Vec::with_capacity(names.len());
        for (names, labels) in names.chunks(model.label_batch()).zip(labels.chunks(model.label_batch())) {
            let embeddings = model.encode_labels(labels)?.into_iter().map(|e| e.vector);
            accepted.extend(names.iter().cloned().zip(embeddings));
        }
        Ok(Self { model, vocabulary, known, accepted, options })
    }

    /// One verdict for each of the names said of one subject, in order. Without a video, a name is kept once and for all; with
    /// one, once for it.
    pub fn sift(&mut self, said: &[String], look: Option<&Look>) -> Result<Vec<Verdict>, ClassifyError> {
        let labels: Vec<Label> = said.iter().map(Label::new).collect();
        let embeddings = if labels.is_empty() { Vec::new() } else { self.model.encode_labels(&labels)? };
        let mut kept = BTreeSet::new();
        let verdicts = said.iter().zip(embeddings).map(|(name, embedding)| {
            let mut verdict = self.of_meaning(name, &embedding, look.is_some())?;
            if verdict.why.is_none() && kept.contains(&verdict.name) {
                verdict.why = Some(format!("same as {:?}, which was named before", verdict.name));
            }
            if let (None, Some(look)) = (&verdict.why, look) {
                let score = self.score(&verdict.name, look)?;
                verdict.score = Some(score);
                let least = self.options.least_score;
                verdict.why = (score < least).then(|| format!("its score is below {least}"));
            }
            if verdict.why.is_none() {
                kept.insert(verdict.name.clone());
                if !self.accepted.iter().any(|(before, _)| *before == verdict.name) {
                    self.accepted.push((verdict.name.clone(), embedding.vector));
                }
            }
            Ok(verdict)
        });
        verdicts.collect()
    }

    fn of_meaning(&self, name: &str, embedding: &LabelEmbedding, of_video: bool) -> Result<Verdict, ModelError> {
        let mut verdict = Verdict { name: name.into(), nearest: None, score: None, why: None };
        let labels = self.vocabulary.labels();
        if let Some(&index) = self.known.get(&tidy_name(name)) {
            verdict.why = Some(format!("the vocabulary has it as {:?}", labels[index].name));
            return Ok(verdict);
        }
        verdict.nearest = self.vocabulary.matrix().nearest(1, &embedding.vector)?.first().copied();
        if let Some((index, _)) = verdict.nearest.filter(|(_, similarity)| *similarity >= self.options.same_from) {
            verdict.why = Some(format!("same as {:?}", labels[index].name));
            return Ok(verdict);
        }
        let cosine = |other: &[f32]| other.iter().zip(&embedding.vector).map(|(a, b)| a * b).sum::<f32>();
        let itself = self.accepted.iter().find(|(before, _)| before == name);
        let same = || self.accepted.iter().find(|(_, vector)| cosine(vector) >= self.options.same_from);
        if let Some((before, _)) = itself.or_else(same) {
            verdict.name = before.clone();
            verdict.why = (!of_video).then(|| format!("same as {before:?}, which was proposed before"));
        }
        Ok(verdict)
    }

    fn score(&self, name: &str, look: &Look) -> Result<f32, ClassifyError> {
        let label = LabelList::new([Label::new(name)]).expect("a reply's names are not empty");
        let label = EncodedLabels::new(self.model, label, None, |_| ControlFlow::Continue(()))?;
        Ok(probabilities(look, &label, Pool::TopK)?[0])
    }
}
