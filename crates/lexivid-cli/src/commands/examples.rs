//! The examples of a data set, one after the other before a model.

use crate::{args::DatasetArgs, failure, interrupt, progress::Progress};
use lexivid::{
    Error,
    classify::{ClassifyError, EncodedLabels, Look, LookOptions, look, look_at_frames, probabilities},
    dataset::{Example, Manifest, Media, Truths, Vocabulary},
    eval::{Failed, Scores},
    models::Model,
    scores::Pool,
};
use std::path::PathBuf;

/// A manifest, its vocabulary, and what the one says of the other.
pub struct Dataset {
    pub manifest: Manifest,
    pub vocabulary: Vocabulary,
    pub vocabulary_path: PathBuf,
    pub truths: Truths,
    pub warnings: Vec<String>,
}

/// What was seen of an example.
pub struct Looked<'a> {
    /// Its place in the manifest.
    pub index: usize,
    pub look: &'a Look,
}

/// Probabilities of all examples that could be read, with what is known of them.
pub struct Scored {
    pub scores: Scores,
    pub truths: Truths,
    pub sources: Vec<Option<String>>,
    pub failed: Vec<Failed>,
}

impl Dataset {
    /// Everything, or one split of it.
    pub fn read(args: &DatasetArgs, split: Option<&str>) -> Result<Self, Error> {
        let (Some(manifest), Some(labels)) = (&args.manifest, &args.labels) else {
            unreachable!("clap asks for both");
        };
        let vocabulary = Vocabulary::read(labels)?;
        let mut manifest = Manifest::read(manifest)?;
        if let Some(split) = split {
            manifest = manifest.of_split(split)?;
        }
        let (truths, strange) = manifest.truths(&vocabulary)?;
        let warnings = vocabulary.warnings().iter().cloned().chain(strange).collect();
        Ok(Self { manifest, vocabulary, vocabulary_path: labels.clone(), truths, warnings })
    }

    /// Calls `each` with what the model sees of every example that can be read; gives the others.
    pub fn look_at_all(
        &self,
        model: &dyn Model,
        options: &LookOptions,
        progress: &Progress,
        mut each: impl FnMut(Looked) -> anyhow::Result<()>,
    ) -> anyhow::Result<Vec<Failed>> {
        let mut failed = Vec::new();
        let bar = progress.bar(self.manifest.examples().len() as u64, "examples");
        bar.set_message("looking");
        for (index, example) in self.manifest.examples().iter().enumerate() {
            match look_at(&self.manifest, model, example, options) {
                Ok(look) => {
                    for warning in &look.warnings {
                        progress.say(&format!("warning: {}: {warning}", example.media.name()));
                    }
                    each(Looked { index, look: &look })?;
                }
                Err(ClassifyError::Video(error)) => {
                    failure::tell(&error, progress);
                    failed.push(Failed { video: example.media.name().into(), error: error.to_string() });
                }
                Err(error) => return Err(Error::from(error).into()),
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(failed)
    }

    /// What the model makes of every example and every label.
    pub fn score_all(
        &self,
        model: &dyn Model,
        labels: &EncodedLabels,
        options: &LookOptions,
        pool: Pool,
        progress: &Progress,
    ) -> anyhow::Result<Scored> {
        let width = self.vocabulary.labels().len();
        let (mut scores, mut truths, mut sources) = (Scores::new(width), Truths::new(width), Vec::new());
        let failed = self.look_at_all(model, options, progress, |Looked { index, look }| {
            scores.push(&probabilities(look, labels, pool).map_err(Error::from)?).map_err(Error::from)?;
            truths.push(self.truths.row(index));
            sources.push(self.manifest.examples()[index].source.clone());
            Ok(())
        })?;
        Ok(Scored { scores, truths, sources, failed })
    }
}

/// What the model sees of one example.
pub fn look_at(
    manifest: &Manifest,
    model: &dyn Model,
    example: &Example,
    options: &LookOptions,
) -> Result<Look, ClassifyError> {
    let mut options = options.clone();
    if example.start.is_some() || example.end.is_some() {
        let (start, end) = (example.start.unwrap_or(0.0), example.end.unwrap_or(f64::INFINITY));
        options.sampling = options.sampling.within(start, end).expect("segments are checked when they are read");
    }
    let observer = &mut |_| interrupt::control_flow();
    match manifest.media(example) {
        Media::Video(source) => look(model, &source, &options, observer),
        Media::Frames { paths, rate } => look_at_frames(model, &paths, rate, &options, observer),
    }
}
