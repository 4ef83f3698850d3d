//! All metrics of a model's probabilities on a data set.

use super::{
    EvalError, LabelEvaluation, Protocol, Scores,
    group::{Group, groups},
    label::labels,
    metrics::{
        self, Bin, Counts, CurvePoint, MacroF1, PeakF1, PrecisionRecall, Ranking, brier, expected_calibration_error,
        hit_at_1, mean, precision_at_equal_recall, reliability, top_k,
    },
};
use crate::dataset::{Truth, Truths, Vocabulary};
use rayon::prelude::*;
use serde::Serialize;

/// Labels of an example that GAP@20 looks at.
const GAP_K: usize = 20;
/// Corners of a precision-recall curve that are kept.
const CURVE_CORNERS: usize = 200;
/// Probabilities above this make up the second expected calibration error.
const NOTABLE: f32 = 0.1;

/// What an evaluation leaves to choose.
#[derive(Debug, Clone, PartialEq)]
pub struct EvaluationOptions {
    /// Probability from which on a label counts as present, `[L]`.
    pub thresholds: Vec<f32>,
    /// K of F1@K.
    pub k: usize,
    /// The video that each example was cut from, `[E]`, or empty: what the weighted AP goes by.
    pub sources: Vec<Option<String>>,
    /// Charades' rule: in the AP of labels, examples without any positive come last, whatever their scores.
    pub unlabelled_last: bool,
}

impl EvaluationOptions {
    /// One threshold for `labels` labels, F1@5, no sources, no rule of Charades.
    pub fn new(labels: usize, threshold: f32) -> Self {
        Self { thresholds: vec![threshold; labels], k: 5, sources: Vec::new(), unlabelled_last: false }
    }
}

/// What [`evaluate`] measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// Number of examples E.
    pub examples: usize,
    /// K of F1@K.
    pub k: usize,
    /// Groups of labels; the first is all of them.
    pub groups: Vec<GroupEvaluation>,
    /// Every label, in the vocabulary's order.
    pub labels: Vec<LabelEvaluation>,
}

/// What is measured of a group of labels, over the pairs of example and label where it is known whether the label is
/// there. `None`: there is nothing to measure it on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupEvaluation {
    /// What vocabulary the labels compete in.
    pub protocol: Protocol,
    /// The group's name.
    pub name: String,
    /// Its labels.
    pub labels: usize,
    /// Those of them that have a positive.
    pub labels_with_positives: usize,
    /// Pairs where the label is there.
    pub positives: usize,
    /// Pairs where it is not.
    pub negatives: usize,
    /// Mean AP of the labels with a positive.
    pub mean_average_precision: Option<f64>,
    /// Mean AP with 0 for the labels without one, as scikit-learn and torchmetrics have it.
    pub mean_average_precision_empty_as_0: f64,
    /// Mean share of positives of the labels with a positive: about the mean AP of a model that guesses.
    pub chance: Option<f64>,
    /// Mean AP as ActivityNet computes it.
    pub activitynet_mean_average_precision: Option<f64>,
    /// Mean AP as RareAct weighs it, where examples name their sources.
    pub weighted_mean_average_precision: Option<f64>,
    /// Labels that are told from their opposite in time.
    pub reversed_labels: usize,
    /// Their mean AP over the examples where one of the two holds and the other does not.
    pub reversed_mean_average_precision: Option<f64>,
    /// What it is for a model that cannot tell them apart.
    pub reversed_chance: Option<f64>,
    /// AP over all pairs.
    pub micro_average_precision: Option<f64>,
    /// The best F1 over all thresholds, over all pairs.
    pub peak_f1: Option<PeakF1>,
    /// Of the K best labels of every example.
    pub at_k: PrecisionRecall,
    /// CF1: from the labels' mean precision and recall at their thresholds.
    pub class_at_threshold: Option<PrecisionRecall>,
    /// OF1: over all pairs, at the labels' thresholds.
    pub overall_at_threshold: PrecisionRecall,
    /// GAP@20.
    pub gap_at_20: Option<f64>,
    /// Hit@1, the mean over examples with a positive; `None` where other labels than the group's compete.
    pub hit_at_1: Option<f64>,
    /// Precision at equal recall rate, likewise.
    pub perr: Option<f64>,
    /// Expected calibration error over all pairs.
    pub calibration_error: Option<f64>,
    /// The same over pairs with a probability above 0.1.
    pub calibration_error_above_0_1: Option<f64>,
    /// The mean of the labels' own.
    pub class_wise_calibration_error: Option<f64>,
    /// Brier score over all pairs.
    pub brier: Option<f64>,
    /// Reliability diagram over all pairs.
    pub reliability: Vec<Bin>,
    /// Precision-recall curve over all pairs.
    pub curve: Vec<CurvePoint>,
}

/// Measures everything, in f64.
///
/// # Errors
/// When scores, truths, vocabulary and options are not of the same size.
pub fn evaluate(
    scores: &Scores,
    truths: &Truths,
    vocabulary: &Vocabulary,
    options: &EvaluationOptions,
) -> Result<Evaluation, EvalError> {
    let (examples, width) = (scores.examples(), scores.labels());
    let check = |what, expected: usize, got: usize| match expected == got {
        true => Ok(()),
        false => Err(EvalError::Shape { what, expected: expected.to_string(), got: got.to_string() }),
    };
    check("truths: examples", examples, truths.examples())?;
    check("truths: labels", width, truths.labels())?;
    check("vocabulary", width, vocabulary.labels().len())?;
    check("thresholds", width, options.thresholds.len())?;
    if !options.sources.is_empty() {
        check("sources", examples, options.sources.len())?;
    }
    let labels = labels(scores, truths, vocabulary, options);
    let all: Vec<usize> = (0..width).collect();
    let places = first_places(&all, scores, truths, GAP_K.max(options.k));
    let groups = groups(vocabulary);
    let groups = groups.par_iter().map(|group| of_group(group, scores, truths, &labels, &places, options.k)).collect();
    Ok(Evaluation { examples, k: options.k, groups, labels })
}

/// `places_of_all`: the first places of every example where all labels compete.
fn of_group(
    group: &Group,
    scores: &Scores,
    truths: &Truths,
    labels: &[LabelEvaluation],
    places_of_all: &[Vec<Place>],
    k: usize,
) -> GroupEvaluation {
    let pairs = scores.rows().zip(truths.rows()).flat_map(|(scores, truths)| {
        group.labels.iter().filter_map(|label| Some((scores[*label], truths[*label].known()?)))
    });
    let members = || group.labels.iter().map(|label| &labels[*label]);
    let of_members = |value: fn(&LabelEvaluation) -> Option<f64>| mean(members().map(value));
    let (mean_average_precision, labels_with_positives) = of_members(|label| label.average_precision);
    let mut class_at_threshold = MacroF1::default();
    members().for_each(|label| class_at_threshold.add(label.counts));
    let overall = members().map(|label| label.counts).fold(Counts::default(), Counts::and);
    let (reversed_mean_average_precision, reversed_labels) =
        of_members(|label| Some(label.reversed?.average_precision));
    let prevalence = |label: &LabelEvaluation| {
        let known = label.positives + label.negatives;
        (label.positives > 0).then(|| label.positives as f64 / known as f64)
    };

    let ranking = Ranking::new(pairs.clone());
    let reliability = reliability(pairs.clone());
    let notable = metrics::reliability(pairs.clone().filter(|(p, _)| *p > NOTABLE));
    let own_places;
    let places = match group.candidates.len() == scores.labels() {
        true => places_of_all,
        false => {
            own_places = first_places(&group.candidates, scores, truths, GAP_K.max(k));
            &own_places
        }
    };
    let mut counted = vec![false; scores.labels()];
    group.labels.iter().for_each(|label| counted[*label] = true);
    let among_first = |n: usize| {
        let counted = &counted;
        let pair = move |(label, score, present): &Place| counted[*label].then_some((*score, *present));
        places.iter().flat_map(move |places| places.iter().take(n).filter_map(pair))
    };
    let mut at_k = Counts { positives: overall.positives, ..Counts::default() };
    for (_, present) in among_first(k) {
        at_k.predicted += 1;
        at_k.found += u64::from(present);
    }
    let alone = group.candidates.len() == group.labels.len();
    let (hit_at_1, perr) = if alone { hits(group, scores, truths) } else { (None, None) };
    GroupEvaluation {
        protocol: group.protocol,
        name: group.name.clone(),
        labels: group.labels.len(),
        labels_with_positives,
        positives: overall.positives as usize,
        negatives: members().map(|label| label.negatives).sum(),
        mean_average_precision,
        mean_average_precision_empty_as_0: mean_average_precision.unwrap_or(0.0) * labels_with_positives as f64
            / group.labels.len() as f64,
        chance: of_members(prevalence).0,
        activitynet_mean_average_precision: of_members(|label| label.interpolated_average_precision).0,
        weighted_mean_average_precision: of_members(|label| label.weighted_average_precision).0,
        reversed_labels,
        reversed_mean_average_precision,
        reversed_chance: of_members(|label| Some(label.reversed?.chance)).0,
        micro_average_precision: ranking.average_precision(),
        peak_f1: ranking.peak_f1(),
        at_k: at_k.precision_recall(),
        class_at_threshold: class_at_threshold.precision_recall(),
        overall_at_threshold: overall.precision_recall(),
        gap_at_20: Ranking::new(among_first(GAP_K)).average_precision_over(overall.positives as f64),
        hit_at_1,
        perr,
        calibration_error: expected_calibration_error(&reliability),
        calibration_error_above_0_1: expected_calibration_error(&notable),
        class_wise_calibration_error: of_members(|label| label.calibration_error).0,
        brier: brier(pairs),
        reliability,
        curve: ranking.curve(CURVE_CORNERS),
    }
}

/// A label, its score, and whether it is there.
type Place = (usize, f32, bool);

/// The best of the labels `candidates` of every example, best first, those left out of which nothing is known.
fn first_places(candidates: &[usize], scores: &Scores, truths: &Truths, k: usize) -> Vec<Vec<Place>> {
    let of_example = |(scores, truths): (&[f32], &[Truth])| {
        let known = candidates.iter().filter_map(|label| Some((*label, scores[*label], truths[*label].known()?)));
        top_k(&known.collect::<Vec<_>>(), k, |(_, score, _)| *score)
    };
    scores.rows().zip(truths.rows()).map(of_example).collect()
}

/// Hit@1 and PERR of the group among itself.
fn hits(group: &Group, scores: &Scores, truths: &Truths) -> (Option<f64>, Option<f64>) {
    let of_example = |(scores, truths): (&[f32], &[Truth])| {
        let known = group.labels.iter().filter_map(|label| Some((scores[*label], truths[*label].known()?)));
        let row: Vec<(f32, bool)> = known.collect();
        (hit_at_1(&row), precision_at_equal_recall(&row))
    };
    let (hits, precisions): (Vec<_>, Vec<_>) = scores.rows().zip(truths.rows()).map(of_example).unzip();
    (mean(hits).0, mean(precisions).0)
}
