//! `lexivid`: what is in a video, in your own words. Everything of substance is in the library; here are the arguments,
//! the progress bars, the exit codes.

mod args;
mod commands;
mod failure;
mod inputs;
mod interrupt;
mod output;
mod progress;
mod stages;
mod trace;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = args::Args::parse();
    let progress = progress::Progress::new(args.quiet);
    let stages = stages::StageTimes::default();
    let (trace, _written_at_the_end) = match args.trace.as_deref().map(trace::layer).transpose() {
        Ok(trace) => trace.unzip(),
        Err(error) => return failure::report(&error),
    };
    progress.log_to_stderr(args.verbose, stages.clone(), trace);
    if let Err(error) = interrupt::install() {
        return failure::report(&error.into());
    }
    let outcome = match args.command {
        args::Command::Classify(classify) => commands::classify::run(&classify, &progress),
        args::Command::Labels(labels) => commands::labels::run(&labels, &progress),
        args::Command::Embed(embed) => commands::embed::run(&embed, &progress),
        args::Command::Explain(explain) => commands::explain::run(&explain, &progress),
        args::Command::Models(models) => commands::models::run(&models, &progress),
        args::Command::Eval(eval) => commands::eval::run(&eval, &progress),
        args::Command::Calibrate(calibrate) => commands::calibrate::run(&calibrate, &progress),
        args::Command::Bench(bench) => commands::bench::run(&bench, &stages, &progress),
        args::Command::Train(train) => commands::train::run(&train, &progress),
        args::Command::Pretrain(pretrain) => commands::pretrain::run(&pretrain, &progress),
        args::Command::Stage(stage) => commands::stage::run(&stage, &progress),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => failure::report(&error),
    }
}
