//! Labels one by one.

use super::{
    EvaluationOptions, Scores,
    metrics::{Counts, PeakF1, PrecisionRecall, Ranking, expected_calibration_error, reliability},
};
use crate::{
    dataset::{Truth, Truths, Vocabulary},
    label::Kind,
};
use rayon::prelude::*;
use serde::Serialize;
use std::collections::HashMap;

/// What is measured of one label, over the examples where it is known whether it is there.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabelEvaluation {
    /// The label's name.
    pub label: String,
    /// Thing or action.
    pub kind: Option<Kind>,
    /// Whether it was trained on.
    pub seen: Option<bool>,
    /// The part of the vocabulary that it belongs to.
    pub subset: Option<String>,
    /// Examples where it is there.
    pub positives: usize,
    /// Examples where it is not.
    pub negatives: usize,
    /// Step-wise, tie-aware AP; `None` without a positive.
    pub average_precision: Option<f64>,
    /// AP as ActivityNet computes it.
    pub interpolated_average_precision: Option<f64>,
    /// AP with every group of positives, or of negatives, of one source video counted once; `None` without sources.
    pub weighted_average_precision: Option<f64>,
    /// AP over the examples where either this label is there and its opposite is not, or the reverse; `None` without an
    /// opposite or where only one of the two occurs.
    pub reversed: Option<Reversed>,
    /// Probability from which on it counts as present.
    pub threshold: f32,
    /// Precision, recall and F1 there.
    #[serde(flatten)]
    pub at_threshold: PrecisionRecall,
    /// The best F1 over all thresholds.
    pub peak_f1: Option<PeakF1>,
    /// Expected calibration error of this label's probabilities.
    pub calibration_error: Option<f64>,
    #[serde(skip)]
    pub(super) counts: Counts,
}

/// A label against its opposite in time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Reversed {
    /// AP of the label.
    pub average_precision: f64,
    /// Share of its positives: the AP of a model that cannot tell the two apart.
    pub chance: f64,
    /// Examples where one of the two holds and the other does not.
    pub examples: usize,
}

/// Labels whose columns are taken out of the matrix at once: what lies in one cache line.
const COLUMNS: usize = 16;

/// A label's scores and truths, `[E]`.
type Column = Vec<(f32, Truth)>;

/// One entry a label.
pub(super) fn labels(
    scores: &Scores,
    truths: &Truths,
    vocabulary: &Vocabulary,
    options: &EvaluationOptions,
) -> Vec<LabelEvaluation> {
    let unlabelled: Vec<bool> = truths.rows().map(|row| !row.contains(&Truth::Positive)).collect();
    let first_labels: Vec<usize> = (0..scores.labels()).step_by(COLUMNS).collect();
    first_labels
        .into_par_iter()
        .flat_map_iter(|first| {
            let columns = columns(scores, truths, first);
            let of_label = |(i, column)| {
                let opposite = vocabulary.opposite(first + i);
                let reversed = opposite.and_then(|opposite| reversed(&column, truths, opposite));
                evaluated(first + i, column, reversed, &unlabelled, vocabulary, options)
            };
            columns.into_iter().enumerate().map(of_label).collect::<Vec<_>>()
        })
        .collect()
}

fn columns(scores: &Scores, truths: &Truths, first: usize) -> Vec<Column> {
    let range = first..scores.labels().min(first + COLUMNS);
    let mut columns = vec![Vec::with_capacity(scores.examples()); range.len()];
    for (scores, truths) in scores.rows().zip(truths.rows()) {
        let pairs = scores[range.clone()].iter().zip(&truths[range.clone()]);
        columns.iter_mut().zip(pairs).for_each(|(column, (score, truth))| column.push((*score, *truth)));
    }
    columns
}

fn evaluated(
    label: usize,
    column: Column,
    reversed: Option<Reversed>,
    unlabelled: &[bool],
    vocabulary: &Vocabulary,
    options: &EvaluationOptions,
) -> LabelEvaluation {
    let known = column.iter().filter_map(|(score, truth)| Some((*score, truth.known()?)));
    let last = |(example, (score, truth)): (usize, &(f32, Truth))| {
        let score = if options.unlabelled_last && unlabelled[example] { f32::NEG_INFINITY } else { *score };
        Some((score, truth.known()?))
    };
    let ranking = Ranking::new(column.iter().enumerate().filter_map(last));
    let threshold = options.thresholds[label];
    let counts = Counts::at(threshold, known.clone());
    let positives = counts.positives as usize;
    LabelEvaluation {
        label: vocabulary.labels()[label].name.clone(),
        kind: vocabulary.kind(label),
        seen: vocabulary.seen(label),
        subset: vocabulary.subset(label).map(Into::into),
        positives,
        negatives: known.clone().count() - positives,
        average_precision: ranking.average_precision(),
        interpolated_average_precision: ranking.interpolated_average_precision(),
        weighted_average_precision: weighted(&column, &options.sources),
        reversed,
        threshold,
        at_threshold: counts.precision_recall(),
        peak_f1: ranking.peak_f1(),
        calibration_error: expected_calibration_error(&reliability(known)),
        counts,
    }
}

/// RareAct's weighted AP: an example weighs 1 / (examples of the same source and the same truth). RareAct has a third
/// truth, hard negatives, that it counts apart from the others; here they are negatives.
fn weighted(column: &Column, sources: &[Option<String>]) -> Option<f64> {
    if sources.iter().all(Option::is_none) {
        return None;
    }
    let mut clips: HashMap<(&String, Truth), f64> = HashMap::new();
    for ((_, truth), source) in column.iter().zip(sources) {
        if let Some(source) = source {
            *clips.entry((source, *truth)).or_default() += 1.0;
        }
    }
    let weigh = |((score, truth), source): (&(f32, Truth), &Option<String>)| {
        let weight = source.as_ref().map_or(1.0, |source| 1.0 / clips[&(source, *truth)]);
        Some((*score, truth.known()?, weight))
    };
    Ranking::weighted(column.iter().zip(sources).filter_map(weigh)).average_precision()
}

fn reversed(column: &Column, truths: &Truths, opposite: usize) -> Option<Reversed> {
    let apart = column.iter().zip(truths.rows()).filter_map(|((score, truth), row)| {
        let present = truth.known()?;
        (row[opposite].known()? != present).then_some((*score, present))
    });
    let (examples, positives) =
        apart.clone().fold((0, 0), |(examples, positives), (_, p)| (examples + 1, positives + usize::from(p)));
    let average_precision = Ranking::new(apart).average_precision()?;
    let chance = positives as f64 / examples as f64;
    (positives < examples).then_some(Reversed { average_precision, chance, examples })
}
