//! `lexivid eval stamps`.

use crate::{args::ModelArgs, commands::load_model, progress::Progress};
use comfy_table::{CellAlignment, Table, TableStyle};
use lexivid::{Error, eval::stamps::StampsReport};
use std::{io::Write, process::ExitCode};

pub fn run(model: &ModelArgs, json: bool, progress: &Progress) -> anyhow::Result<ExitCode> {
    let model = load_model(model, progress)?;
    let bar = progress.bar(0, "pictures");
    let report = lexivid::eval::stamps::stamps(model.as_ref(), &|done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    let report = report.map_err(Error::from)?;
    let mut out = std::io::stdout().lock();
    match json {
        true => writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?,
        false => writeln!(out, "{}", table(&report))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn table(report: &StampsReport) -> Table {
    let mut table = Table::new();
    let header = ["pictures", "n", "names", "top-1", "top-5", "mAP", "p present", "p absent", "recall", "false alarms"];
    table.load_style(TableStyle::new()).set_header(header);
    for group in &report.groups {
        let numbers = [
            group.top1,
            group.top5,
            group.mean_average_precision,
            group.probability_present,
            group.probability_absent,
            group.recall_at_half,
            group.false_alarms_at_half,
        ];
        let counts = [group.name.to_owned(), group.pictures.to_string(), group.names.to_string()];
        table.add_row(counts.into_iter().chain(numbers.map(|number| format!("{number:.3}"))));
    }
    table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    table
}
