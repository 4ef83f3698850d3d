//! A training run as the terminal shows it.

use crate::{args::RunArgs, interrupt, progress::Progress};
use indicatif::{HumanBytes, HumanDuration};
use lexivid::{
    Error,
    training::{self, Finished, Plan, Status, Task},
};
use serde_json::json;
use std::{
    io::Write,
    process::ExitCode,
    time::{Duration, Instant},
};

/// How often a line is printed where there is no terminal for a bar.
const LINE_EVERY: Duration = Duration::from_secs(20);

/// Runs `task`, with a bar, and says where the model is.
pub fn run(
    task: &mut dyn Task,
    plan: &Plan,
    configuration: &str,
    args: &RunArgs,
    progress: &Progress,
) -> anyhow::Result<ExitCode> {
    let bar = progress.steps(plan.steps);
    let (begun, mut first, mut told) = (Instant::now(), None, Instant::now());
    let mut validation = Vec::new();
    let mut loss = 0.0;
    let finished = training::run(task, plan, configuration, &args.output, args.resume, &mut |status: &Status| {
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
    let mut out = std::io::stdout().lock();
    match finished.map_err(Error::from)? {
        Finished::Trained(model) => {
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
