//! How well a model names pictures: cut-outs of single things from Tux Paint, in a vocabulary of all their names.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use image::{Rgb, RgbImage, RgbaImage};
use serde::{Deserialize, Serialize};

use super::metrics::average_precision;
use crate::{
    frames::preprocess,
    label::Label,
    models::{Model, ModelError, packages},
};

/// data/README.md tells the origin.
const STAMPS: &str = include_str!("../../data/stamps.json");
const PACKAGE: &str = "tuxpaint-stamps-default";
/// Where the package keeps its pictures.
const DIRECTORY: &str = "usr/share/tuxpaint/stamps";
/// One picture of the version that the descriptions were made from.
const PROBE: (&str, &str) = (
    "usr/share/tuxpaint/stamps/animals/birds/crow.png",
    "b717979bede3b46034b3e4d879afa51a1f64b63e16322fea4e2d220bd9139e0c",
);

/// Side of the square that a cut-out is put on, by its longer side.
const MARGIN: f32 = 1.15;
/// The backgrounds, white and grey; a picture's embedding is the mean over both.
const BACKGROUNDS: [u8; 2] = [255, 128];

/// How the noun of a picture relates to the classes of ImageNet-1k.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Match {
    /// Is a class.
    #[serde(rename = "exact")]
    Exact,
    /// Is above classes.
    #[serde(rename = "desc")]
    Above,
    /// Is below a class.
    #[serde(rename = "anc")]
    Below,
    /// Neither.
    #[serde(rename = "none")]
    None,
}

#[derive(Debug, Deserialize)]
struct Stamp {
    rel: String,
    lemma: String,
    cartoon: bool,
    #[serde(rename = "match")]
    relation: Match,
}

/// What `stamps` measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StampsReport {
    /// Names that every picture is matched with.
    pub vocabulary: usize,
    /// Pictures that exist only as SVG and were left out.
    pub left_out: usize,
    /// Results, by kind of picture.
    pub groups: Vec<Group>,
}

/// Results for one kind of picture.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// What pictures these are.
    pub name: &'static str,
    /// Their number.
    pub pictures: usize,
    /// Distinct names among them.
    pub names: usize,
    /// Share of pictures whose name is the most similar one.
    pub top1: f64,
    /// Share of pictures whose name is among the five most similar ones.
    pub top5: f64,
    /// Mean over names of the average precision over these pictures.
    pub mean_average_precision: f64,
    /// Mean probability of the right name.
    pub probability_present: f64,
    /// Mean probability of all other names.
    pub probability_absent: f64,
    /// Share of pictures whose right name has a probability of at least 0.5.
    pub recall_at_half: f64,
    /// Names per picture, other than the right one, with a probability of at least 0.5.
    pub false_alarms_at_half: f64,
}

/// Names the pictures of Tux Paint with `model`. `progress` is told the pictures done and their number. The pictures
/// are the installed package's, else they are fetched with apt and thrown away.
///
/// # Errors
/// When the pictures cannot be fetched or read, or the model fails.
pub fn stamps(model: &dyn Model, progress: &dyn Fn(usize, usize)) -> Result<StampsReport, ModelError> {
    let scratch = tempfile::tempdir().map_err(|e| ModelError::Fetch { what: PACKAGE.into(), reason: e.to_string() })?;
    let pictures = packages::debian(PACKAGE, PROBE, scratch.path())?.join(DIRECTORY);
    let path_of = |stamp: &Stamp| pictures.join(format!("{}.png", stamp.rel));
    let stamps: Vec<Stamp> = serde_json::from_str(STAMPS)
        .map_err(|e| ModelError::BadFile { path: PathBuf::from("stamps.json"), reason: e.to_string() })?;
    let all = stamps.len();
    // Also the names of pictures that are left out: the vocabulary is the same whatever can be read.
    let names: Vec<String> = (stamps.iter().map(|s| s.lemma.clone()).collect::<BTreeSet<_>>()).into_iter().collect();
    let stamps: Vec<Stamp> = stamps.into_iter().filter(|stamp| path_of(stamp).is_file()).collect();
    let labels: Vec<Label> = names.iter().map(Label::new).collect();
    let mut embeddings = Vec::new();
    for batch in labels.chunks(model.label_batch()) {
        embeddings.extend(model.encode_labels(batch)?);
    }
    let mut scored = Vec::new();
    for (done, stamp) in stamps.iter().enumerate() {
        progress(done, stamps.len());
        let video = encode_picture(model, &path_of(stamp))?;
        let similarities: Vec<f32> =
            embeddings.iter().map(|label| label.vector.iter().zip(&video).map(|(l, v)| l * v).sum()).collect();
        let calibrated = embeddings.iter().zip(&similarities);
        let probabilities = calibrated.map(|(label, s)| label.calibration.probability(*s)).collect();
        let right = names.partition_point(|name| *name < stamp.lemma);
        let Stamp { relation, cartoon, .. } = *stamp;
        scored.push(Scored { relation, cartoon, right, similarities, probabilities });
    }
    let select = |keep: &dyn Fn(&Scored) -> bool| scored.iter().filter(|s| keep(s)).collect::<Vec<_>>();
    Ok(StampsReport {
        vocabulary: names.len(),
        left_out: all - stamps.len(),
        groups: vec![
            Group::new("photos, ImageNet class", &select(&|s| !s.cartoon && s.relation == Match::Exact)),
            Group::new("photos, no ImageNet class", &select(&|s| !s.cartoon && s.relation != Match::Exact)),
            Group::new("photos, not even above a class", &select(&|s| !s.cartoon && s.relation == Match::None)),
            Group::new("drawings, ImageNet class", &select(&|s| s.cartoon && s.relation == Match::Exact)),
            Group::new("drawings, no ImageNet class", &select(&|s| s.cartoon && s.relation != Match::Exact)),
        ],
    })
}

/// A picture, matched with every name.
struct Scored {
    relation: Match,
    cartoon: bool,
    /// Index of the right name.
    right: usize,
    similarities: Vec<f32>,  // one a name
    probabilities: Vec<f32>, // one a name
}

impl Group {
    fn new(name: &'static str, pictures: &[&Scored]) -> Self {
        let share = |count: usize| count as f64 / pictures.len().max(1) as f64;
        let rank = |s: &Scored| s.similarities.iter().filter(|other| **other > s.similarities[s.right]).count();
        let names: BTreeSet<usize> = pictures.iter().map(|s| s.right).collect();
        let precisions = names.iter().filter_map(|&name| {
            let column: Vec<_> = pictures.iter().map(|s| (s.similarities[name], s.right == name)).collect();
            average_precision(&column)
        });
        let right: Vec<f32> = pictures.iter().map(|s| s.probabilities[s.right]).collect();
        let others =
            |s: &&Scored| s.probabilities.iter().enumerate().filter(|(i, _)| *i != s.right).map(|(_, p)| *p).collect();
        let absent: Vec<f32> = pictures.iter().flat_map(|s| -> Vec<f32> { others(s) }).collect();
        Self {
            name,
            pictures: pictures.len(),
            names: names.len(),
            top1: share(pictures.iter().filter(|s| rank(s) < 1).count()),
            top5: share(pictures.iter().filter(|s| rank(s) < 5).count()),
            mean_average_precision: precisions.sum::<f64>() / names.len().max(1) as f64,
            probability_present: mean(&right),
            probability_absent: mean(&absent),
            recall_at_half: share(right.iter().filter(|p| **p >= 0.5).count()),
            false_alarms_at_half: share(absent.iter().filter(|p| **p >= 0.5).count()),
        }
    }
}

fn mean(values: &[f32]) -> f64 {
    values.iter().map(|v| f64::from(*v)).sum::<f64>() / values.len().max(1) as f64
}

/// The picture's embedding, as a video that shows it on every background.
fn encode_picture(model: &dyn Model, path: &Path) -> Result<Vec<f32>, ModelError> {
    let bad = |reason: String| ModelError::BadFile { path: path.to_owned(), reason };
    let cut_out = image::open(path).map_err(|e| bad(e.to_string()))?.to_rgba8();
    let frames = BACKGROUNDS.map(|background| preprocess(on_background(&cut_out, background), model.preprocessing()));
    let features = model.encode_frames(&frames)?;
    Ok(model.encode_window(&features.iter().collect::<Vec<_>>(), &[])?.0)
}

/// What is not transparent, in the middle of a square of one colour.
fn on_background(cut_out: &RgbaImage, background: u8) -> RgbImage {
    let visible = || cut_out.enumerate_pixels().filter(|(_, _, pixel)| pixel[3] > 0);
    let left = visible().map(|(x, _, _)| x).min().unwrap_or(0);
    let right = visible().map(|(x, _, _)| x + 1).max().unwrap_or(1);
    let top = visible().map(|(_, y, _)| y).min().unwrap_or(0);
    let bottom = visible().map(|(_, y, _)| y + 1).max().unwrap_or(1);
    let side = ((right - left).max(bottom - top) as f32 * MARGIN) as u32;
    let (dx, dy) = ((side - (right - left)) / 2, (side - (bottom - top)) / 2);
    let mut square = RgbImage::from_pixel(side, side, Rgb([background; 3]));
    for (x, y, pixel) in visible() {
        let alpha = u32::from(pixel[3]);
        let blend =
            |c: usize| ((u32::from(pixel[c]) * alpha + u32::from(background) * (255 - alpha) + 127) / 255) as u8;
        square.put_pixel(x - left + dx, y - top + dy, Rgb([blend(0), blend(1), blend(2)]));
    }
    square
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label_embedding::Calibration;
    use image::Rgba;

    #[test]
    fn a_cut_out_stands_in_the_middle_and_blends() {
        let mut cut_out = RgbaImage::new(50, 40);
        for x in 10..30 {
            for y in 20..30 {
                cut_out.put_pixel(x, y, Rgba([200, 0, 0, if x < 20 { 255 } else { 128 }]));
            }
        }
        let square = on_background(&cut_out, 255);
        assert_eq!(square.dimensions(), (23, 23));
        assert_eq!(square.get_pixel(1, 6), &Rgb([200, 0, 0]));
        assert_eq!(square.get_pixel(20, 15), &Rgb([227, 127, 127]));
        assert_eq!(square.get_pixel(1, 5), &Rgb([255; 3]));
        assert_eq!(square.get_pixel(22, 22), &Rgb([255; 3]));
        assert_eq!(on_background(&RgbaImage::new(3, 3), 9).get_pixel(0, 0), &Rgb([9; 3]), "nothing visible");
    }

    #[test]
    fn a_group_counts_ranks_and_alarms() {
        let calibration = Calibration { scale: 1.0, bias: 0.0 };
        let scored = |right, similarities: [f32; 7]| Scored {
            relation: Match::None,
            cartoon: false,
            right,
            probabilities: similarities.map(|s| calibration.probability(s)).to_vec(),
            similarities: similarities.to_vec(),
        };
        let first = scored(0, [9.0, 1.0, -1.0, -1.0, -1.0, -1.0, -1.0]);
        let third = scored(1, [3.0, -1.0, 2.0, -2.0, -3.0, -4.0, -5.0]);
        let sixth = scored(0, [-9.0, 1.0, 2.0, 3.0, 4.0, 5.0, -10.0]);
        let group = Group::new("all", &[&first, &third, &sixth]);
        assert_eq!((group.pictures, group.names), (3, 2));
        assert!((group.top1 - 1.0 / 3.0).abs() < 1e-9 && (group.top5 - 2.0 / 3.0).abs() < 1e-9);
        assert!((group.recall_at_half - 1.0 / 3.0).abs() < 1e-9);
        assert!((group.false_alarms_at_half - 8.0 / 3.0).abs() < 1e-9);
        // Name 0: ranked first and last of three; name 1: last of three.
        let expected = ((1.0 + 2.0 / 3.0) / 2.0 + 1.0 / 3.0) / 2.0;
        assert!((group.mean_average_precision - expected).abs() < 1e-9, "{}", group.mean_average_precision);
    }

    #[test]
    fn the_data_names_every_picture_once() {
        let stamps: Vec<Stamp> = serde_json::from_str(STAMPS).expect("well-formed");
        assert_eq!(stamps.len(), 661);
        assert_eq!(stamps.iter().map(|s| &s.rel).collect::<BTreeSet<_>>().len(), 661);
    }
}
