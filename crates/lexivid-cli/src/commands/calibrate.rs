//! `lexivid calibrate`.

use super::{
    encode_labels,
    examples::{Dataset, Looked},
    load_model,
};
use crate::{args, failure::WrongUse, output, progress::Progress};
use lexivid::{
    Error,
    classify::{LookOptions, similarities},
    dataset::Truths,
    eval::{
        EvalError, Failed, Scores, best_thresholds,
        metrics::{expected_calibration_error, reliability},
        platt,
    },
    frames::{Sampling, Windowing},
    label_embedding::Calibration,
    models::{self, FittedOn, StoredCalibration},
    video::DecodeOptions,
};
use serde::Serialize;
use std::{collections::BTreeMap, process::ExitCode};

/// Positives from which on a label gets a threshold of its own.
const LEAST_POSITIVES: usize = 5;

/// What `--json` prints.
#[derive(Serialize)]
struct Calibrated {
    /// The file that was written.
    path: String,
    #[serde(flatten)]
    stored: StoredCalibration,
    failed: Vec<Failed>,
}

pub fn run(args: &args::Calibrate, progress: &Progress) -> anyhow::Result<ExitCode> {
    if args.split.eq_ignore_ascii_case("test") {
        return Err(WrongUse(
            "--split test is for evaluation: fit on another, or nothing can be said of the result".into(),
        )
        .into());
    }
    let dir = models::calibration_directory(&args.model.model).map_err(Error::from)?;
    let dataset = Dataset::read(&args.dataset, Some(&args.split))?;
    for warning in &dataset.warnings {
        progress.say(&format!("warning: {warning}"));
    }
    let model = load_model(&args.model, progress)?;
    let labels = encode_labels(model.as_ref(), dataset.vocabulary.labels().clone(), args.no_cache, progress)?;
    let sampling = Sampling::new(Windowing::Whole, args.frames.into()).map_err(Error::from)?;
    let decode = DecodeOptions { stall_timeout: args.stall_timeout };
    let look = LookOptions { decode, ..LookOptions::frames(sampling) };

    let width = dataset.vocabulary.labels().len();
    let (mut rows, mut truths) = (Vec::new(), Truths::new(width));
    let failed = dataset.look_at_all(model.as_ref(), &look, progress, |Looked { index, look }| {
        // One window: the whole of it.
        rows.push(similarities(look, &labels).map_err(Error::from)?);
        truths.push(dataset.truths.row(index));
        Ok(())
    })?;
    let spinner = progress.spinner();
    spinner.set_message("fitting");
    let known = || {
        rows.iter().zip(truths.rows()).flat_map(|(row, truths)| {
            row.iter().zip(truths).enumerate().filter_map(|(label, (s, truth))| Some((label, *s, truth.known()?)))
        })
    };
    let before = labels.matrix().calibrations();
    let calibration = platt::fit(known().map(|(_, s, present)| (s, present))).map_err(Error::from)?;
    let error = |of: &dyn Fn(usize) -> Calibration| {
        expected_calibration_error(&reliability(known().map(|(label, s, present)| (of(label).probability(s), present))))
            .expect("there are pairs to fit on")
    };
    let fitted_on = FittedOn {
        manifest: dataset.manifest.path().file_name().unwrap_or_default().to_string_lossy().into_owned(),
        sha256: dataset.manifest.sha256().into(),
        split: args.split.clone(),
        pairs: known().count(),
        positives: known().filter(|(.., present)| *present).count(),
        calibration_error_before: error(&|label| before[label]),
        calibration_error_after: error(&|_| calibration),
    };
    let thresholds = match args.thresholds {
        true => thresholds(&rows, &truths, &dataset, calibration).map_err(Error::from)?,
        false => BTreeMap::new(),
    };
    spinner.finish_and_clear();
    let Calibration { scale, bias } = calibration;
    let stored = StoredCalibration { scale, bias, thresholds, fitted_on: Some(fitted_on) };
    stored.write(&dir).map_err(Error::from)?;

    let path = dir.join(StoredCalibration::FILE).display().to_string();
    let calibrated = Calibrated { path, stored, failed };
    output::write_to(None, |out| match args.json {
        true => Ok(writeln!(out, "{}", serde_json::to_string_pretty(&calibrated)?)?),
        false => Ok(write!(out, "{}", text(&calibrated))?),
    })?;
    if calibrated.failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let (failed, all) = (calibrated.failed.len(), dataset.manifest.examples().len());
    progress.say(&format!("{failed} of {all} examples could not be read and are left out"));
    Ok(ExitCode::FAILURE)
}

fn thresholds(
    rows: &[Vec<f32>],
    truths: &Truths,
    dataset: &Dataset,
    calibration: Calibration,
) -> Result<BTreeMap<String, f32>, EvalError> {
    let mut scores = Scores::new(truths.labels());
    for row in rows {
        scores.push(&row.iter().map(|s| calibration.probability(*s)).collect::<Vec<_>>())?;
    }
    let best = best_thresholds(&scores, truths, LEAST_POSITIVES)?;
    let named = dataset.vocabulary.labels().iter().zip(best);
    Ok(named.filter_map(|(label, threshold)| Some((label.name.clone(), threshold?))).collect())
}

fn text(calibrated: &Calibrated) -> String {
    let StoredCalibration { scale, bias, thresholds, fitted_on } = &calibrated.stored;
    let mut text = format!("p = sigmoid({scale:.3} s {bias:+.3}), in {}\n", calibrated.path);
    if let Some(on) = fitted_on {
        text += &format!("fitted on {} pairs, {} of them positive\n", on.pairs, on.positives);
        let (before, after) = (on.calibration_error_before, on.calibration_error_after);
        text += &format!("expected calibration error on them: {before:.4} before, {after:.4} after\n");
    }
    if !thresholds.is_empty() {
        text += &format!("{} labels have thresholds of their own\n", thresholds.len());
    }
    text
}
