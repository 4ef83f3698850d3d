//! `lexivid embed`: for those who build on embeddings, and for checking parity from outside.

use super::{load_model, look_options};
use crate::{
    args::{self, Level},
    failure, inputs, interrupt, output,
    progress::Progress,
};
use anyhow::Context;
use lexivid::{
    Error,
    classify::{ClassifyError, Look, look},
    decisions::Span,
    label::Label,
    nn::l2_normalised,
};
use ndarray::Array2;
use ndarray_npy::WriteNpyExt;
use serde::Serialize;
use std::process::ExitCode;

/// One embedding and what it is of.
#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    of: Of,
    /// `[D]`, L2-normalised; left out where it goes to a .npy file.
    #[serde(skip_serializing_if = "Option::is_none")]
    embedding: Option<Vec<f32>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Of {
    Text { text: String },
    Label { label: String },
    Frame { path: String, time: f64 },
    Window { path: String, start: f64, end: f64 },
    Video { path: String },
}

pub fn run(args: &args::Embed, progress: &Progress) -> anyhow::Result<ExitCode> {
    let look_options = look_options(&args.sampling)?;
    let videos = inputs::expand(&args.inputs)?;
    let model = load_model(&args.model, progress)?;

    let mut rows = Vec::new();
    if !args.text.is_empty() {
        let embeddings = model.encode_texts(&args.text).map_err(Error::from)?;
        rows.extend(args.text.iter().zip(embeddings).map(|(text, e)| (Of::Text { text: text.clone() }, e)));
    }
    if !args.label.is_empty() {
        let labels: Vec<_> = args.label.iter().map(Label::new).collect();
        let embeddings = model.encode_labels(&labels).map_err(Error::from)?;
        rows.extend(labels.into_iter().zip(embeddings).map(|(l, e)| (Of::Label { label: l.name }, e.vector)));
    }
    let mut exit = ExitCode::SUCCESS;
    let bar = progress.bar(videos.len() as u64, "videos");
    for path in videos {
        match look(model.as_ref(), &path, &look_options, &mut |_| interrupt::control_flow()) {
            Ok(look) => {
                for warning in &look.warnings {
                    progress.say(&format!("warning: {path}: {warning}"));
                }
                rows.extend(rows_of(path, look, args.level, model.dimension()));
            }
            Err(ClassifyError::Video(error)) => {
                failure::tell(&error, progress);
                exit = ExitCode::FAILURE;
            }
            Err(error) => return Err(Error::from(error).into()),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();

    if let Some(file) = &args.output {
        let flat: Vec<f32> = rows.iter().flat_map(|(_, embedding)| embedding.iter().copied()).collect();
        let array = Array2::from_shape_vec((rows.len(), model.dimension()), flat)?; // [rows, D]
        output::write_to(Some(file), |out| array.write_npy(out).with_context(|| file.display().to_string()))?;
    }
    let rows: Vec<_> = rows
        .into_iter()
        .map(|(of, embedding)| Row { of, embedding: args.output.is_none().then_some(embedding) })
        .collect();
    output::write_to(None, |out| {
        if args.json {
            serde_json::to_writer(&mut *out, &rows)?;
            return Ok(writeln!(out)?);
        }
        for row in &rows {
            serde_json::to_writer(&mut *out, row)?;
            writeln!(out)?;
        }
        Ok(())
    })?;
    Ok(exit)
}

fn rows_of(path: String, look: Look, level: Level, d: usize) -> Vec<(Of, Vec<f32>)> {
    let rows = |flat: &[f32]| flat.chunks_exact(d).map(<[f32]>::to_vec).collect::<Vec<_>>();
    match level {
        Level::Frame => {
            let of = look.frame_times.iter().map(|&time| Of::Frame { path: path.clone(), time });
            of.zip(rows(&look.frame_embeddings)).collect()
        }
        Level::Window => {
            let of = look.windows.iter().map(|&Span { start, end }| Of::Window { path: path.clone(), start, end });
            of.zip(rows(&look.window_embeddings)).collect()
        }
        Level::Video => {
            let mut sum = vec![0.0; d];
            for window in look.window_embeddings.chunks_exact(d) {
                sum.iter_mut().zip(window).for_each(|(s, x)| *s += x);
            }
            vec![(Of::Video { path }, l2_normalised(sum))]
        }
    }
}
