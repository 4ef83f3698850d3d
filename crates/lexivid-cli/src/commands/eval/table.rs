//! An evaluation as tables for a person at a terminal.

use comfy_table::{CellAlignment, Table, TableStyle};
use lexivid::{
    eval::{Evaluation, GroupEvaluation, LabelEvaluation, Protocol},
    label::Kind,
};
use std::io::Write;

/// Writes the groups, the labels that are reversed in time where there are some, and with `per_label` every label.
pub fn write(out: &mut dyn Write, evaluation: &Evaluation, per_label: bool) -> anyhow::Result<()> {
    writeln!(out, "{}", groups(evaluation))?;
    if evaluation.groups.iter().any(|group| group.reversed_labels > 0) {
        writeln!(out, "\n{}", reversed(evaluation))?;
    }
    if per_label {
        writeln!(out, "\n{}", labels(evaluation))?;
    }
    Ok(())
}

fn number(value: Option<f64>) -> String {
    value.map_or(String::new(), |value| format!("{value:.3}"))
}

fn table(header: Vec<String>, words: usize) -> Table {
    let mut table = Table::new();
    table.load_style(TableStyle::new()).set_header(header);
    table.column_iter_mut().skip(words).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    table
}

fn name(group: &GroupEvaluation) -> String {
    match group.protocol {
        Protocol::Generalized => group.name.clone(),
        Protocol::ZeroShot => format!("zero-shot {}", group.name),
    }
}

fn groups(evaluation: &Evaluation) -> Table {
    let at_k = format!("F1@{}", evaluation.k);
    let header = ["group", "labels", "mAP", "chance", "micro AP", "peak F1", &at_k, "CF1", "OF1", "GAP@20", "Hit@1"];
    let header = header.into_iter().chain(["ECE", "p>0.1", "Brier"]).map(String::from).collect();
    let mut table = table(header, 1);
    for group in &evaluation.groups {
        let labels = match (group.labels_with_positives, group.labels) {
            (some, all) if some == all => all.to_string(),
            (some, all) => format!("{some} of {all}"),
        };
        let numbers = [
            group.mean_average_precision,
            group.chance,
            group.micro_average_precision,
            group.peak_f1.map(|peak| peak.f1),
            Some(group.at_k.f1),
            group.class_at_threshold.map(|c| c.f1),
            Some(group.overall_at_threshold.f1),
            group.gap_at_20,
            group.hit_at_1,
            group.calibration_error,
            group.calibration_error_above_0_1,
            group.brier,
        ];
        table.add_row([name(group), labels].into_iter().chain(numbers.map(number)));
    }
    table
}

fn reversed(evaluation: &Evaluation) -> Table {
    let header = ["against their reverse in time", "labels", "mAP", "chance"].map(String::from).to_vec();
    let mut table = table(header, 1);
    for group in evaluation.groups.iter().filter(|group| group.reversed_labels > 0) {
        let numbers = [group.reversed_mean_average_precision, group.reversed_chance].map(number);
        table.add_row([name(group), group.reversed_labels.to_string()].into_iter().chain(numbers));
    }
    table
}

fn labels(evaluation: &Evaluation) -> Table {
    let header = ["label", "kind", "seen", "subset", "positives", "negatives", "AP", "reversed"];
    let header = header.into_iter().chain(["threshold", "P", "R", "F1", "peak F1", "ECE"]).map(String::from).collect();
    let mut table = table(header, 4);
    for label in &evaluation.labels {
        let LabelEvaluation { positives, negatives, at_threshold, .. } = label;
        let kind = label.kind.map_or("", |kind| match kind {
            Kind::Entity => "entity",
            Kind::Action => "action",
        });
        let seen = label.seen.map_or("", |seen| if seen { "seen" } else { "unseen" });
        let words = [label.label.clone(), kind.into(), seen.into(), label.subset.clone().unwrap_or_default()];
        let numbers = [
            label.average_precision,
            label.reversed.map(|reversed| reversed.average_precision),
            Some(label.threshold.into()),
            Some(at_threshold.precision),
            Some(at_threshold.recall),
            Some(at_threshold.f1),
            label.peak_f1.map(|peak| peak.f1),
            label.calibration_error,
        ];
        let counts = [positives, negatives].map(ToString::to_string);
        table.add_row(words.into_iter().chain(counts).chain(numbers.map(number)));
    }
    table
}
