//! The shortest exact way through a stream past the frames that are wanted.

use crate::video::{Decoder, Frame, VideoError};
use std::ops::Range;

/// A target this much later than the end of the last frame is still given that frame, in seconds: containers round.
const SLACK: f64 = 0.5;

/// Gap to the next target from which on a seek is tried, in seconds; grows when seeks land short.
const FIRST_SEEK_GAP: f64 = 2.0;

/// What a walk may leave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Skipping {
    /// Frames that are shown at no target, where that is known for certain, by seeking and by not decoding them.
    Exact,
    /// Nothing: every frame is decoded. What [`Skipping::Exact`] is tested against.
    #[cfg(test)]
    Nothing,
}

/// How a walk ended.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Ended {
    /// When the last frame's display ends, if the walk came to the end of the stream.
    pub end: Option<f64>,
    /// Targets, the last ones, that lie behind it.
    pub unserved: usize,
}

/// Calls `show` with every frame that is on display at one of `targets` (ascending) and the indices of those targets,
/// in order, until `show` says that it wants no more. `current` is the decoder's first frame.
pub(super) fn walk(
    decoder: &mut Decoder,
    mut current: Frame,
    targets: &[f64],
    skipping: Skipping,
    mut show: impl FnMut(&mut Decoder, &Frame, Range<usize>) -> Result<bool, VideoError>,
) -> Result<Ended, VideoError> {
    let mut seek_gap = f64::INFINITY;
    if skipping == Skipping::Exact {
        decoder.want_only(targets.to_vec());
        if decoder.can_seek() {
            seek_gap = FIRST_SEEK_GAP;
        }
    }
    let mut next = Frame::empty();
    let mut more = decoder.next(&mut next);
    let mut served = 0;
    while served < targets.len() {
        let target = targets[served];
        while more && next.time <= target {
            if target - next.time > seek_gap {
                let from = next.time;
                if decoder.seek(target, from, &mut next) {
                    if next.time <= from {
                        seek_gap = 2.0 * (target - from);
                    }
                } else {
                    // No key frame between here and there (or there is nothing there: a truncated file).
                    seek_gap = f64::INFINITY;
                    if !decoder.seek(from, f64::NEG_INFINITY, &mut next) {
                        return Ok(Ended { end: None, unserved: targets.len() - served });
                    }
                }
            }
            std::mem::swap(&mut current, &mut next);
            more = decoder.next(&mut next);
        }
        let shown_until = if more { next.time } else { current.end + SLACK };
        let end = served + targets[served..].partition_point(|t| *t < shown_until);
        if end == served {
            break;
        }
        if !show(decoder, &current, served..end)? {
            return Ok(Ended::default());
        }
        served = end;
    }
    Ok(Ended { end: (!more).then_some(current.end), unserved: targets.len() - served })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::video::{DecodeOptions, Picture, watch};
    use std::{
        path::{Path, PathBuf},
        process::Command,
    };

    /// 12 s of moving pictures in the given codec and container.
    fn clip(directory: &Path, name: &str, codec: &[&str]) -> PathBuf {
        let path = directory.join(name);
        let status = Command::new("ffmpeg")
            .args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=size=160x120:rate=25:duration=12"])
            .args(codec)
            .arg(&path)
            .status()
            .expect("the ffmpeg command is installed");
        assert!(status.success(), "ffmpeg cannot make {name}");
        path
    }

    /// A frame's targets, time and pixels.
    type Shown = (Range<usize>, f64, Vec<u8>);

    /// What a walk shows, and how many frames were decoded for it.
    fn shown(path: &Path, targets: &[f64], skipping: Skipping) -> (Vec<Shown>, usize) {
        let (path, targets) = (path.to_path_buf(), targets.to_vec());
        watch(&path.clone(), DecodeOptions::default().stall_timeout, 1, move |pulse, outlet| {
            let (mut decoder, first) = Decoder::open(&path, None, &pulse)?;
            let mut shown = Vec::new();
            walk(&mut decoder, first, &targets, skipping, |decoder, frame, targets| {
                let mut picture = Picture::default();
                decoder.picture(frame, &mut picture)?;
                shown.push((targets, frame.time, picture.rgb));
                Ok(true)
            })?;
            outlet.send((shown, decoder.tally().decoded));
            Ok(())
        })
        .unwrap()
        .only()
        .unwrap()
    }

    #[test]
    fn skipping_changes_nothing() {
        const B_FRAMES: [&str; 10] =
            ["-c:v", "libx264", "-preset", "fast", "-bf", "3", "-g", "40", "-pix_fmt", "yuv420p"];
        const OPEN_GOP: [&str; 8] =
            ["-c:v", "libx264", "-x264-params", "open-gop=1:bframes=3:keyint=30", "-bf", "3", "-pix_fmt", "yuv420p"];
        const MPEG4: [&str; 6] = ["-c:v", "mpeg4", "-bf", "2", "-g", "30"];
        // Every third frame is missing for a while, then all of them are there, then one stands for a second.
        const VFR: [&str; 4] = ["-vf", "select='if(lt(t,4),mod(n,3),not(between(t,6,7)))'", "-fps_mode", "vfr"];
        const LATE: [&str; 2] = ["-output_ts_offset", "3.7"];
        let directory = tempfile::tempdir().unwrap();
        let clips: [(&str, Vec<&str>, bool); 10] = [
            ("b-frames.mp4", B_FRAMES.to_vec(), true),
            ("open-gop.mkv", OPEN_GOP.to_vec(), true),
            ("mpeg4.mp4", MPEG4.to_vec(), true),
            ("mpeg4.avi", MPEG4.to_vec(), false),
            ("vfr.mp4", [&B_FRAMES[..], &VFR].concat(), true),
            ("vfr.mkv", [&B_FRAMES[..], &VFR].concat(), true),
            ("late.mkv", [&B_FRAMES[..], &LATE].concat(), true),
            ("late.ts", [&B_FRAMES[..], &LATE].concat(), true),
            ("hevc.mp4", vec!["-c:v", "libx265", "-x265-params", "log-level=none:keyint=40:bframes=4"], true),
            ("vp9.webm", vec!["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "40"], true),
        ];
        for (name, codec, skips) in clips {
            let path = clip(directory.path(), name, &codec);
            for targets in [
                vec![0.0, 0.02, 3.0, 6.5, 6.51, 7.01, 11.9],
                (0..40).map(|i| 0.15 + f64::from(i) * 0.29).collect(),
                vec![8.0, 8.04, 8.08, 8.12, 8.16],
                vec![11.99, 12.3],
            ] {
                let (linear, all) = shown(&path, &targets, Skipping::Nothing);
                let (exact, decoded) = shown(&path, &targets, Skipping::Exact);
                assert!(!linear.is_empty());
                assert_eq!(
                    linear.iter().map(|s| (&s.0, s.1)).collect::<Vec<_>>(),
                    exact.iter().map(|s| (&s.0, s.1)).collect::<Vec<_>>(),
                    "{name}"
                );
                assert!(linear == exact, "{name}: other pixels");
                assert!(decoded <= all, "{name}: {decoded} of {all}");
                if skips && targets.len() == 7 {
                    assert!(decoded < all, "{name}: {decoded} of {all} decoded");
                }
            }
        }
    }
}
