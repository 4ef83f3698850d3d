//! What the template shows, worked out: places in percent, numbers and times as text.

use super::{
    MAX_ROWS, Report, Still, VideoPage,
    axis::{Axis, Tick},
    card,
    heatmap::{Cell, Columns},
};
use crate::{
    decisions::{Classification, LabelResult, Settings},
    label::Kind,
    label_embedding::{Confidence, Origin},
    report::clock::{Precision, clock, span},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};
use std::{collections::BTreeSet, path::Path};

/// The look of every page.
pub(crate) const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// More spans of one label than this are counted, not written out; the heat map shows them all.
const SPANS_WRITTEN: usize = 6;
/// More labels than this are counted, not named, in the summary of a video.
const FOUND_NAMED: usize = 20;

/// How a content security policy names a script.
pub(crate) fn sha256_base64(script: &str) -> String {
    BASE64_STANDARD.encode(Sha256::digest(script))
}

/// The whole page.
#[derive(askama::Template)]
#[template(path = "page.html")]
pub(super) struct Page<'a> {
    title: String,
    style: &'static str,
    script: &'static str,
    /// The only script that the content security policy lets run.
    script_sha256: String,
    videos: Vec<Video<'a>>,
    failed: &'a [(String, String)],
    /// The page is about one video, whose name is then its title.
    single: bool,
    models: Vec<ModelCard<'a>>,
}

struct Video<'a> {
    id: String,
    name: String,
    path: &'a str,
    facts: Vec<String>,
    /// `width / height`, for pictures that keep the video's shape.
    aspect: String,
    poster: Option<Picture>,
    /// The labels that are present, the first of them named.
    found: Vec<Found<'a>>,
    more_found: usize,
    closest: Option<Found<'a>>,
    warnings: &'a [String],
    strip: Vec<StripPicture>,
    ticks: Vec<Tick>,
    /// JSON: `[left, right, time span as text]` of every column.
    columns: String,
    /// Few columns are drawn with gaps between them.
    few_columns: bool,
    label_count: usize,
    /// The doubts of its labels, each once.
    doubts: Vec<Doubt>,
    rows: Vec<Row<'a>>,
    /// JSON: `[name, probability as text]` of the labels that have no row.
    rest: String,
    evidence: Vec<Evidence<'a>>,
    settings: Vec<(&'static str, String)>,
}

struct Found<'a> {
    name: &'a str,
    probability: String,
    row: String,
}

struct Picture {
    /// `data:` URI.
    src: String,
    time: String,
}

struct StripPicture {
    picture: Picture,
    /// Share of the strip, in percent.
    width: f64,
}

struct Row<'a> {
    id: String,
    index: usize,
    name: &'a str,
    doubt: Option<Doubt>,
    present: bool,
    probability: String,
    percent: f64,
    threshold: String,
    threshold_percent: f64,
    /// Start of the first span in seconds, for sorting.
    first: Option<f64>,
    /// What the row says, for those who do not see it.
    summary: String,
    peaks: Vec<u16>,
    cells: Vec<Cell>,
    spans: Vec<Place>,
    /// Places of the best frames that are shown, in percent.
    best: Vec<f64>,
    evidence: Option<String>,
}

/// Why a reader should trust a label's probabilities less.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Doubt {
    sign: &'static str,
    text: &'static str,
}

struct Place {
    left: f64,
    width: f64,
}

struct Evidence<'a> {
    id: String,
    row: String,
    name: &'a str,
    kind: Option<&'static str>,
    present: bool,
    probability: String,
    spans: Vec<String>,
    origin: String,
    /// Why confidence is low, where it is.
    low: Option<&'a str>,
    stills: Vec<EvidenceStill>,
}

struct EvidenceStill {
    picture: Picture,
    probability: Option<String>,
}

struct ModelCard<'a> {
    name: &'a str,
    fingerprint: &'a str,
    html: String,
}

impl<'a> Page<'a> {
    pub(super) fn new(report: &Report<'a>) -> Self {
        let videos: Vec<_> = report.videos.iter().enumerate().map(|(i, page)| Video::new(i + 1, page)).collect();
        let title = match (videos.as_slice(), report.failed) {
            ([video], []) => video.name.clone(),
            ([], [(path, _)]) => path.clone(),
            (videos, failed) => format!("{} videos", videos.len() + failed.len()),
        };
        let mut models: Vec<ModelCard> = Vec::new();
        for model in report.videos.iter().map(|v| &v.classification.model) {
            if !model.card.is_empty() && !models.iter().any(|m| m.fingerprint == model.fingerprint) {
                let html = card::render(&model.card);
                models.push(ModelCard { name: &model.name, fingerprint: &model.fingerprint, html });
            }
        }
        Self {
            title,
            style: STYLE,
            script: SCRIPT,
            script_sha256: sha256_base64(SCRIPT),
            videos,
            failed: report.failed,
            single: report.videos.len() + report.failed.len() == 1,
            models,
        }
    }
}

impl<'a> Video<'a> {
    fn new(number: usize, page: &VideoPage<'a>) -> Self {
        let c = page.classification;
        let id = format!("v{number}");
        let precision = Precision::of(c.video.duration);
        let axis = Axis::new(c.windows.iter().map(|w| w.end).fold(c.video.duration, f64::max));
        let columns = Columns::new(&c.windows, axis);
        let with_row = labels_with_row(&c.labels);

        let found = |i: usize| Found {
            name: &c.labels[i].label,
            probability: two_digits(c.labels[i].probability),
            row: row_id(&id, i),
        };
        let present: Vec<usize> = with_row.iter().copied().filter(|&i| c.labels[i].present).collect();
        let places: Vec<_> = columns
            .columns()
            .iter()
            .map(|column| (column.left, column.right, span(column.start, column.end, precision)))
            .collect();
        let rest: Vec<_> = c
            .labels
            .iter()
            .enumerate()
            .filter(|(i, _)| with_row.binary_search(i).is_err())
            .map(|(_, label)| (&label.label, two_digits(label.probability)))
            .collect();

        Self {
            name: Path::new(&c.path).file_name().map_or(c.path.clone(), |name| name.to_string_lossy().into_owned()),
            path: &c.path,
            facts: facts(c, precision),
            aspect: format!("{} / {}", c.video.width.max(1), c.video.height.max(1)),
            poster: page.strip.get(page.strip.len() / 2).map(|still| Picture::new(still, precision)),
            found: present.iter().take(FOUND_NAMED).map(|&i| found(i)).collect(),
            more_found: c.labels.iter().filter(|l| l.present).count().saturating_sub(FOUND_NAMED),
            closest: (!c.labels.is_empty()).then(|| found(0)),
            warnings: &c.warnings,
            strip: strip(&page.strip, axis, precision),
            ticks: axis.ticks(),
            columns: serde_json::json!(places).to_string(),
            few_columns: places.len() <= 60,
            label_count: c.labels.len(),
            doubts: with_row.iter().filter_map(|&i| doubt(&c.labels[i])).collect::<BTreeSet<_>>().into_iter().collect(),
            rows: with_row.iter().map(|&i| Row::new(&id, i, page, axis, &columns, precision)).collect(),
            rest: serde_json::json!(rest).to_string(),
            evidence: with_row.iter().filter_map(|&i| Evidence::new(&id, i, page, precision)).collect(),
            settings: settings(c),
            id,
        }
    }
}

/// Indices of the labels that get a row, ascending: all the best, but no present one is left out for a better absent.
fn labels_with_row(labels: &[LabelResult]) -> Vec<usize> {
    let (present, absent): (Vec<usize>, Vec<usize>) = (0..labels.len()).partition(|&i| labels[i].present);
    let mut indices: Vec<usize> = present.into_iter().chain(absent).take(MAX_ROWS).collect();
    indices.sort_unstable();
    indices
}

fn facts(c: &Classification, precision: Precision) -> Vec<String> {
    let plural = |n: usize, noun: &str| if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") };
    vec![
        clock(c.video.duration, precision),
        format!("{} × {}", c.video.width, c.video.height),
        match c.clips_used {
            0 => plural(c.frames_used, "frame") + " looked at",
            clips => format!("{} and {} looked at", plural(c.frames_used, "frame"), plural(clips, "clip")),
        },
        plural(c.windows.len(), "window"),
        plural(c.labels.len(), "label"),
    ]
}

fn settings(c: &Classification) -> Vec<(&'static str, String)> {
    let Settings { window, hop, frames_per_window, pool, threshold, shots, dedup } = &c.settings;
    let windows = match (window, hop) {
        (Some(window), Some(hop)) => format!("{window} s, one every {hop} s"),
        (Some(window), None) => format!("{window} s"),
        (None, _) => "the whole video".into(),
    };
    // A demuxer names all formats that it reads ("mov,mp4,m4a"); the file's name tells which.
    let formats: Vec<&str> = c.video.container.split(',').collect();
    let extension = Path::new(&c.path).extension().and_then(|e| e.to_str()).unwrap_or_default();
    let format = formats.iter().find(|f| f.eq_ignore_ascii_case(extension)).unwrap_or(&formats[0]);
    let rate = c.video.frame_rate.map(|rate| format!(", {} frames a second", (rate * 100.0).round() / 100.0));
    vec![
        ("Model", format!("{} ({})", c.model.name, c.model.fingerprint)),
        ("Windows", windows),
        ("Frames in a window", frames_per_window.to_string()),
        ("Pooling of windows", pool.clone()),
        ("Present from", two_digits(*threshold)),
        ("Windows cross cuts", if *shots { "no" } else { "yes" }.into()),
        (
            "Frames that repeat the one before",
            if *dedup { format!("{}, their embeddings reused", c.frames_reused) } else { "looked at".into() },
        ),
        ("Clips looked at for motion", c.clips_used.to_string()),
        ("Media", format!("{} in {format}{}", c.video.codec, rate.unwrap_or_default())),
    ]
}

/// Every still takes the time that is nearer to it than to its neighbours.
fn strip(stills: &[Still], axis: Axis, precision: Precision) -> Vec<StripPicture> {
    let edge = |i: usize| match i {
        0 => 0.0,
        i if i == stills.len() => 100.0,
        i => axis.percent((stills[i - 1].time + stills[i].time) / 2.0),
    };
    stills
        .iter()
        .enumerate()
        .map(|(i, still)| StripPicture {
            picture: Picture::new(still, precision),
            width: ((edge(i + 1) - edge(i)) * 100.0).round() / 100.0,
        })
        .collect()
}

impl Picture {
    fn new(still: &Still, precision: Precision) -> Self {
        let src = format!("data:image/jpeg;base64,{}", BASE64_STANDARD.encode(&still.jpeg));
        Self { src, time: clock(still.time, precision) }
    }
}

impl<'a> Row<'a> {
    fn new(
        video: &str,
        index: usize,
        page: &VideoPage<'a>,
        axis: Axis,
        columns: &Columns,
        precision: Precision,
    ) -> Self {
        let label = &page.classification.labels[index];
        let peaks = columns.peaks(&label.timeline);
        let probability = two_digits(label.probability);
        let verdict = match (label.present, label.spans.is_empty()) {
            (true, false) => format!("present {}", span_texts(label, precision).join(", ")),
            (true, true) => "present".into(),
            (false, _) => "not present".into(),
        };
        Self {
            id: row_id(video, index),
            index,
            name: &label.label,
            doubt: doubt(label),
            present: label.present,
            summary: format!("{}: probability {probability}, {verdict}", label.label),
            probability,
            percent: percent(label.probability),
            threshold: two_digits(label.threshold),
            threshold_percent: percent(label.threshold),
            first: label.spans.first().map(|s| s.start),
            cells: columns.cells(&peaks),
            peaks,
            spans: label
                .spans
                .iter()
                .map(|s| {
                    let left = axis.percent(s.start);
                    Place { left, width: ((axis.percent(s.end) - left) * 100.0).round() / 100.0 }
                })
                .collect(),
            best: stills(page, index).unwrap_or_default().iter().map(|still| axis.percent(still.time)).collect(),
            evidence: stills(page, index).map(|_| evidence_id(video, index)),
        }
    }
}

impl<'a> Evidence<'a> {
    /// Nothing if the label has no stills.
    fn new(video: &str, index: usize, page: &VideoPage<'a>, precision: Precision) -> Option<Self> {
        let label = &page.classification.labels[index];
        let stills = stills(page, index)?
            .iter()
            .map(|still| {
                let distance = |time: f64| (time - still.time).abs();
                let frame = label.best_frames.iter().min_by(|a, b| distance(a.time).total_cmp(&distance(b.time)));
                EvidenceStill {
                    picture: Picture::new(still, precision),
                    probability: frame.map(|f| two_digits(f.probability)),
                }
            })
            .collect();
        Some(Self {
            id: evidence_id(video, index),
            row: row_id(video, index),
            name: &label.label,
            kind: label.kind.map(|kind| match kind {
                Kind::Entity => "entity",
                Kind::Action => "action",
            }),
            present: label.present,
            probability: two_digits(label.probability),
            spans: span_texts(label, precision),
            origin: match &label.origin {
                Origin::TextTower => "Embedded by the model’s text tower.".into(),
                Origin::KnownClass { class } => format!("The image model was trained on it, as “{class}”."),
                Origin::Inferred { nearest, similarity } => format!(
                    "Inferred from the words alone; the nearest class that the image model was trained on is \
                     “{nearest}” (similarity {similarity:.2})."
                ),
            },
            low: match &label.confidence {
                Confidence::Usual => None,
                Confidence::Low { reason } => Some(reason),
            },
            stills,
        })
    }
}

fn stills<'p>(page: &'p VideoPage, index: usize) -> Option<&'p [Still]> {
    page.evidence.get(&index).map(Vec::as_slice).filter(|stills| !stills.is_empty())
}

fn doubt(label: &LabelResult) -> Option<Doubt> {
    match (&label.confidence, &label.origin) {
        (Confidence::Low { .. }, _) => Some(Doubt { sign: "?", text: "low confidence" }),
        (Confidence::Usual, Origin::Inferred { .. }) => {
            Some(Doubt { sign: "≈", text: "inferred from the words alone" })
        }
        (Confidence::Usual, Origin::TextTower | Origin::KnownClass { .. }) => None,
    }
}

fn span_texts(label: &LabelResult, precision: Precision) -> Vec<String> {
    let mut texts: Vec<_> = label.spans.iter().take(SPANS_WRITTEN).map(|s| span(s.start, s.end, precision)).collect();
    if label.spans.len() > SPANS_WRITTEN {
        texts.push(format!("{} more", label.spans.len() - SPANS_WRITTEN));
    }
    texts
}

fn row_id(video: &str, index: usize) -> String {
    format!("{video}-label-{index}")
}

fn evidence_id(video: &str, index: usize) -> String {
    format!("{video}-frames-{index}")
}

fn two_digits(probability: f32) -> String {
    format!("{probability:.2}")
}

/// To a tenth of a percent.
fn percent(probability: f32) -> f64 {
    (f64::from(probability).clamp(0.0, 1.0) * 1000.0).round() / 10.0
}
