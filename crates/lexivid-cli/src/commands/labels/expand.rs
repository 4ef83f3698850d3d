//! `lexivid labels expand`.

use super::print;
use crate::{
    args,
    commands::{encode_labels, examples, labels_of, load_model},
    failure::{self, WrongUse},
    interrupt,
    progress::Progress,
};
use image::{ImageEncoder, RgbImage, codecs::jpeg::JpegEncoder};
use lexivid::{
    Error,
    classify::{ClassifyError, Look, LookOptions},
    dataset::{Example, Manifest, Media},
    expansion::{
        LocalModel, OpenAiServer, Proposal, Proposer, Relation, ReviewFile, Sieve, SieveOptions, Subject, Verdict,
        names,
    },
    frames::{self, Sampling, Windowing},
    label::LabelList,
    models::{self, Compute, ModelError, starter, store::Store},
    soft_attributes::Generator,
    video::DecodeOptions,
};
use serde::Serialize;
use std::{collections::HashSet, path::Path, process::ExitCode};

/// Frames of a video that are sent.
const SENT_FRAMES: usize = 4;

/// Longer side of a frame that is sent, in pixels.
const SENT_SIDE: u32 = 512;

/// What `--json` prints.
#[derive(Default, Serialize)]
struct Expanded {
    /// The review file.
    path: String,
    /// Subjects that were asked about now.
    asked: usize,
    /// Subjects that the file had already.
    asked_before: usize,
    /// Subjects that could not be asked about.
    failed: Vec<String>,
    /// Names that were proposed now.
    proposed: usize,
    /// How many of them are kept.
    kept: usize,
}

/// One subject, and the video that it is about.
struct Task<'a> {
    subject: Subject<'a>,
    example: Option<&'a Example>,
}

pub fn run(args: &args::Expand, progress: &Progress) -> anyhow::Result<ExitCode> {
    let list = labels_of(args.vocabulary.as_deref(), &args.given)?;
    let manifest = args.manifest.as_deref().map(Manifest::read).transpose().map_err(Error::from)?;
    let manifest = match (manifest, &args.split) {
        (Some(manifest), Some(split)) => Some(manifest.of_split(split).map_err(Error::from)?),
        (manifest, _) => manifest,
    };
    let (mut review, before) = ReviewFile::open(&args.output).map_err(Error::from)?;
    let asked: HashSet<_> = before.iter().map(Proposal::subject).collect();
    let mut tasks = tasks(&list, manifest.as_ref(), args.send_frames);
    let all = tasks.len();
    if all == 0 {
        return Err(
            WrongUse("no example has `positives`, which is what is asked about unless --send-frames".into()).into()
        );
    }
    tasks.retain(|task| !asked.contains(&task.proposal().subject()));
    let mut expanded =
        Expanded { path: args.output.display().to_string(), asked_before: all - tasks.len(), ..Expanded::default() };

    if !tasks.is_empty() {
        let proposer = proposer(args, progress)?;
        let model = load_model(&args.model, progress)?;
        let vocabulary = encode_labels(model.as_ref(), list.clone(), false, progress)?;
        let options = SieveOptions { same_from: args.same_from, least_score: args.least_score };
        let kept = before.iter().filter(|proposal| proposal.keep).map(|proposal| proposal.name.as_str());
        let mut sieve = Sieve::new(model.as_ref(), &vocabulary, kept, options).map_err(Error::from)?;
        let sampling = Sampling::new(Windowing::Whole, args.frames.into()).map_err(Error::from)?;
        let decode = DecodeOptions { stall_timeout: args.stall_timeout };
        let look = LookOptions { decode, ..LookOptions::frames(sampling) };
        let bar = progress.bar(tasks.len() as u64, "requests");
        bar.set_message("asking");
        for task in &tasks {
            let mut ask = || -> Result<Vec<Proposal>, Error> {
                // The video first: nobody is asked about one that cannot be read.
                let seen = match (task.example, &manifest) {
                    (Some(example), Some(manifest)) => {
                        Some(examples::look_at(manifest, model.as_ref(), example, &look)?)
                    }
                    _ => None,
                };
                let sent = match (&seen, task.example, &manifest) {
                    (Some(seen), Some(example), Some(manifest)) if args.send_frames => {
                        sent_frames(seen, &manifest.media(example), &look.decode)?
                    }
                    _ => Vec::new(),
                };
                let request = task.subject.request(args.number.into(), sent);
                let reply = proposer.ask(&request, &mut interrupt::control_flow)?;
                tracing::debug!("{}\n{}", request.question, reply.text);
                let said = names(&reply, args.number.into());
                let verdicts = sieve.sift(&said, seen.as_ref())?;
                Ok(task.proposals(&said, verdicts, &vocabulary.labels()[..], proposer.origin()))
            };
            match ask() {
                Ok(proposals) => {
                    review.add(&proposals).map_err(Error::from)?;
                    expanded.asked += 1;
                    expanded.proposed += proposals.iter().filter(|proposal| !proposal.name.is_empty()).count();
                    expanded.kept += proposals.iter().filter(|proposal| proposal.keep).count();
                }
                Err(Error::Classify(ClassifyError::Video(error)) | Error::Video(error)) => {
                    failure::tell(&error, progress);
                    expanded.failed.push(error.to_string());
                }
                Err(Error::Proposer(error)) if !error.is_final() => {
                    progress.say(&format!("error: {error}"));
                    expanded.failed.push(error.to_string());
                }
                Err(error) => {
                    bar.finish_and_clear();
                    return Err(error.into());
                }
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
    }
    print(&expanded, args.json, || {
        let Expanded { path, asked, asked_before, failed, proposed, kept } = &expanded;
        format!(
            "{asked} asked, {asked_before} asked before, {} failed; {proposed} labels proposed, {kept} of them kept\n\
             review them in {path}",
            failed.len()
        )
    })?;
    Ok(if expanded.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The language model that was named, or the server, or the starter's language model.
fn proposer(args: &args::Expand, progress: &Progress) -> anyhow::Result<Box<dyn Proposer>> {
    if let (None, Some(endpoint)) = (&args.language_model, &args.endpoint) {
        let server = OpenAiServer::new(endpoint, args.llm.as_deref(), args.timeout).map_err(Error::from)?;
        return Ok(Box::new(server));
    }
    let name = args.language_model.as_deref().unwrap_or(starter::NAME);
    let path = Store::from_env().and_then(|store| store.language_model(name)).map_err(Error::from)?;
    let compute = Compute::new(models::device("cpu").map_err(Error::from)?, args.model.precision);
    let compute = compute.map_err(|e| Error::from(ModelError::from(e)))?;
    let spinner = progress.spinner();
    spinner.set_message(format!("loading {name}"));
    let generator = Generator::open(&path, &compute).map_err(|e| Error::from(ModelError::from(e)));
    spinner.finish_and_clear();
    Ok(Box::new(LocalModel::new(name, generator?)))
}

/// Without a manifest, every label and relation; with one, every example. An example without positives can only be asked about by
/// its frames.
fn tasks<'a>(list: &'a LabelList, manifest: Option<&'a Manifest>, send_frames: bool) -> Vec<Task<'a>> {
    match manifest {
        None => {
            let of = |label| Relation::OF_LABELS.map(|relation| Subject::Label(label, relation));
            list.iter().flat_map(of).map(|subject| Task { subject, example: None }).collect()
        }
        Some(manifest) => {
            let examples = manifest.examples().iter().filter(|example| send_frames || !example.positives.is_empty());
            let task = |example: &'a Example| {
                let positives = example.positives.iter().map(String::as_str).collect();
                Task { subject: Subject::Video(positives), example: Some(example) }
            };
            examples.map(task).collect()
        }
    }
}

impl Task<'_> {
    /// What of a proposal is known before anything is asked.
    fn proposal(&self) -> Proposal {
        Proposal {
            keep: false,
            name: String::new(),
            relation: self.subject.relation(),
            labels: self.subject.labels().join("; "),
            video: self.example.map(|example| example.media.name().into()).unwrap_or_default(),
            start: self.example.and_then(|example| example.start),
            end: self.example.and_then(|example| example.end),
            score: None,
            nearest: String::new(),
            similarity: None,
            why: "no label in the reply".into(),
            said: String::new(),
            endpoint: String::new(),
            model: String::new(),
        }
    }

    /// At least one row, so that the file says what was asked.
    fn proposals(
        &self,
        said: &[String],
        verdicts: Vec<Verdict>,
        vocabulary: &[lexivid::label::Label],
        (endpoint, model): (&str, &str),
    ) -> Vec<Proposal> {
        let nothing = Proposal { endpoint: endpoint.into(), model: model.into(), ..self.proposal() };
        if verdicts.is_empty() {
            return vec![nothing];
        }
        let row = |(said, verdict): (&String, Verdict)| Proposal {
            keep: verdict.why.is_none(),
            name: verdict.name,
            score: verdict.score,
            nearest: verdict.nearest.map(|(index, _)| vocabulary[index].name.clone()).unwrap_or_default(),
            similarity: verdict.nearest.map(|(_, similarity)| similarity),
            why: verdict.why.unwrap_or_default(),
            said: said.clone(),
            ..nothing.clone()
        };
        said.iter().zip(verdicts).map(row).collect()
    }
}

/// Some of the frames that the model saw, as JPEG files.
fn sent_frames(seen: &Look, media: &Media, decode: &DecodeOptions) -> Result<Vec<Vec<u8>>, Error> {
    let count = SENT_FRAMES.min(seen.frame_times.len());
    // The middles of equal parts.
    let chosen = (0..count).map(|i| seen.frame_times[(2 * i + 1) * seen.frame_times.len() / (2 * count)]);
    let pictures: Vec<RgbImage> = match media {
        Media::Video(path) => frames::stills(Path::new(path), decode, &chosen.collect::<Vec<_>>(), SENT_SIDE)?,
        Media::Frames { paths, rate } => {
            let still = |time: f64| {
                let path = &paths[((time * rate).round() as usize).min(paths.len() - 1)];
                Ok(frames::stills(Path::new(path), decode, &[0.0], SENT_SIDE)?.remove(0))
            };
            chosen.map(still).collect::<Result<_, Error>>()?
        }
    };
    Ok(pictures.iter().map(jpeg).collect())
}

fn jpeg(picture: &RgbImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 85)
        .write_image(picture, picture.width(), picture.height(), image::ExtendedColorType::Rgb8)
        .expect("a picture of at most 512 pixels a side fits into JPEG, and memory takes it");
    bytes
}
