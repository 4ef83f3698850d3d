//! A training run as the terminal shows it.

use crate::{args::RunArgs, failure, interrupt, progress::Progress};
use indicatif::{HumanBytes, HumanDuration, ProgressBar};
use lexivid::{
    Error,
    models::{self, Compute, Model, ModelError, store::Store},
    training::{
        self, Finished, Plan, Status, Task, TrainingError, TrainingPrecision,
        finetune::{FinetuneConfig, Finetuning, Preparation, Preparing},
    },
};
use serde_json::json;
use std::{
    io::Write,
    ops::ControlFlow,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

/// How often a line is printed where there is no terminal for a bar.
const LINE_EVERY: Duration = Duration::from_secs(20);

/// How a run went.
pub struct Run {
    pub finished: Finished,
    /// Of the last step.
    pub loss: f64,
    /// The last one's numbers.
    pub validation: Vec<(String, f64)>,
}

/// A finetuning of `model`; the videos are looked at, with a bar.
pub fn finetuning<'a>(
    config: FinetuneConfig,
    model: &'a dyn Model,
    progress: &Progress,
) -> anyhow::Result<Finetuning<'a>> {
    let features = Store::from_env().map_err(Error::from)?.features();
    let bar = progress.bar(0, "done");
    let task =
        Finetuning::new(config, model, &features, &mut |error| failure::tell(error, progress), &mut |preparing| {
            show_preparing(&bar, preparing)
        });
    bar.finish_and_clear();
    Ok(task.map_err(Error::from)?)
}

/// How a model computes in a training.
pub fn compute(precision: TrainingPrecision) -> anyhow::Result<Compute> {
    let device = models::device("cpu").map_err(Error::from)?;
    Ok(Compute::new(device, Some(precision.into())).map_err(|e| Error::from(ModelError::from(e)))?)
}

/// How far the preparations are, on their bar.
pub fn show_preparing(bar: &ProgressBar, preparing: Preparing) -> ControlFlow<()> {
    bar.set_message(match preparing.what {
        Preparation::Examples => "looking",
        Preparation::Attributes => "writing attributes",
    });
    bar.set_length(preparing.total as u64);
    bar.set_position(preparing.done as u64);
    interrupt::control_flow()
}

/// Takes the steps of `task`, with a bar.
pub fn take_steps(
    task: &mut dyn Task,
    plan: &Plan,
    configuration: &str,
    out: &Path,
    resume: bool,
    progress: &Progress,
) -> Result<Run, TrainingError> {
    let bar = progress.steps(plan.steps);
    let (begun, mut first, mut told) = (Instant::now(), None, Instant::now());
    let mut validation = Vec::new();
    let mut loss = 0.0;
    let finished = training::run(task, plan, configuration, out, resume, &mut |status: &Status| {
        loss = status.loss;
        let first = *first.get_or_insert(status.step - 1);
        let memory = status.memory.map_or(String::new(), |bytes| format!(" · {}", HumanBytes(bytes)));
        let line = format!("loss {loss:.4} · rate {:.1e}{memory}", status.rate);
        bar.set_message(line.clone());
        bar.set_position(status.step);
        if !status.validation.is_empty() {
            validation = status.validation.to_vec();
            let numbers: Vec<_> = validation.iter().map(|(name, value)| format!("{name} {value:.3}")).collect();
            progress.say(&format!("step {}: {}", status.step, numbers.join(" · ")));
        }
        if bar.is_hidden() && told.elapsed() >= LINE_EVERY {
            let left =
                begun.elapsed().div_f64((status.step - first) as f64).mul_f64((status.steps - status.step) as f64);
            let left = HumanDuration(Duration::from_secs(left.as_secs()));
            progress.line(&format!("step {}/{} · {line} · {left:#} left", status.step, status.steps));
            told = Instant::now();
        }
        interrupt::control_flow()
    });
    bar.finish_and_clear();
    Ok(Run { finished: finished?, loss, validation })
}

/// Runs `task`, and says where the model is.
pub fn run(
    task: &mut dyn Task,
    plan: &Plan,
    configuration: &str,
    args: &RunArgs,
    progress: &Progress,
) -> anyhow::Result<ExitCode> {
    let run = take_steps(task, plan, configuration, &args.output, args.resume, progress).map_err(Error::from)?;
    let Run { finished, loss, validation } = run;
    let mut out = std::io::stdout().lock();
    match finished {
        Finished::Trained { model, .. } => {
            match args.json {
                true => {
                    let validation: serde_json::Map<_, _> =
                        validation.into_iter().map(|(name, value)| (name, json!(value))).collect();
                    writeln!(out, "{}", json!({"model": model, "loss": loss, "validation": validation}))?;
                }
                false => writeln!(out, "{}", model.display())?,
            }
            Ok(ExitCode::SUCCESS)
        }
        Finished::Interrupted(checkpoint) => {
            progress.say(&format!("interrupted at step {}: {}", checkpoint.step, checkpoint.path.display()));
            progress.say("hint: --resume goes on from there");
            Ok(ExitCode::from(130))
        }
    }
}
