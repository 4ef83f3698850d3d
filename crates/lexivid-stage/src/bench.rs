//! What a model is worth on Stage.

use crate::{Assets, SpritePictures, World, scene::SIDE};
use image::RgbImage;
use lexivid::{
    eval::{Evaluation, LabelEvaluation, metrics::chance_average_precision},
    frames::preprocess,
    label::Kind,
    models::{Model, ModelError},
    training::contrastive::Pictures,
};
use serde::{Deserialize, Serialize};

/// The vocabulary's subsets, in the order in which they are told.
const SUBSETS: [&str; 5] = ["seen", "U1", "U2", "P", "C"];

/// One line of the table: labels of one subset and kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// seen, U1, U2, P, C.
    pub subset: String,
    /// Things or actions.
    pub kind: Kind,
    /// Labels with a positive.
    pub labels: usize,
    /// Their mean AP.
    pub mean_average_precision: f64,
    /// The mean AP of a guess.
    pub chance: f64,
}

/// Actions against themselves backwards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reversed {
    /// seen or U2.
    pub subset: String,
    /// Labels.
    pub labels: usize,
    /// Mean AP where either the label or its reverse holds.
    pub mean_average_precision: f64,
    /// The mean AP of a guess.
    pub chance: f64,
}

/// Single sprites in the style that nobody was trained on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ZeroShot {
    /// Pictures, one a known concept.
    pub pictures: usize,
    /// Names to choose from.
    pub names: usize,
    /// Share whose name is the most similar one.
    pub top1: f64,
    /// Share whose name is among the five most similar ones.
    pub top5: f64,
}

/// The table's lines, of an evaluation of Stage.
pub fn rows(evaluation: &Evaluation) -> Vec<Row> {
    let mut rows = Vec::new();
    for subset in SUBSETS {
        for kind in [Kind::Entity, Kind::Action] {
            let is_here = |l: &&LabelEvaluation| l.subset.as_deref() == Some(subset) && l.kind == Some(kind);
            let labels: Vec<_> = evaluation.labels.iter().filter(is_here).collect();
            let measured: Vec<f64> = labels.iter().filter_map(|l| l.average_precision).collect();
            let guessed =
                |l: &&LabelEvaluation| l.average_precision.map(|_| chance_average_precision(l.positives, l.negatives));
            let chance: Vec<f64> = labels.iter().filter_map(guessed).collect();
            if !measured.is_empty() {
                let (labels, mean_average_precision) = (measured.len(), mean(&measured));
                rows.push(Row { subset: subset.into(), kind, labels, mean_average_precision, chance: mean(&chance) });
            }
        }
    }
    rows
}

/// The table's lines about time, of an evaluation of Stage.
pub fn reversed(evaluation: &Evaluation) -> Vec<Reversed> {
    let of = |subset: &str| {
        let labels = evaluation.labels.iter().filter(|l| l.subset.as_deref() == Some(subset));
        let found: Vec<_> = labels.filter_map(|l| l.reversed).collect();
        let all = |value: fn(&lexivid::eval::Reversed) -> f64| mean(&found.iter().map(value).collect::<Vec<_>>());
        (!found.is_empty()).then(|| Reversed {
            subset: subset.into(),
            labels: found.len(),
            mean_average_precision: all(|r| r.average_precision),
            chance: all(|r| {
                let positives = (r.chance * r.examples as f64).round() as usize;
                chance_average_precision(positives, r.examples - positives)
            }),
        })
    };
    SUBSETS.into_iter().filter_map(of).collect()
}

/// Names single sprites of every known concept, in the test style and before test backdrops.
///
/// # Errors
/// When the model fails.
pub fn zero_shot(model: &dyn Model, assets: &Assets, seed: u64) -> Result<ZeroShot, ModelError> {
    let source = SpritePictures::for_test(assets, &World::new(assets), seed);
    let mut labels = Vec::new();
    for batch in source.names().chunks(model.label_batch()) {
        labels.extend(model.encode_labels(batch)?);
    }
    let pictures = source.test(SIDE);
    let (mut first, mut among_five) = (0, 0);
    for (pixels, right) in &pictures {
        let picture = RgbImage::from_raw(SIDE, SIDE, pixels.clone()).expect("side * side * 3 bytes");
        let features = model.encode_frames(&[preprocess(picture, model.preprocessing())])?;
        let seen = model.encode_window(&features.iter().collect::<Vec<_>>(), &[])?.0;
        let similarity = |i: usize| labels[i].vector.iter().zip(&seen).map(|(l, s)| l * s).sum::<f32>();
        let own = similarity(*right);
        let better = (0..labels.len()).filter(|&i| similarity(i) > own).count();
        first += usize::from(better < 1);
        among_five += usize::from(better < 5);
    }
    let share = |count: usize| count as f64 / pictures.len().max(1) as f64;
    Ok(ZeroShot { pictures: pictures.len(), names: labels.len(), top1: share(first), top5: share(among_five) })
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}
