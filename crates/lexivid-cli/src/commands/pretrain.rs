//! `lexivid pretrain`.

use super::training;
use crate::{args, progress::Progress};
use lexivid::{
    Error,
    training::{contrastive::PretrainConfig, contrastive::Pretraining, read_config},
};
use lexivid_stage::{Assets, SpritePictures, World};
use std::process::ExitCode;

pub fn run(args: &args::Pretrain, progress: &Progress) -> anyhow::Result<ExitCode> {
    let (config, text) = read_config::<PretrainConfig>(&args.config).map_err(Error::from)?;
    let spinner = progress.spinner();
    spinner.set_message("drawing sprites");
    let assets = Assets::open(&args.assets)?;
    let pictures = SpritePictures::new(&assets, &World::new(&assets), config.seed);
    spinner.finish_and_clear();
    let plan = config.plan.clone();
    let mut task = Pretraining::new(config, &pictures).map_err(Error::from)?;
    progress.say(&format!("{} numbers to train", task.size()));
    training::run(&mut task, &plan, &text, &args.run, progress)
}
