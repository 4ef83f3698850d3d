//! One file a subcommand; here, what several of them need.

pub mod bench;
pub mod classify;
pub mod embed;
pub mod eval;
pub mod models;
pub mod pretrain;
mod training;

use crate::{
    args::{ModelArgs, SamplingArgs, Window},
    failure::WrongUse,
    progress::Progress,
};
use lexivid::{
    Error,
    classify::LookOptions,
    frames::{Sampling, Windowing},
    models::{Compute, Model, ModelError},
    video::DecodeOptions,
};
use std::sync::Arc;

fn load_model(args: &ModelArgs, progress: &Progress) -> anyhow::Result<Arc<dyn Model>> {
    let device = lexivid::models::device(&args.device).map_err(Error::from)?;
    let compute = Compute::new(device, args.precision).map_err(|e| Error::from(ModelError::from(e)))?;
    let spinner = progress.spinner();
    spinner.set_message(format!("loading {}", args.model));
    let model = lexivid::models::load(&args.model, &compute).map_err(Error::from);
    spinner.finish_and_clear();
    Ok(model?)
}

fn look_options(args: &SamplingArgs) -> Result<LookOptions, WrongUse> {
    let windowing = match (args.window, args.hop) {
        (Window::Whole, None) => Windowing::Whole,
        (Window::Whole, Some(_)) => return Err(WrongUse("--hop has no meaning with --window whole".into())),
        (Window::Length(length), hop) => {
            Windowing::Sliding { length: length.as_secs_f64(), hop: hop.unwrap_or(length / 2).as_secs_f64() }
        }
    };
    Ok(LookOptions {
        sampling: Sampling::new(windowing, args.frames.into()).map_err(|e| WrongUse(e.to_string()))?,
        shots: args.shots,
        dedup: !args.no_dedup,
        decode: DecodeOptions { stall_timeout: args.stall_timeout },
    })
}
