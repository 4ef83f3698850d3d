//! `lexivid stage`.

use crate::{
    args::{self, StageCommand, StageSize},
    interrupt,
    progress::Progress,
};
use comfy_table::{CellAlignment, Table, TableStyle};
use lexivid::label::Kind;
use lexivid_stage::{Assets, Size, Stage, Summary};
use std::{io::Write, path::Path, process::ExitCode};

pub fn run(args: &args::Stage, progress: &Progress) -> anyhow::Result<ExitCode> {
    let StageCommand::Render { size, output, assets, seed, json } = &args.command;
    let assets = Assets::open(assets)?;
    let size = match size {
        StageSize::Small => Size::Small,
        StageSize::Full => Size::Full,
    };
    let stage = Stage::new(&assets, size, *seed);
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

fn described(summary: &Summary, output: &Path) -> String {
    let splits = summary.splits.iter().map(|(split, of)| format!("{} {}", of.videos, split.name()));
    format!("{}: {} videos", output.display(), splits.collect::<Vec<_>>().join(", "))
}

fn table(summary: &Summary) -> Table {
    let mut table = Table::new();
    table.load_style(TableStyle::new()).set_header(["subset", "labels", "n", "tested", "positives each", "in all"]);
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
