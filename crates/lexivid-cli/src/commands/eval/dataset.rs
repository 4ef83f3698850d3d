//! `lexivid eval --manifest`: a data set through the pipeline of `classify`.

use super::table;
use crate::{
    args,
    commands::{
        encode_labels,
        examples::{Dataset, Scored},
        load_model, look_options,
    },
    output,
    progress::Progress,
};
use anyhow::Context;
use lexivid::{
    Error,
    classify::ClassifyOptions,
    dataset::Manifest,
    decisions::ModelSummary,
    eval::{self, EvaluationOptions, EvaluationReport},
    models::{StoredCalibration, store::Store},
};
use std::process::ExitCode;

pub fn run(args: &args::Eval, progress: &Progress) -> anyhow::Result<ExitCode> {
    let look = look_options(&args.sampling.sampling)?;
    let options = ClassifyOptions { look, pool: args.pool, threshold: args.threshold };
    let dataset = Dataset::read(&args.dataset, args.split.as_deref())?;
    let model = load_model(&args.model, progress)?;
    let mut warnings = dataset.warnings.clone();
    warnings.extend(model.about().caveats.iter().cloned());
    warnings.extend(fitted_on_this(&args.model.model, &dataset.manifest, args.split.as_deref())?);
    for warning in &warnings {
        progress.say(&format!("warning: {warning}"));
    }
    let labels = encode_labels(model.as_ref(), dataset.vocabulary.labels().clone(), args.no_cache, progress)?;

    let Scored { scores, truths, sources, failed } =
        dataset.score_all(model.as_ref(), &labels, &options.look, options.pool, progress)?;
    let width = dataset.vocabulary.labels().len();
    let evaluation_options = EvaluationOptions {
        thresholds: (0..width).map(|label| labels.threshold(label).unwrap_or(args.threshold)).collect(),
        k: args.k.into(),
        sources,
        unlabelled_last: args.unlabelled_last,
    };
    let spinner = progress.spinner();
    spinner.set_message("measuring");
    let evaluation = eval::evaluate(&scores, &truths, &dataset.vocabulary, &evaluation_options);
    spinner.finish_and_clear();
    let about = model.about();
    let report = EvaluationReport {
        manifest: dataset.manifest.path().display().to_string(),
        manifest_sha256: dataset.manifest.sha256().into(),
        split: args.split.clone(),
        vocabulary: dataset.vocabulary_path.display().to_string(),
        model: ModelSummary {
            name: about.name.clone(),
            fingerprint: about.fingerprint.clone(),
            card: about.card.clone(),
        },
        settings: options.settings(),
        failed,
        warnings,
        evaluation: evaluation.map_err(Error::from)?,
    };
    if let Some(path) = &args.report {
        eval::page::write(path, &report).with_context(|| path.display().to_string())?;
    }
    output::write_to(None, |out| match args.json {
        true => Ok(writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?),
        false => table::write(out, &report.evaluation, args.per_label),
    })?;
    if !report.failed.is_empty() {
        let (failed, all) = (report.failed.len(), dataset.manifest.examples().len());
        progress.say(&format!("{failed} of {all} examples could not be read and are left out"));
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// A warning, where the model's calibration was fitted on the very examples that it is to be evaluated on.
fn fitted_on_this(model: &str, manifest: &Manifest, split: Option<&str>) -> anyhow::Result<Option<String>> {
    let dir = Store::from_env().and_then(|store| store.path(model)).map_err(Error::from)?;
    let fitted_on = StoredCalibration::read(&dir).map_err(Error::from)?.and_then(|stored| stored.fitted_on);
    Ok(fitted_on.filter(|on| on.sha256 == manifest.sha256() && split.is_none_or(|split| split == on.split)).map(|on| {
        format!(
            "the model's calibration was fitted on split {:?} of this very manifest: its calibration errors and \
             thresholds look better than they are",
            on.split
        )
    }))
}
