//! `lexivid bench`: where the time goes, and how much memory it takes; what the method is worth.

mod method;

use super::{load_model, look_options};
use crate::{
    args::{self, BenchCommand},
    progress::Progress,
    stages::StageTimes,
};
use comfy_table::{CellAlignment, Table, TableStyle};
use lexivid::{
    Error,
    classify::{ClassifyOptions, EncodedLabels, classify},
    label::LabelList,
    scores::Pool,
};
use serde::Serialize;
use std::{collections::BTreeMap, ops::ControlFlow, process::ExitCode, time::Instant};

#[derive(Serialize)]
struct BenchResult {
    video: String,
    model: String,
    labels: usize,
    frames: usize,
    /// Of these, how many repeat the one before, so that the model did not see them.
    frames_reused: usize,
    load_model_ms: f64,
    encode_labels_ms: f64,
    runs: Vec<Run>,
    /// Highest resident memory of the whole process; Linux only.
    peak_memory_mib: Option<f64>,
}

#[derive(Serialize)]
struct Run {
    total_ms: f64,
    /// Busy time of every stage. Decoding runs beside the model, so the stages may add up to more than the total.
    stages_ms: BTreeMap<&'static str, f64>,
}

pub fn run(args: &args::Bench, stages: &StageTimes, progress: &Progress) -> anyhow::Result<ExitCode> {
    match (&args.command, &args.video) {
        (Some(BenchCommand::Method(args)), _) => method::run(args, progress),
        (None, Some(video)) => classify_often(video, args, stages, progress),
        (None, None) => unreachable!("clap asks for one of them"),
    }
}

fn classify_often(
    video: &str,
    args: &args::Bench,
    stages: &StageTimes,
    progress: &Progress,
) -> anyhow::Result<ExitCode> {
    let milliseconds = |start: Instant| start.elapsed().as_secs_f64() * 1e3;
    let options = ClassifyOptions { look: look_options(&args.sampling)?, pool: Pool::TopK, threshold: 0.5 };
    let list = LabelList::from_inline(&args.labels).map_err(Error::from)?;

    let start = Instant::now();
    let model = load_model(&args.model, progress)?;
    let load_model_ms = milliseconds(start);
    let start = Instant::now();
    let labels = EncodedLabels::new(model.as_ref(), list, None, |_| ControlFlow::Continue(())).map_err(Error::from)?;
    let encode_labels_ms = milliseconds(start);

    let bar = progress.bar(args.runs.into(), "runs");
    let (mut frames, mut frames_reused) = (0, 0);
    let mut runs = Vec::new();
    stages.take();
    for _ in 0..args.runs {
        let start = Instant::now();
        let observer = &mut |_| ControlFlow::Continue(());
        let found = classify(model.as_ref(), &labels, video, &options, observer).map_err(Error::from)?;
        let total_ms = milliseconds(start);
        (frames, frames_reused) = (found.frames_used, found.frames_reused);
        let stages_ms = stages.take().into_iter().map(|(name, time)| (name, time.as_secs_f64() * 1e3)).collect();
        runs.push(Run { total_ms, stages_ms });
        bar.inc(1);
    }
    bar.finish_and_clear();

    let result = BenchResult {
        video: video.into(),
        model: model.about().name.clone(),
        labels: labels.labels().len(),
        frames,
        frames_reused,
        load_model_ms,
        encode_labels_ms,
        runs,
        peak_memory_mib: peak_memory_mib(),
    };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&result)?);
    } else {
        println!("{}", table(&result));
    }
    Ok(ExitCode::SUCCESS)
}

fn table(result: &BenchResult) -> Table {
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let mut table = Table::new();
    table.load_style(TableStyle::new()).set_header([format!("median of {}", result.runs.len()), "ms".into()]);
    table.add_row(["load model (once)".into(), format!("{:.0}", result.load_model_ms)]);
    table.add_row([format!("encode {} labels (once)", result.labels), format!("{:.0}", result.encode_labels_ms)]);
    table.add_row([
        format!("classify, {} frames, {} reused", result.frames, result.frames_reused),
        format!("{:.0}", median(result.runs.iter().map(|run| run.total_ms).collect())),
    ]);
    for stage in result.runs.iter().flat_map(|run| run.stages_ms.keys()).collect::<std::collections::BTreeSet<_>>() {
        let times = result.runs.iter().map(|run| run.stages_ms.get(stage).copied().unwrap_or(0.0)).collect();
        table.add_row([format!("  {stage}"), format!("{:.1}", median(times))]);
    }
    if let Some(memory) = result.peak_memory_mib {
        table.add_row(["peak memory, MiB".into(), format!("{memory:.0}")]);
    }
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// VmHWM of Linux's /proc/self/status.
fn peak_memory_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}
