//! Moments -> the pixels that a model takes, decoded and resized ahead of the model in a thread of their own.

use super::{
    FramePixels, Preprocessing,
    resize::Preprocessor,
    walk::{self, walk},
};
use crate::video::{DecodeOptions, Decoder, Picture, VideoError, Watched, watch};
use std::{ops::Range, path::Path};

/// Frames that may wait for the model. At 224 px each takes 150 kB.
const AHEAD: usize = 32;

/// What one network wants to see of a video.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// When: ascending times in seconds from the first frame.
    pub targets: Vec<f64>,
    /// How.
    pub preprocessing: Preprocessing,
}

/// One frame, and which of the wanted times it was on display at.
#[derive(Debug, Clone, PartialEq)]
pub struct SampledFrame {
    /// For which of the networks that were asked for.
    pub wanted: usize,
    /// Indices into its targets.
    pub targets: Range<usize>,
    /// What the model sees.
    pub pixels: FramePixels,
}

/// What a run of [`sample`] met.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SampleSummary {
    /// Frames that were decoded, wanted or only on the way.
    pub decoded: usize,
    /// Packets that could not be read or decoded, and frames that came out damaged; all were skipped.
    pub lost: usize,
    /// When the last frame's display ends, in seconds, if decoding reached the end of the stream. It is less than the
    /// announced duration for a truncated file.
    pub ended: Option<f64>,
    /// How many times that were asked for, the last ones, got no frame because the stream ended before them.
    pub unserved: usize,
}

/// The frames of [`sample`], in order of time. Dropping it stops decoding.
#[derive(Debug)]
pub struct FrameStream {
    items: Watched<Item>,
    summary: SampleSummary,
}

#[derive(Debug)]
enum Item {
    Frame(SampledFrame),
    Summary(SampleSummary),
}

impl FrameStream {
    /// What was met; complete when the iterator has ended without an error.
    pub fn summary(&self) -> SampleSummary {
        self.summary
    }
}

impl Iterator for FrameStream {
    type Item = Result<SampledFrame, VideoError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.items.next()? {
            Ok(Item::Frame(frame)) => Some(Ok(frame)),
            Ok(Item::Summary(summary)) => {
                self.summary = summary;
                None
            }
            Err(e) => Some(Err(e)),
        }
    }
}

/// Samples `source`, a file or URL, for one network or several at once, which share the decoding. For a target t the
/// frame on display at t is given: the last one with a presentation time <= t. Targets of one network that share a frame get it once.
///
/// Decoding, conversion and resizing run ahead in a thread, at most 32 frames. Only what the targets need is
/// decoded where skipping cannot change the result. Packets that cannot be read or decoded, and frames that the codec
/// marks as damaged, are skipped and counted, and decoding goes on; damage that a codec conceals without a mark cannot
/// be told from a whole frame. In a damaged file the frames lost are those met on the way: a seek may miss some. A target later than half a second after the end of the last frame gets
/// none.
///
/// # Errors
/// [`VideoError`], as the stream's last item, when the source cannot be opened, has no frames, or makes no progress for
/// `options.stall_timeout`; here only when no thread can be started.
pub fn sample(source: &Path, options: &DecodeOptions, wanted: Vec<Wanted>) -> Result<FrameStream, VideoError> {
    let mut times: Vec<f64> = wanted.iter().flat_map(|wanted| wanted.targets.iter().copied()).collect();
    times.sort_by(f64::total_cmp);
    times.dedup();
    let mut networks: Vec<(Vec<f64>, Preprocessor)> =
        wanted.into_iter().map(|wanted| (wanted.targets, Preprocessor::new(&wanted.preprocessing))).collect();
    let path = source.to_path_buf();
    let items = watch(source, options.stall_timeout, AHEAD, move |pulse, outlet| {
        let (mut decoder, first) = Decoder::open(&path, None, &pulse)?;
        let mut picture = Picture::default();
        let ended = walk(&mut decoder, first, &times, walk::Skipping::Exact, |decoder, frame, shown| {
            decoder.picture(frame, &mut picture)?;
            let (from, to) = (times[shown.start], times[shown.end - 1]);
            for (wanted, (targets, preprocessor)) in networks.iter_mut().enumerate() {
                let targets = targets.partition_point(|t| *t < from)..targets.partition_point(|t| *t <= to);
                if targets.is_empty() {
                    continue;
                }
                let pixels = FramePixels { time: frame.time, views: preprocessor.views(&picture) };
                if !outlet.send(Item::Frame(SampledFrame { wanted, targets, pixels })) {
                    return Ok(false);
                }
            }
            Ok(true)
        })?;
        let tally = decoder.tally();
        outlet.send(Item::Summary(SampleSummary {
            decoded: tally.decoded,
            lost: tally.lost,
            ended: ended.end,
            unserved: ended.unserved,
        }));
        Ok(())
    })?;
    Ok(FrameStream { items, summary: SampleSummary::default() })
}
