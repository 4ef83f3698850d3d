//! Embeddings -> probabilities -> decisions, labels in chunks so that memory does not grow with labels x windows.

use super::{ClassifyError, ClassifyOptions, EncodedLabels, Look};
use crate::{
    decisions::{LabelResult, best_frames, spans_above},
    models::ModelError,
    scores::Pool,
};
use candle_core::{Device, Result, Tensor};
use std::ops::Range;

/// Labels that are matched at once.
const LABEL_CHUNK: usize = 1024;

/// Labels whose timeline and best frames are kept; beyond, only for the most probable ones.
const DETAILED_LABELS: usize = 1000;

/// Frames that are named as speaking for a label.
const BEST_FRAMES: usize = 3;

/// `[n, D]`.
fn rows(flat: &[f32], n: usize) -> Result<Tensor> {
    Tensor::from_slice(flat, (n, flat.len() / n.max(1)), &Device::Cpu)
}

fn chunks(labels: usize) -> impl Iterator<Item = Range<usize>> {
    (0..labels).step_by(LABEL_CHUNK).map(move |start| start..labels.min(start + LABEL_CHUNK))
}

/// Probabilities of the labels in the video, `[L]`, in the labels' order: what [`super::classify`] says of it, without its
/// times and frames.
pub fn probabilities(look: &Look, labels: &EncodedLabels, pool: Pool) -> std::result::Result<Vec<f32>, ClassifyError> {
    let timelines = || -> Result<Vec<f32>> {
        let windows = rows(&look.window_embeddings, look.windows.len())?;
        let mut pooled = Vec::with_capacity(labels.labels().len());
        for chunk in chunks(labels.labels().len()) {
            pooled.extend(labels.matrix().probabilities(chunk, &windows)?.iter().map(|timeline| pool.of(timeline)));
        }
        Ok(pooled)
    };
    Ok(timelines().map_err(ModelError::from)?)
}

/// Similarities s of every window and label, `[W, L]` row-major, in the labels' order.
pub fn similarities(look: &Look, labels: &EncodedLabels) -> std::result::Result<Vec<f32>, ClassifyError> {
    let of_all = || {
        let windows = rows(&look.window_embeddings, look.windows.len())?;
        labels.matrix().similarities(0..labels.labels().len(), &windows)?.flatten_all()?.to_vec1()
    };
    Ok(of_all().map_err(ModelError::from)?)
}

/// One entry a label, most probable first.
pub fn judge(look: &Look, labels: &EncodedLabels, options: &ClassifyOptions) -> Result<Vec<LabelResult>> {
    let windows = rows(&look.window_embeddings, look.windows.len())?; // [W, D]
    let frames = rows(&look.frame_embeddings, look.frame_times.len())?; // [F, D]

    // Pass 1: every label over the windows. `index` remembers the label's place in the user's list.
    let mut results: Vec<(usize, LabelResult)> = Vec::with_capacity(labels.labels().len());
    for chunk in chunks(labels.labels().len()) {
        for (index, timeline) in chunk.clone().zip(labels.matrix().probabilities(chunk, &windows)?) {
            let label = &labels.labels()[index];
            let threshold = labels.threshold(index).unwrap_or(options.threshold);
            let probability = options.pool.of(&timeline);
            let result = LabelResult {
                label: label.name.clone(),
                kind: label.kind,
                probability,
                threshold,
                present: probability >= threshold,
                spans: spans_above(threshold, &look.windows, &timeline),
                best_frames: Vec::new(),
                timeline,
                confidence: labels.confidences()[index].clone(),
                origin: labels.origins()[index].clone(),
            };
            results.push((index, result));
        }
        results.sort_by(|(_, a), (_, b)| b.probability.total_cmp(&a.probability));
        results.iter_mut().skip(DETAILED_LABELS).for_each(|(_, result)| result.timeline = Vec::new());
    }

    // Pass 2: the most probable labels over the frames. Frames closer than a window's share show the same thing.
    let apart = look.windows.first().map_or(0.0, |w| (w.end - w.start) / 2.0);
    for (index, result) in results.iter_mut().take(DETAILED_LABELS) {
        let probabilities = labels.matrix().probabilities(*index..*index + 1, &frames)?;
        result.best_frames = best_frames(BEST_FRAMES, apart, &look.frame_times, &probabilities[0]);
    }
    Ok(results.into_iter().map(|(_, result)| result).collect())
}
