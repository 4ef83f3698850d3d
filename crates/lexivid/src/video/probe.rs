//! What is known of a video before it is looked at.

use super::{
    DecodeOptions, VideoError, VideoInfo,
    decoder::{Decoder, ratio},
    watchdog::{Pulse, watch},
};
use std::path::Path;

/// Announced durations beyond two days are checked against the packets: damaged headers announce centuries.
const PLAUSIBLE: f64 = 48.0 * 3600.0;

/// Opens `source`, a file or URL, and decodes its first frame, so that what this returns can be relied on: there is
/// at least one frame, and the size is the one that it is shown in.
///
/// The duration is the video stream's where the container tells, else the container's; where neither is known, or it
/// exceeds two days, that of all packets, which are then read (not decoded).
///
/// # Errors
/// [`VideoError`], for whatever is missing, unreadable, without video or without a single frame, and when nothing
/// happens for `options.stall_timeout`.
pub fn probe(source: &Path, options: &DecodeOptions) -> Result<VideoInfo, VideoError> {
    let path = source.to_path_buf();
    watch(source, options.stall_timeout, 1, move |pulse, outlet| {
        outlet.send(look(&path, &pulse)?);
        Ok(())
    })?
    .only()
}

fn look(path: &Path, pulse: &Pulse) -> Result<VideoInfo, VideoError> {
    let (decoder, first) = Decoder::open(path, None, pulse)?;
    let container = decoder.input().format().name().to_owned();
    let is_still = container.ends_with("_pipe") || container == "image2";
    let (codec, frame_rate) = match decoder.input().stream(decoder.stream()) {
        Some(stream) => (
            stream.parameters().id().name().to_owned(),
            ratio(stream.avg_frame_rate()).or_else(|| ratio(stream.rate())).filter(|_| !is_still),
        ),
        None => (String::new(), None),
    };
    let (width, height) = decoder.display_size(&first);
    let rotation = decoder.orientation_of(&first).degrees();
    let duration = match announced_duration(&decoder).filter(|d| *d <= PLAUSIBLE) {
        Some(duration) => duration,
        None => decoder.scan()?,
    }
    .max(first.end);
    Ok(VideoInfo { container, codec, width, height, rotation, duration, frame_rate })
}

/// Seconds from the first frame to the end of the last, if the container tells.
fn announced_duration(decoder: &Decoder) -> Option<f64> {
    let stream = decoder.input().stream(decoder.stream())?;
    let seconds_per_tick = ratio(stream.time_base())?;
    // i64::MIN (AV_NOPTS_VALUE) or 0: unknown.
    if stream.duration() > 0 {
        return Some(stream.duration() as f64 * seconds_per_tick);
    }
    let container =
        Some(decoder.input().duration()).filter(|d| *d > 0).map(|d| d as f64 / f64::from(ffmpeg::ffi::AV_TIME_BASE));
    if decoder.input().format().name() != "matroska,webm" {
        return container;
    }
    // Matroska counts from 0, not from the first frame, and keeps the duration of every track in a tag.
    let end = stream.metadata().get("DURATION").and_then(parse_clock).or(container)?;
    let start = stream.start_time().max(0) as f64 * seconds_per_tick;
    Some(end - start).filter(|d| *d > 0.0)
}

/// "00:01:02.500000000" -> 62.5.
fn parse_clock(text: &str) -> Option<f64> {
    text.split(':').try_fold(0.0, |seconds, part| Some(seconds * 60.0 + part.trim().parse::<f64>().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks() {
        assert_eq!(parse_clock("00:01:02.500000000"), Some(62.5));
        assert_eq!(parse_clock("soon"), None);
    }
}
