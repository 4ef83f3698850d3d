//! `lexivid train`.

use super::{load, training};
use crate::{args, progress::Progress};
use lexivid::{
    Error,
    training::{finetune::FinetuneConfig, read_config},
};
use std::{path::Path, process::ExitCode};

pub fn run(args: &args::Train, progress: &Progress) -> anyhow::Result<ExitCode> {
    let (config, text) = read_config::<FinetuneConfig>(&args.config).map_err(Error::from)?;
    let config = config.beside(args.config.parent().unwrap_or(Path::new("")));
    let model = load(&config.model, &training::compute(config.precision)?, progress)?;
    let plan = config.plan.clone();
    let mut task = training::finetuning(config, model.as_ref(), progress)?;
    progress.say(&format!("{} labels to train", task.trained_labels()));
    training::run(&mut task, &plan, &text, &args.run, progress)
}
