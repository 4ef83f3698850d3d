//! `lexivid models`.

use crate::{
    args::{self, ModelsCommand},
    progress::Progress,
};
use comfy_table::{CellAlignment, Table, TableStyle};
use indicatif::HumanBytes;
use lexivid::{
    Error,
    models::store::{FileCheck, FileState, Installed, Kind, Store},
};
use std::{io::Write, process::ExitCode};

pub fn run(args: &args::Models, progress: &Progress) -> anyhow::Result<ExitCode> {
    let store = Store::from_env().map_err(Error::from)?;
    let mut out = std::io::stdout().lock();
    match &args.command {
        ModelsCommand::List { json } => {
            let models = store.list().map_err(Error::from)?;
            match json {
                true => writeln!(out, "{}", serde_json::to_string_pretty(&models)?)?,
                false if models.is_empty() => {
                    writeln!(out, "no models yet; `lexivid models pull starter` fetches one")?
                }
                false => writeln!(out, "{}", table_of_models(&models))?,
            }
        }
        ModelsCommand::Pull { name } => {
            let bar = progress.bytes();
            let path = store.pull(name, &|at| {
                bar.set_message(at.file.to_owned());
                bar.set_length(at.total);
                bar.set_position(at.done);
            });
            bar.finish_and_clear();
            writeln!(out, "{}", path.map_err(Error::from)?.display())?;
        }
        ModelsCommand::Verify { name, json } => {
            let checks = store.verify(name).map_err(Error::from)?;
            match json {
                true => writeln!(out, "{}", serde_json::to_string_pretty(&checks)?)?,
                false => {
                    for FileCheck { file, state } in &checks {
                        writeln!(out, "{:10}  {file}", word(*state))?;
                    }
                }
            }
            if checks.iter().any(|check| matches!(check.state, FileState::Bad | FileState::Missing)) {
                progress.say(&format!("error: {name} is damaged\nhint: `lexivid models pull {name}` fetches it anew"));
                return Ok(ExitCode::FAILURE);
            }
        }
        ModelsCommand::Path { name } => writeln!(out, "{}", store.path(name).map_err(Error::from)?.display())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn table_of_models(models: &[Installed]) -> Table {
    let mut table = Table::new();
    table.load_style(TableStyle::new()).set_header(["model", "size", "from", "path"]);
    for Installed { name, path, size, kind } in models {
        let from = match kind {
            Kind::Assembled => "assembled here",
            Kind::Hub => "hub",
        };
        table.add_row([name.clone(), HumanBytes(*size).to_string(), from.into(), path.display().to_string()]);
    }
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn word(state: FileState) -> &'static str {
    match state {
        FileState::Ok => "ok",
        FileState::Bad => "BAD",
        FileState::Missing => "MISSING",
        FileState::Unrecorded => "unrecorded",
    }
}
