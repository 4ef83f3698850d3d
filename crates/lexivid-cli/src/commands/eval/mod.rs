//! `lexivid eval`.

mod dataset;
mod stamps;
mod table;

use crate::{
    args::{self, EvalCommand},
    progress::Progress,
};
use std::process::ExitCode;

pub fn run(args: &args::Eval, progress: &Progress) -> anyhow::Result<ExitCode> {
    match &args.command {
        Some(EvalCommand::Stamps { model, json }) => stamps::run(model, *json, progress),
        None => dataset::run(args, progress),
    }
}
