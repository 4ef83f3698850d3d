//! Video -> embeddings of its windows and frames. No label is needed here: what was seen can be matched against any.

use super::{ClassifyError, Observer, Progress, moving::Moving};
use crate::{
    decisions::Span,
    features::FrameFeatures,
    frames::{self, FramePixels, Repeats, SampledFrame, Sampling, Shot, Wanted, Window},
    models::Model,
    video::{self, DecodeOptions, VideoError, VideoInfo},
};
use candle_core::Tensor;
use std::{
    collections::VecDeque,
    ops::Range,
    path::{Path, PathBuf},
};
use tracing::debug_span;

/// When and how the model looks.
#[derive(Debug, Clone)]
pub struct LookOptions {
    /// Windows and the frames in them.
    pub sampling: Sampling,
    /// Whether windows are kept from crossing shot boundaries.
    pub shots: bool,
    /// Whether the model's motion network looks at clips, where it has one.
    pub motion: bool,
    /// Whether a frame that repeats the one before it ([`frames::Repeats`]) gets its embedding, unseen by the model.
    pub dedup: bool,
    /// How many of the image tower's last blocks are kept of every frame: none where windows are all that is wanted, for they are large.
    pub keep_blocks: usize,
    /// How media is decoded.
    pub decode: DecodeOptions,
}

impl LookOptions {
    /// Single frames across cuts, without motion.
    pub fn frames(sampling: Sampling) -> Self {
        let decode = DecodeOptions::default();
        Self { sampling, shots: false, motion: false, dedup: true, keep_blocks: 0, decode }
    }
}

/// What a model saw in a video. Memory grows with its length by `D` floats a frame, a clip and a window, and by nothing else.
#[derive(Debug, Clone)]
pub struct Look {
    /// What the container says.
    pub video: VideoInfo,
    /// The windows that had frames, in order of time.
    pub windows: Vec<Span>,
    /// f_v of every window, `[W, D]` row-major.
    pub window_embeddings: Vec<f32>,
    /// Presentation times of the frames looked at, in seconds, ascending.
    pub frame_times: Vec<f64>,
    /// Embedding of every frame, of its image and of the clip around it, `[F, D]` row-major; of a model that looks along time, of the window around it.
    pub frame_embeddings: Vec<f32>,
    /// The outputs of the image tower's last blocks, of every frame, where they were to be kept ([`FrameFeatures::blocks`]).
    pub frame_blocks: Vec<Tensor>,
    /// How many of the frames have the embedding of the one before.
    pub frames_reused: usize,
    /// How many clips the motion network looked at.
    pub clips: usize,
    /// What the user should know: frames lost, video truncated.
    pub warnings: Vec<String>,
}

/// Frames that go through the image tower at once: enough to keep its matrix products busy, few enough that progress
/// is seen and memory stays small.
const FRAME_BATCH: usize = 8;

/// Looks at one video, image or URL.
///
/// # Errors
/// [`ClassifyError::Video`] when it cannot be read, or has no frame where it should be looked at.
pub fn look(
    model: &dyn Model,
    source: &str,
    options: &LookOptions,
    observer: &mut Observer,
) -> Result<Look, ClassifyError> {
    let path = Path::new(source);
    let video = debug_span!("open").in_scope(|| video::probe(path, &options.decode))?;
    // A picture does not move.
    let motion = model.clip_encoder().filter(|_| options.motion && video.frame_rate.is_some());
    let shots = match options.shots || motion.is_some() {
        true => Some(debug_span!("detect shots").in_scope(|| frames::detect_shots(path, &options.decode))?),
        false => None,
    };
    let windows = windows(source, &video, options, shots.as_deref().filter(|_| options.shots))?;
    let targets = frames::targets(&windows);
    let mut wanted = vec![Wanted { targets: targets.clone(), preprocessing: model.preprocessing().clone() }];
    let moving = motion.map(|motion| {
        let clips = motion.clips().of(&parts_in(shots.as_deref().unwrap_or_default(), options.sampling.segment()));
        let targets = frames::targets(&clips);
        wanted.push(Wanted { targets: targets.clone(), preprocessing: motion.preprocessing().clone() });
        Moving::new(motion, clips, &targets)
    });

    let mut seen = Seen::new(model, windows, &targets, moving, options.keep_blocks);
    let mut repeats = options.dedup.then(Repeats::default);
    let mut stream = frames::sample(path, &options.decode, wanted)?;
    while let Some(sampled) = debug_span!("wait for frames").in_scope(|| stream.next()).transpose()? {
        let SampledFrame { wanted, targets, pixels } = sampled;
        let seconds = pixels.time;
        if wanted == 0 {
            let repeats = repeats.as_mut().is_some_and(|repeats| repeats.is_repeat(&pixels));
            seen.take(targets, pixels, repeats)?;
        } else {
            seen.take_of_clip(targets, pixels)?;
        }
        if observer(Progress { seconds, duration: video.duration }).is_break() {
            return Err(ClassifyError::Interrupted);
        }
    }
    let met = stream.summary();
    seen.finish()?.look(source, warnings(&met, &video), video)
}

/// Looks at frames of a video that are pictures, files or URLs, each: picture i is on display from i / `rate` seconds on.
/// They have no shots.
///
/// # Errors
/// As [`look`], of the first picture that cannot be read.
pub fn look_at_frames(
    model: &dyn Model,
    pictures: &[String],
    rate: f64,
    options: &LookOptions,
    observer: &mut Observer,
) -> Result<Look, ClassifyError> {
    let Some(first) = pictures.first() else {
        let (path, reason) = (PathBuf::new(), "there are no pictures".into());
        return Err(VideoError::NoFrames { path, reason }.into());
    };
    let duration = pictures.len() as f64 / rate;
    let picture = video::probe(Path::new(first), &options.decode)?;
    let video = VideoInfo { duration, frame_rate: Some(rate), ..picture };
    let windows = windows(first, &video, options, None)?;
    let targets = frames::targets(&windows);

    let mut seen = Seen::new(model, windows, &targets, None, options.keep_blocks);
    let mut repeats = options.dedup.then(Repeats::default);
    let picture_at = |target: f64| ((target * rate) as usize).min(pictures.len() - 1);
    let mut served = 0;
    for same in targets.chunk_by(|a, b| picture_at(*a) == picture_at(*b)) {
        let index = picture_at(same[0]);
        let path = Path::new(&pictures[index]);
        let wanted = Wanted { targets: vec![0.0], preprocessing: model.preprocessing().clone() };
        let mut stream = frames::sample(path, &options.decode, vec![wanted])?;
        let Some(sampled) = stream.next().transpose()? else {
            return Err(VideoError::NoFrames { path: path.into(), reason: "the picture is empty".into() }.into());
        };
        let seconds = index as f64 / rate;
        let pixels = FramePixels { time: seconds, ..sampled.pixels };
        let repeats = repeats.as_mut().is_some_and(|repeats| repeats.is_repeat(&pixels));
        seen.take(served..served + same.len(), pixels, repeats)?;
        served += same.len();
        if observer(Progress { seconds, duration }).is_break() {
            return Err(ClassifyError::Interrupted);
        }
    }
    seen.finish()?.look(first, Vec::new(), video)
}

/// The windows to look at, at least one.
fn windows(
    source: &str,
    video: &VideoInfo,
    options: &LookOptions,
    shots: Option<&[frames::Shot]>,
) -> Result<Vec<Window>, VideoError> {
    let windows = options.sampling.windows(video.duration, shots);
    match options.sampling.segment() {
        Some((start, _)) if windows.is_empty() => {
            Err(VideoError::NothingThere { path: source.into(), start, duration: video.duration })
        }
        _ => Ok(windows),
    }
}

/// What of the shots lies in the segment.
fn parts_in(shots: &[Shot], segment: Option<(f64, f64)>) -> Vec<Shot> {
    let (from, to) = segment.unwrap_or((0.0, f64::INFINITY));
    let part = |shot: &Shot| Shot { start: shot.start.max(from), end: shot.end.min(to) };
    shots.iter().map(part).filter(|shot| shot.start < shot.end).collect()
}

fn warnings(met: &frames::SampleSummary, video: &VideoInfo) -> Vec<String> {
    let mut warnings = Vec::new();
    if met.lost > 0 {
        warnings.push(format!("{} damaged frames or packets were skipped, {} frames decoded", met.lost, met.decoded));
    }
    if let (true, Some(end)) = (met.unserved > 0, met.ended) {
        warnings.push(format!("the video ends after {end:.1} s, but says that it lasts {:.1} s", video.duration));
    }
    warnings
}

/// The state of a look: which windows still wait for frames, and what the finished ones gave.
struct Seen<'a> {
    model: &'a dyn Model,
    /// Windows that wait, in order of time, each with the indices of its targets among all targets.
    waiting: VecDeque<(Window, Vec<usize>)>,
    /// Features that a waiting window may need, with the targets that they serve.
    recent: VecDeque<(Range<usize>, FrameFeatures)>,
    /// Frames that came since the last encoding: targets, time, and whether it repeats the one before.
    since: Vec<(Range<usize>, f64, bool)>,
    /// The pixels of those of them that repeat none.
    batch: Vec<FramePixels>,
    /// The clips, where something looks at them.
    moving: Option<Moving<'a>>,
    /// What the last frame gave that was encoded.
    latest: Option<FrameFeatures>,
    windows: Vec<Span>,
    window_embeddings: Vec<f32>,
    frame_times: Vec<f64>,
    frame_embeddings: Vec<f32>,
    frame_blocks: Vec<Tensor>,
    keep_blocks: usize,
    reused: usize,
}

impl<'a> Seen<'a> {
    fn new(
        model: &'a dyn Model,
        windows: Vec<Window>,
        targets: &[f64],
        moving: Option<Moving<'a>>,
        keep_blocks: usize,
    ) -> Self {
        let index_of = |target: &f64| targets.partition_point(|t| t < target);
        let waiting = windows.into_iter().map(|window| {
            let indices = window.targets.iter().map(index_of).collect();
            (window, indices)
        });
        Self {
            model,
            waiting: waiting.collect(),
            recent: VecDeque::new(),
            since: Vec::new(),
            batch: Vec::with_capacity(FRAME_BATCH),
            moving,
            latest: None,
            windows: Vec::new(),
            window_embeddings: Vec::new(),
            frame_times: Vec::new(),
            frame_embeddings: Vec::new(),
            frame_blocks: Vec::new(),
            keep_blocks,
            reused: 0,
        }
    }

    /// Takes the next frame, in order of time; `repeats` says that it has the embedding of the one before.
    fn take(&mut self, targets: Range<usize>, pixels: FramePixels, repeats: bool) -> Result<(), ClassifyError> {
        self.since.push((targets, pixels.time, repeats));
        if repeats {
            self.reused += 1;
            return Ok(());
        }
        self.batch.push(pixels);
        if self.batch.len() == FRAME_BATCH { self.encode() } else { Ok(()) }
    }

    /// Takes the next frame of the clips, in order of time.
    fn take_of_clip(&mut self, targets: Range<usize>, pixels: FramePixels) -> Result<(), ClassifyError> {
        if let Some(moving) = &mut self.moving {
            moving.take(targets, pixels)?;
        }
        Ok(())
    }

    /// Encodes the frames that came since the last time, and finishes the windows that have all of theirs and all of their clips.
    fn encode(&mut self) -> Result<(), ClassifyError> {
        let Some(served) = self.since.last().map(|(targets, ..)| targets.end) else { return Ok(()) };
        let mut encoded = Vec::new();
        if !self.batch.is_empty() {
            encoded = debug_span!("encode frames").in_scope(|| match self.keep_blocks {
                0 => self.model.encode_frames(&self.batch),
                kept => self.model.towers()?.encode_frames_keeping(&self.batch, kept),
            })?;
        }
        assert_eq!(encoded.len(), self.batch.len(), "Model::encode_frames gives one entry a frame");
        self.batch.clear();
        let mut encoded = encoded.into_iter();
        for (targets, time, repeats) in self.since.drain(..) {
            if !repeats {
                self.latest = encoded.next();
            }
            // The first frame repeats nothing.
            let Some(latest) = &self.latest else { continue };
            self.frame_times.push(time);
            self.frame_embeddings.extend(&latest.embedding);
            if self.keep_blocks > 0 {
                self.frame_blocks.extend(latest.blocks.clone());
            }
            self.recent.push_back((targets, FrameFeatures { time, ..latest.clone() }));
        }
        while self.waiting.front().is_some_and(|(window, indices)| {
            indices.iter().all(|&i| i < served)
                && self.moving.as_ref().is_none_or(|moving| moving.is_done_before(window.end))
        }) {
            self.finish_window()?;
        }
        Ok(())
    }

    /// Finishes the windows that are left with the frames and clips that came.
    fn finish(mut self) -> Result<Self, ClassifyError> {
        self.encode()?;
        if let Some(moving) = &mut self.moving {
            moving.finish()?;
        }
        while !self.waiting.is_empty() {
            self.finish_window()?;
        }
        Ok(self)
    }

    /// What was seen, which has to be something.
    fn look(mut self, source: &str, warnings: Vec<String>, video: VideoInfo) -> Result<Look, ClassifyError> {
        if self.windows.is_empty() {
            let reason = warnings.first().cloned().unwrap_or("none where it is looked at".into());
            return Err(VideoError::NoFrames { path: source.into(), reason }.into());
        }
        let dimension = self.model.dimension();
        let frames = self.frame_embeddings.chunks_exact_mut(dimension);
        for (&time, embedding) in self.frame_times.iter().zip(frames) {
            if self.model.looks_along_time() {
                let from_middle = |window: &Span| (time - 0.5 * (window.start + window.end)).abs();
                let of_windows = self.windows.iter().zip(self.window_embeddings.chunks_exact(dimension));
                let around = of_windows.min_by(|(a, _), (b, _)| from_middle(a).total_cmp(&from_middle(b)));
                around.iter().for_each(|(_, window)| embedding.copy_from_slice(window));
            } else {
                let frame = FrameFeatures { time, embedding: embedding.to_vec(), blocks: None };
                let clips = self.moving.as_ref().map(|moving| moving.of(time, time.next_up())).unwrap_or_default();
                embedding.copy_from_slice(&self.model.encode_window(&[&frame], &clips)?.0);
            }
        }
        Ok(Look {
            windows: self.windows,
            window_embeddings: self.window_embeddings,
            frame_times: self.frame_times,
            frame_embeddings: self.frame_embeddings,
            frame_blocks: self.frame_blocks,
            frames_reused: self.reused,
            clips: self.moving.map_or(0, |moving| moving.seen.len()),
            warnings,
            video,
        })
    }

    /// Embeds the first waiting window and lets go of the frames that no other needs. A window without frames is left
    /// out: nothing was seen there.
    fn finish_window(&mut self) -> Result<(), ClassifyError> {
        let Some((window, indices)) = self.waiting.pop_front() else { return Ok(()) };
        let serves = |targets: &Range<usize>| indices.iter().any(|i| targets.contains(i));
        let frames: Vec<_> = self.recent.iter().filter(|(targets, _)| serves(targets)).map(|(_, f)| f).collect();
        if !frames.is_empty() {
            let clips = self.moving.as_ref().map_or(Vec::new(), |moving| moving.of(window.start, window.end));
            let embedding = debug_span!("encode windows").in_scope(|| self.model.encode_window(&frames, &clips))?;
            self.window_embeddings.extend(embedding.0);
            self.windows.push(Span { start: window.start, end: window.end });
        }
        let needed = self.waiting.front().map_or(usize::MAX, |(_, indices)| indices[0]);
        while self.recent.front().is_some_and(|(targets, _)| targets.end <= needed) {
            self.recent.pop_front();
        }
        Ok(())
    }
}
