//! Labels -> label embeddings, from the database where it has them, from the model where not.

use super::ClassifyError;
use crate::{
    label::LabelList,
    label_embedding::{Confidence, LabelDatabase, Origin},
    matching::LabelMatrix,
    models::{Model, ModelError},
};
use std::ops::ControlFlow;
use tracing::debug_span;

/// Labels with their embeddings, ready for any number of videos.
#[derive(Debug, Clone)]
pub struct EncodedLabels {
    labels: LabelList,
    matrix: LabelMatrix,
    origins: Vec<Origin>,
    confidences: Vec<Confidence>,
    thresholds: Vec<Option<f32>>,
}

impl EncodedLabels {
    /// Embeds every label. What the model computes goes to `database` batch by batch, so that an interrupted run is
    /// taken up where it stopped. `observer` is told how many labels are done.
    pub fn new(
        model: &dyn Model,
        labels: LabelList,
        mut database: Option<&mut LabelDatabase>,
        mut observer: impl FnMut(usize) -> ControlFlow<()>,
    ) -> Result<Self, ClassifyError> {
        let with = model.about().embedded_with();
        let mut embeddings = match &database {
            Some(database) => debug_span!("look up labels").in_scope(|| database.get(&with, &labels))?,
            None => vec![None; labels.len()],
        };
        let missing: Vec<usize> = (0..labels.len()).filter(|&i| embeddings[i].is_none()).collect();
        let mut done = labels.len() - missing.len();
        for batch in missing.chunks(model.label_batch()) {
            if observer(done).is_break() {
                return Err(ClassifyError::Interrupted);
            }
            let asked: Vec<_> = batch.iter().map(|&i| labels[i].clone()).collect();
            let encoded = debug_span!("encode labels").in_scope(|| model.encode_labels(&asked))?;
            if let Some(database) = &mut database {
                database.put(&with, &asked, &encoded)?;
            }
            for (&i, embedding) in batch.iter().zip(encoded) {
                embeddings[i] = Some(embedding);
            }
            done += batch.len();
        }
        let embeddings: Vec<_> = embeddings.into_iter().flatten().collect();
        assert_eq!(embeddings.len(), labels.len(), "Model::encode_labels gives one embedding a label");
        let matrix = LabelMatrix::new(&embeddings).map_err(ModelError::from)?;
        let thresholds = labels.iter().map(|label| label.threshold.or_else(|| model.threshold(label))).collect();
        let origins: Vec<Origin> = embeddings.into_iter().map(|e| e.origin).collect();
        let confidences = origins.iter().map(|origin| model.confidence(origin)).collect();
        Ok(Self { labels, matrix, origins, confidences, thresholds })
    }

    /// The labels, in the user's order.
    pub fn labels(&self) -> &LabelList {
        &self.labels
    }

    /// Their embeddings.
    pub fn matrix(&self) -> &LabelMatrix {
        &self.matrix
    }

    /// Probability from which on a label counts as present: its own threshold, or else the model's for it; `None`: the
    /// run's global threshold.
    pub fn threshold(&self, label: usize) -> Option<f32> {
        self.thresholds[label]
    }

    /// Where each embedding comes from.
    pub fn origins(&self) -> &[Origin] {
        &self.origins
    }

    /// How far the model's probabilities of each can be trusted.
    pub fn confidences(&self) -> &[Confidence] {
        &self.confidences
    }
}
