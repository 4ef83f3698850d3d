//! `lexivid stage`.

use super::{encode_labels, examples::Dataset, load_model};
use crate::{
    args::{self, DatasetArgs, ModelArgs, StageCommand, StageSize},
    interrupt,
    progress::Progress,
};
use comfy_table::{CellAlignment, Table, TableStyle};
use lexivid::{
    Error,
    classify::LookOptions,
    eval::{EvaluationOptions, evaluate},
    frames::{Sampling, Windowing},
    label::Kind,
    scores::Pool,
};
use lexivid_stage::{
    Assets, Size, Stage, Summary,
    bench::{self, Reversed, Row, ZeroShot},
    scene::Split,
};
use serde::Serialize;
use std::{io::Write, path::Path, process::ExitCode};

pub fn run(args: &args::Stage, progress: &Progress) -> anyhow::Result<ExitCode> {
    match &args.command {
        StageCommand::Render { size, output, assets, seed, json } => {
            let size = match size {
                StageSize::Small => Size::Small,
                StageSize::Full => Size::Full,
            };
            render(size, output, assets, *seed, *json, progress)
        }
        StageCommand::Bench { stage, assets, model, frames, json } => {
            bench(stage, assets, model, (*frames).into(), *json, progress)
        }
    }
}

fn render(
    size: Size,
    output: &Path,
    assets: &Path,
    seed: u64,
    json: bool,
    progress: &Progress,
) -> anyhow::Result<ExitCode> {
    let assets = Assets::open(assets)?;
    let stage = Stage::new(&assets, size, seed);
    let bar = progress.bar(stage.scenes.len() as u64, "videos");
    let summary = stage.write(output, &|done, _| {
        bar.set_position(done as u64);
        interrupt::control_flow()
    });
    bar.finish_and_clear();
    let summary = summary?;
    let mut out = std::io::stdout().lock();
    match json {
        true => writeln!(out, "{}", serde_json::to_string_pretty(&summary)?)?,
        false => writeln!(out, "{}\n{}", described(&summary, output), table(&summary))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What `stage bench` measured.
#[derive(Serialize)]
struct Bench {
    model: String,
    fingerprint: String,
    stage: Summary,
    videos: usize,
    frames: usize,
    rows: Vec<Row>,
    reversed: Vec<Reversed>,
    pictures: ZeroShot,
    /// Over all labels and videos.
    micro_average_precision: Option<f64>,
    calibration_error: Option<f64>,
}

fn bench(
    dir: &Path,
    assets: &Path,
    model: &ModelArgs,
    frames: usize,
    json: bool,
    progress: &Progress,
) -> anyhow::Result<ExitCode> {
    let stage = Summary::read(dir)?;
    let files = DatasetArgs { manifest: Some(dir.join("manifest.jsonl")), labels: Some(dir.join("vocabulary.json")) };
    let dataset = Dataset::read(&files, Some(Split::Test.name()))?;
    let assets = Assets::open(assets)?;
    let model = load_model(model, progress)?;
    for caveat in &model.about().caveats {
        progress.say(&format!("warning: {caveat}"));
    }
    let labels = encode_labels(model.as_ref(), dataset.vocabulary.labels().clone(), true, progress)?;
    let sampling = Sampling::new(Windowing::Whole, frames).map_err(Error::from)?;
    let options = LookOptions::frames(sampling);
    let scored = dataset.score_all(model.as_ref(), &labels, &options, Pool::TopK, progress)?;
    let spinner = progress.spinner();
    spinner.set_message("measuring");
    let options = EvaluationOptions::new(dataset.vocabulary.labels().len(), 0.5);
    let evaluation = evaluate(&scored.scores, &scored.truths, &dataset.vocabulary, &options).map_err(Error::from)?;
    let pictures = bench::zero_shot(model.as_ref(), &assets, stage.seed).map_err(Error::from)?;
    spinner.finish_and_clear();
    let all = evaluation.groups.first();
    let result = Bench {
        model: model.about().name.clone(),
        fingerprint: model.about().fingerprint.clone(),
        stage,
        videos: evaluation.examples,
        frames,
        rows: bench::rows(&evaluation),
        reversed: bench::reversed(&evaluation),
        pictures,
        micro_average_precision: all.and_then(|all| all.micro_average_precision),
        calibration_error: all.and_then(|all| all.calibration_error),
    };
    let mut out = std::io::stdout().lock();
    match json {
        true => writeln!(out, "{}", serde_json::to_string_pretty(&result)?)?,
        false => writeln!(out, "{}", measured(&result))?,
    }
    Ok(if scored.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn measured(bench: &Bench) -> String {
    let number = |value: f64| format!("{value:.3}");
    let mut rows = new_table(["subset", "labels", "n", "mAP", "chance"]);
    for row in &bench.rows {
        let kind = if row.kind == Kind::Entity { "entities" } else { "actions" };
        let numbers = [number(row.mean_average_precision), number(row.chance)];
        rows.add_row([row.subset.clone(), kind.into(), row.labels.to_string()].into_iter().chain(numbers));
    }
    for row in &bench.reversed {
        let numbers = [number(row.mean_average_precision), number(row.chance)];
        let kind = "actions against their reverse in time";
        rows.add_row([row.subset.clone(), kind.into(), row.labels.to_string()].into_iter().chain(numbers));
    }
    rows.column_iter_mut().skip(2).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    let ZeroShot { pictures, names, top1, top5 } = bench.pictures;
    let optional = |value: Option<f64>| value.map_or("none".into(), number);
    format!(
        "{} ({}) on {} test videos of Stage, {} frames each, a controlled synthetic benchmark\n{rows}\nall labels: micro AP {}, ECE {}\n\
         {pictures} single sprites in the test style, among {names} names: top-1 {top1:.3}, top-5 {top5:.3} (chance {:.3}, {:.3})",
        bench.model,
        bench.fingerprint,
        bench.videos,
        bench.frames,
        optional(bench.micro_average_precision),
        optional(bench.calibration_error),
        1.0 / names as f64,
        5.0 / names as f64,
    )
}

fn new_table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(TableStyle::new()).set_header(header);
    table
}

fn described(summary: &Summary, output: &Path) -> String {
    let splits = summary.splits.iter().map(|(split, of)| format!("{} {}", of.videos, split.name()));
    format!("{}: {} videos", output.display(), splits.collect::<Vec<_>>().join(", "))
}

fn table(summary: &Summary) -> Table {
    let mut table = new_table(["subset", "labels", "n", "tested", "positives each", "in all"]);
    for of in &summary.labels {
        let kind = if of.kind == Kind::Entity { "entities" } else { "actions" };
        let all: Vec<_> = of.positives.iter().map(|(split, n)| format!("{} {n}", split.name())).collect();
        let each = format!("{} or more", of.fewest);
        table.add_row([
            of.subset.clone(),
            kind.into(),
            of.labels.to_string(),
            of.tested.to_string(),
            each,
            all.join(", "),
        ]);
    }
    table.column_iter_mut().skip(2).take(2).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    table
}
