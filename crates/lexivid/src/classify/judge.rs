//! Embeddings -> probabilities -> decisions, labels in chunks so that memory does not grow with labels x windows.

use super::{ClassifyOptions, EncodedLabels, Look};
use crate::decisions::{LabelResult, best_frames, spans_above};
use candle_core::{Device, Result, Tensor};

/// Labels that are matched at once.
const LABEL_CHUNK: usize = 1024;

/// Labels whose timeline and best frames are kept; beyond, only for the most probable ones.
const DETAILED_LABELS: usize = 1000;

/// Frames that are named as speaking for a label.
const BEST_FRAMES: usize = 3;

/// One entry a label, most probable first.
pub fn judge(look: &Look, labels: &EncodedLabels, options: &ClassifyOptions) -> Result<Vec<LabelResult>> {
    let rows = |flat: &[f32], n: usize| Tensor::from_slice(flat, (n, flat.len() / n.max(1)), &Device::Cpu);
    let windows = rows(&look.window_embeddings, look.windows.len())?; // [W, D]
    let frames = rows(&look.frame_embeddings, look.frame_times.len())?; // [F, D]

    // Pass 1: every label over the windows. `index` remembers the label's place in the user's list.
    let mut results: Vec<(usize, LabelResult)> = Vec::with_capacity(labels.labels().len());
    for start in (0..labels.labels().len()).step_by(LABEL_CHUNK) {
        let chunk = start..labels.labels().len().min(start + LABEL_CHUNK);
        for (index, timeline) in chunk.clone().zip(labels.matrix().probabilities(chunk, &windows)?) {
            let label = &labels.labels()[index];
            let threshold = label.threshold.unwrap_or(options.threshold);
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
