//! An evaluation as one self-contained HTML file: groups in a table, precision-recall curves, a reliability diagram, and
//! every label in a table that can be sorted. It needs no network; its content security policy forbids one.

mod chart;

use super::{EvaluationReport, GroupEvaluation, LabelEvaluation, Protocol};
use crate::{
    label::Kind,
    report::{
        ReportError,
        html::{STYLE, sha256_base64, write_page},
    },
};
use askama::Template;
use std::path::Path;

const SCRIPT: &str = include_str!("script.js");

/// Curves drawn in one chart; more could not be told apart.
const CURVES: usize = 8;

#[derive(Template)]
#[template(path = "evaluation.html")]
struct Page<'a> {
    report: &'a EvaluationReport,
    style: [&'static str; 2],
    script: &'static str,
    /// The only script that the content security policy lets run.
    script_sha256: String,
    facts: Vec<String>,
    metrics: Vec<&'static str>,
    groups: Vec<Row>,
    curves: String,
    /// Names of the curves, in the order of their colours.
    curve_names: Vec<String>,
    reliability: String,
    bins: Vec<[String; 4]>,
    columns: Vec<&'static str>,
    labels: Vec<Row>,
    settings: Vec<(&'static str, String)>,
}

/// A name, and numbers as text.
struct Row {
    name: String,
    notes: [String; 2],
    numbers: Vec<String>,
}

/// The page as text.
pub fn render(report: &EvaluationReport) -> Result<String, ReportError> {
    let evaluation = &report.evaluation;
    // Zero-shot groups have the curves of the generalized ones.
    let of_curves: Vec<&GroupEvaluation> =
        evaluation.groups.iter().filter(|g| g.protocol == Protocol::Generalized && !g.curve.is_empty()).collect();
    let drawn = &of_curves[..of_curves.len().min(CURVES)];
    let all = evaluation.groups.first().map_or(&[][..], |group| &group.reliability);
    let bins = all.iter().filter(|bin| bin.pairs > 0).map(|bin| {
        let range = format!("{:.2}–{:.2}", bin.lower, bin.upper);
        [range, bin.pairs.to_string(), format!("{:.3}", bin.mean_probability), format!("{:.3}", bin.share_present)]
    });
    let split = report.split.as_ref().map_or("all splits".into(), |split| format!("split {split}"));
    let settings = &report.settings;
    let window = settings.window.map_or("the whole video".into(), |seconds| format!("{seconds} s"));
    let page = Page {
        report,
        style: [STYLE, include_str!("style.css")],
        script: SCRIPT,
        script_sha256: sha256_base64(SCRIPT),
        facts: vec![
            split,
            format!("{} examples", evaluation.examples),
            format!("{} labels", evaluation.labels.len()),
            report.model.name.clone(),
        ],
        metrics: group_metrics().into_iter().map(|(name, _)| name).collect(),
        groups: evaluation.groups.iter().map(of_group).collect(),
        curves: chart::curves(&drawn.iter().map(|group| &group.curve[..]).collect::<Vec<_>>())?,
        curve_names: drawn.iter().map(|group| group.name.clone()).collect(),
        reliability: chart::reliability(all)?,
        bins: bins.collect(),
        columns: label_metrics().into_iter().map(|(name, _)| name).collect(),
        labels: evaluation.labels.iter().map(of_label).collect(),
        settings: vec![
            ("Model", format!("{} ({})", report.model.name, report.model.fingerprint)),
            ("Manifest", format!("{}, SHA-256 {}", report.manifest, report.manifest_sha256)),
            ("Vocabulary", report.vocabulary.clone()),
            ("Window", window),
            ("Frames per window", settings.frames_per_window.to_string()),
            ("Pooling", settings.pool.clone()),
            ("Threshold", settings.threshold.to_string()),
            ("K of F1@K", evaluation.k.to_string()),
        ],
    };
    Ok(page.render()?)
}

/// Writes the page to `path`; the file appears whole or not at all.
pub fn write(path: &Path, report: &EvaluationReport) -> Result<(), ReportError> {
    write_page(path, &render(report)?)
}

type Metric<T> = (&'static str, fn(&T) -> Option<f64>);

fn group_metrics() -> Vec<Metric<GroupEvaluation>> {
    vec![
        ("mAP", |g| g.mean_average_precision),
        ("chance", |g| g.chance),
        ("reversed mAP", |g| g.reversed_mean_average_precision),
        ("micro AP", |g| g.micro_average_precision),
        ("peak F1", |g| Some(g.peak_f1?.f1)),
        ("F1@K", |g| Some(g.at_k.f1)),
        ("CF1", |g| Some(g.class_at_threshold?.f1)),
        ("OF1", |g| Some(g.overall_at_threshold.f1)),
        ("GAP@20", |g| g.gap_at_20),
        ("Hit@1", |g| g.hit_at_1),
        ("PERR", |g| g.perr),
        ("ECE", |g| g.calibration_error),
        ("ECE p>0.1", |g| g.calibration_error_above_0_1),
        ("class ECE", |g| g.class_wise_calibration_error),
        ("Brier", |g| g.brier),
    ]
}

fn label_metrics() -> Vec<Metric<LabelEvaluation>> {
    vec![
        ("AP", |l| l.average_precision),
        ("reversed AP", |l| Some(l.reversed?.average_precision)),
        ("threshold", |l| Some(l.threshold.into())),
        ("precision", |l| Some(l.at_threshold.precision)),
        ("recall", |l| Some(l.at_threshold.recall)),
        ("F1", |l| Some(l.at_threshold.f1)),
        ("peak F1", |l| Some(l.peak_f1?.f1)),
        ("ECE", |l| l.calibration_error),
    ]
}

fn numbers<T>(metrics: Vec<Metric<T>>, of: &T) -> Vec<String> {
    metrics.into_iter().map(|(_, metric)| metric(of).map_or(String::new(), |value| format!("{value:.3}"))).collect()
}

fn of_group(group: &GroupEvaluation) -> Row {
    let protocol = match group.protocol {
        Protocol::Generalized => "",
        Protocol::ZeroShot => "zero-shot: ",
    };
    let labels = match (group.labels_with_positives, group.labels) {
        (some, all) if some == all => all.to_string(),
        (some, all) => format!("{some} of {all}"),
    };
    let name = format!("{protocol}{}", group.name);
    Row { name, notes: [labels, group.positives.to_string()], numbers: numbers(group_metrics(), group) }
}

fn of_label(label: &LabelEvaluation) -> Row {
    let kind = label.kind.map(|kind| match kind {
        Kind::Entity => "entity",
        Kind::Action => "action",
    });
    let seen = label.seen.map(|seen| if seen { "seen" } else { "unseen" });
    let subset = label.subset.as_deref().filter(|subset| seen != Some(subset));
    let notes: Vec<&str> = [kind, seen, subset].into_iter().flatten().collect();
    Row {
        name: label.label.clone(),
        notes: [notes.join(", "), label.positives.to_string()],
        numbers: numbers(label_metrics(), label),
    }
}

#[cfg(test)]
mod tests;
