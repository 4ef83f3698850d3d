//! One file a subcommand; here, what several of them need.

pub mod bench;
pub mod calibrate;
pub mod classify;
pub mod embed;
pub mod eval;
pub mod explain;
pub mod labels;
pub mod models;
pub mod pretrain;
pub mod stage;
pub mod train;
mod training;

mod examples;

use crate::{
    args::{GivenLabels, ModelArgs, SamplingArgs, Window},
    failure::WrongUse,
    interrupt,
    progress::Progress,
};
use anyhow::Context;
use lexivid::{
    Error,
    classify::{ClassifyError, EncodedLabels, LookOptions},
    frames::{Sampling, Windowing},
    label::LabelList,
    label_embedding::{DatabaseError, LabelDatabase},
    models::{Compute, Model, ModelError, store::Store},
    video::DecodeOptions,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

fn load_model(args: &ModelArgs, progress: &Progress) -> anyhow::Result<Arc<dyn Model>> {
    load(&args.model, &compute(args)?, progress)
}

fn load(name: &str, compute: &Compute, progress: &Progress) -> anyhow::Result<Arc<dyn Model>> {
    let spinner = progress.spinner();
    spinner.set_message(format!("loading {name}"));
    let model = lexivid::models::load(name, compute).map_err(Error::from);
    spinner.finish_and_clear();
    Ok(model?)
}

/// Where and how the model is to compute.
fn compute(args: &ModelArgs) -> anyhow::Result<Compute> {
    let device = lexivid::models::device(&args.device).map_err(Error::from)?;
    Ok(Compute::new(device, args.precision).map_err(|e| Error::from(ModelError::from(e)))?)
}

/// What keeps vocabularies and label embeddings between runs. Errors are told as `wrap` has them: some commands do without it.
fn label_database(wrap: fn(DatabaseError) -> Error) -> anyhow::Result<LabelDatabase> {
    let store = Store::from_env().map_err(Error::from)?;
    std::fs::create_dir_all(&store.home).with_context(|| store.home.display().to_string())?;
    Ok(LabelDatabase::open(&store.label_database()).map_err(wrap)?)
}

/// The labels of a vocabulary that is kept, or those that were given.
fn labels_of(vocabulary: Option<&str>, given: &GivenLabels) -> anyhow::Result<LabelList> {
    let labels = match vocabulary {
        Some(name) => {
            LabelList::new(label_database(Error::from)?.labels(name).map_err(Error::from)?).map_err(Error::from)?
        }
        None => given.read()?,
    };
    Ok(labels)
}

/// From the database where it has them, with a progress bar.
fn encode_labels(
    model: &dyn Model,
    list: LabelList,
    no_cache: bool,
    progress: &Progress,
) -> anyhow::Result<EncodedLabels> {
    let mut database = match no_cache {
        true => None,
        false => Some(label_database(|e| ClassifyError::from(e).into())?),
    };
    embed(model, list, database.as_mut(), progress)
}

/// How often progress is told where there is no bar.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// What the database has or gets is stored when it is told.
fn embed(
    model: &dyn Model,
    list: LabelList,
    database: Option<&mut LabelDatabase>,
    progress: &Progress,
) -> anyhow::Result<EncodedLabels> {
    let (total, mut told) = (list.len(), Instant::now());
    let bar = progress.bar(total as u64, "labels");
    bar.set_message("labels");
    let encoded = EncodedLabels::new(model, list, database, |done| {
        bar.set_position(done as u64);
        if bar.is_hidden() && told.elapsed() >= TELL_EVERY {
            progress.line(&format!("{done} of {total} labels"));
            told = Instant::now();
        }
        interrupt::control_flow()
    });
    bar.finish_and_clear();
    Ok(encoded.map_err(Error::from)?)
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
        motion: !args.no_motion,
        dedup: !args.no_dedup,
        keep_blocks: 0,
        decode: DecodeOptions { stall_timeout: args.stall_timeout },
    })
}
