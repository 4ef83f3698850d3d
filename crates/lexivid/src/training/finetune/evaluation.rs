use super::{FeatureCache, Preparation, Preparing};
use crate::{
    classify::{ClassifyError, EncodedLabels},
    dataset::{Manifest, Vocabulary},
    eval::{Evaluation, EvaluationOptions, Scores, evaluate},
    models::Model,
    training::TrainingError,
};
use candle_core::{Device, Tensor};
use std::ops::ControlFlow;

/// Evaluates `model` on all examples of `manifest`. `features` has, or is given, what the frozen model beneath sees of them, so that many
/// finetuned models are evaluated for one look. `observer` is told how far it is; `Break` stops with [`ClassifyError::Interrupted`].
///
/// # Errors
/// When an example cannot be read, or the model fails.
pub fn evaluate_on(
    model: &dyn Model,
    features: &FeatureCache,
    manifest: &Manifest,
    vocabulary: &Vocabulary,
    observer: &mut dyn FnMut(Preparing) -> ControlFlow<()>,
) -> Result<Evaluation, TrainingError> {
    let (truths, _) = manifest.truths(vocabulary)?;
    let total = truths.examples();
    let looking = |done| Preparing { what: Preparation::Examples, done, total };
    let mut videos = Vec::with_capacity(total * model.dimension());
    for (done, example) in manifest.examples().iter().enumerate() {
        if observer(looking(done)).is_break() {
            return Err(ClassifyError::Interrupted.into());
        }
        let frames = features.get(manifest, example, &mut || observer(looking(done)))?;
        videos.extend(model.encode_window(&frames.iter().collect::<Vec<_>>(), &[])?.0);
    }
    let videos = Tensor::from_vec(videos, (total, model.dimension()), &Device::Cpu)?; // [E, D]
    let labels = EncodedLabels::new(model, vocabulary.labels().clone(), None, |_| observer(looking(total)))?;
    let probabilities = labels.matrix().probabilities(0..labels.labels().len(), &videos)?; // [L, E]
    let mut scores = Scores::new(probabilities.len());
    for example in 0..total {
        scores.push(&probabilities.iter().map(|of_label| of_label[example]).collect::<Vec<_>>())?;
    }
    Ok(evaluate(&scores, &truths, vocabulary, &EvaluationOptions::new(probabilities.len(), 0.5))?)
}
