//! `lexivid classify`.

use super::{encode_labels, labels_of, load_model, look_options};
use crate::{args, failure, inputs, interrupt, output, progress::Progress};
use anyhow::Context;
use lexivid::{
    Error,
    classify::{ClassifyError, ClassifyOptions, EncodedLabels, classify},
    decisions::Classification,
    models::Model,
    report::{self, Outcome},
    video::DecodeOptions,
};
use std::{path::Path, process::ExitCode};

pub fn run(args: &args::Classify, progress: &Progress) -> anyhow::Result<ExitCode> {
    let videos = inputs::expand(&args.inputs)?;
    let list = labels_of(args.vocabulary.as_deref(), &args.given)?;
    let options = ClassifyOptions { look: look_options(&args.sampling)?, pool: args.pool, threshold: args.threshold };

    let model = load_model(&args.model, progress)?;
    for warning in list.warnings().iter().chain(&model.about().caveats) {
        progress.say(&format!("warning: {warning}"));
    }
    let labels = encode_labels(model.as_ref(), list, args.no_cache, progress)?;

    let mut outcomes = Vec::with_capacity(videos.len());
    output::write_to(args.output.as_deref(), |out| {
        let overall = progress.bar(videos.len() as u64, "videos");
        overall.set_message("all");
        for video in &videos {
            let outcome = match classify_one(model.as_ref(), &labels, video, &options, progress) {
                Ok(classification) => Outcome::Done(Box::new(classification)),
                Err(ClassifyError::Video(error)) => {
                    failure::tell(&error, progress);
                    // The path stands beside it.
                    let error = error.to_string();
                    let reason = error.strip_prefix(&format!("{video}: ")).unwrap_or(&error);
                    Outcome::Failed { path: video.clone(), error: reason.into() }
                }
                Err(error) => return Err(Error::from(error).into()),
            };
            if args.format.jsonl {
                report::jsonl::write(&mut *out, &outcome)?;
            }
            outcomes.push(outcome);
            overall.inc(1);
        }
        overall.finish_and_clear();
        if args.format.json {
            report::json::write(out, &outcomes)?;
        } else if args.format.csv {
            report::csv::write(out, &outcomes)?;
        } else if !args.format.jsonl {
            report::table::write(out, &outcomes, output::table_options(args.top, args.output.is_some()))?;
        }
        Ok(())
    })?;
    if let Some(path) = &args.report {
        write_report(path, &outcomes, &options.look.decode, progress)?;
    }
    let failed = outcomes.iter().any(|outcome| matches!(outcome, Outcome::Failed { .. }));
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn classify_one(
    model: &dyn Model,
    labels: &EncodedLabels,
    video: &str,
    options: &ClassifyOptions,
    progress: &Progress,
) -> Result<Classification, ClassifyError> {
    let bar = progress.bar(0, "s");
    bar.set_message(Path::new(video).file_name().unwrap_or_default().to_string_lossy().into_owned());
    let classification = classify(model, labels, video, options, &mut |at| {
        bar.set_length(at.duration.ceil().max(1.0) as u64);
        bar.set_position(at.seconds as u64);
        interrupt::control_flow()
    });
    bar.finish_and_clear();
    let classification = classification?;
    for warning in &classification.warnings {
        // What holds for the whole run was said at its start.
        if !labels.labels().warnings().contains(warning) && !model.about().caveats.contains(warning) {
            progress.say(&format!("warning: {video}: {warning}"));
        }
    }
    Ok(classification)
}

fn write_report(path: &Path, outcomes: &[Outcome], decode: &DecodeOptions, progress: &Progress) -> anyhow::Result<()> {
    let bar = progress.bar(outcomes.len() as u64, "videos");
    bar.set_message("report");
    let mut pages = Vec::new();
    let mut failed = Vec::new();
    for outcome in outcomes {
        match outcome {
            Outcome::Done(classification) => {
                pages.push(report::html::VideoPage::with_stills(classification, decode).map_err(Error::from)?)
            }
            Outcome::Failed { path, error } => failed.push((path.clone(), error.clone())),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let page = report::html::Report { videos: &pages, failed: &failed };
    report::html::write(path, &page).with_context(|| path.display().to_string())
}
