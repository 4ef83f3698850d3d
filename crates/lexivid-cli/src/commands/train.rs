//! `lexivid train`.

use super::training;
use crate::{args, failure, interrupt, progress::Progress};
use lexivid::{
    Error,
    models::{self, Compute, ModelError, store::Store},
    training::{
        TrainingError,
        finetune::{FinetuneConfig, Finetuning, Preparation},
        read_config,
    },
};
use std::{path::Path, process::ExitCode};

pub fn run(args: &args::Train, progress: &Progress) -> anyhow::Result<ExitCode> {
    let (config, text) = read_config::<FinetuneConfig>(&args.config).map_err(Error::from)?;
    let config = config.beside(args.config.parent().unwrap_or(Path::new("")));
    let device = models::device("cpu").map_err(Error::from)?;
    let compute = Compute::new(device, Some(config.precision.into())).map_err(|e| Error::from(ModelError::from(e)))?;
    let spinner = progress.spinner();
    spinner.set_message(format!("loading {}", config.model));
    let model = models::load(&config.model, &compute).map_err(Error::from);
    spinner.finish_and_clear();
    let model = model?;

    let features = Store::from_env().map_err(Error::from)?.features();
    std::fs::create_dir_all(&features)
        .map_err(|source| Error::from(TrainingError::Io { path: features.clone(), source }))?;
    let bar = progress.bar(0, "done");
    let plan = config.plan.clone();
    let task = Finetuning::new(
        config,
        model.as_ref(),
        &features,
        &mut |error| failure::tell(error, progress),
        &mut |preparing| {
            bar.set_message(match preparing.what {
                Preparation::Examples => "looking",
                Preparation::Attributes => "writing attributes",
            });
            bar.set_length(preparing.total as u64);
            bar.set_position(preparing.done as u64);
            interrupt::control_flow()
        },
    );
    bar.finish_and_clear();
    let mut task = task.map_err(Error::from)?;
    progress.say(&format!("{} labels to train", task.trained_labels()));
    training::run(&mut task, &plan, &text, &args.run, progress)
}
