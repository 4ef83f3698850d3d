//! Cuts: where a video jumps from one shot to the next.
//!
//! The rule is the ContentDetector of PySceneDetect 0.7 (github.com/Breakthrough/PySceneDetect,
//! `scenedetect/detectors/content_detector.py`) with its defaults: the mean absolute difference of hue, saturation and
//! value between consecutive frames, averaged over the three, reaches 27 at a cut. Cuts closer than 15 frames are
//! merged (`FlashFilter`, mode MERGE). Frames wider than 256 pixels are made that wide first, as there, but with every
//! pixel counting (PySceneDetect picks pixels), so that scores of fine textures differ a little.

use super::hsv::rgb_to_hsv;
use crate::video::{DecodeOptions, Decoder, Picture, VideoError, watch};
use std::path::Path;

/// Score from which on a frame starts a new shot, on the 0..255 scale.
const THRESHOLD: f64 = 27.0;

/// Frames that a shot has at least.
const SHORTEST_SHOT: usize = 15;

/// Width of the pictures that are compared.
const WIDTH: u32 = 256;

/// One uninterrupted run of the camera, in seconds from the first frame.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Shot {
    /// Time of its first frame.
    pub start: f64,
    /// Time of the next shot's first frame; of the last shot, when the last frame's display ends.
    pub end: f64,
}

/// Decodes all of `source`, a file or URL, and finds its shots: at least one, in order, without gaps.
///
/// # Errors
/// [`VideoError`] when the source cannot be opened, has no frames, or makes no progress for `options.stall_timeout`.
pub fn detect_shots(source: &Path, options: &DecodeOptions) -> Result<Vec<Shot>, VideoError> {
    let path = source.to_path_buf();
    watch(source, options.stall_timeout, 1, move |pulse, outlet| {
        let (mut decoder, mut frame) = Decoder::open(&path, Some(WIDTH), &pulse)?;
        let mut picture = Picture::default();
        let (mut detector, mut starts) = (Detector::default(), vec![0.0]);
        let mut end = frame.end;
        loop {
            decoder.picture(&frame, &mut picture)?;
            starts.extend(detector.cut(frame.time, &mut picture.rgb));
            end = f64::max(end, frame.end);
            if !decoder.next(&mut frame) {
                break;
            }
        }
        let ends = starts.iter().skip(1).copied().chain([end]);
        outlet.send(starts.iter().zip(ends).map(|(&start, end)| Shot { start, end }).collect());
        Ok(())
    })?
    .only()
}

/// ContentDetector, a frame at a time.
#[derive(Default)]
struct Detector {
    /// The frame before, `[N, 3]`, HSV.
    previous: Vec<u8>,
    frames: usize,
    merge: Merge,
}

impl Detector {
    /// Takes the next frame, shown at `time`, `[N, 3]` RGB (which is used up); gives the start of a new shot when one
    /// is certain. That may be an earlier frame's.
    fn cut(&mut self, time: f64, rgb: &mut Vec<u8>) -> Option<f64> {
        let score = self.score(rgb);
        let mark = Mark { index: self.frames, time };
        self.frames += 1;
        self.merge.step(mark, score >= THRESHOLD)
    }

    /// Difference to the frame before; 0 for the first, and when the size changes in mid-stream.
    fn score(&mut self, rgb: &mut Vec<u8>) -> f64 {
        rgb_to_hsv(rgb);
        std::mem::swap(&mut self.previous, rgb);
        if self.previous.len() != rgb.len() {
            return 0.0;
        }
        let difference: u64 = self.previous.iter().zip(rgb.iter()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        difference as f64 / rgb.len() as f64
    }
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    index: usize,
    time: f64,
}

/// FlashFilter in mode MERGE: cuts in quick succession become one, the last of them.
#[derive(Default)]
struct Merge {
    /// The last frame above the threshold, at first the first frame.
    last_above: Option<Mark>,
    /// A cut was found before.
    enabled: bool,
    /// Index at which the merging under way began.
    merging_since: Option<usize>,
}

impl Merge {
    fn step(&mut self, now: Mark, above: bool) -> Option<f64> {
        let last = *self.last_above.get_or_insert(now);
        let long_enough = now.index - last.index >= SHORTEST_SHOT;
        if above {
            self.last_above = Some(now);
        }
        match self.merging_since {
            Some(start) => {
                let over = long_enough && !above && last.index - start >= SHORTEST_SHOT;
                over.then(|| {
                    self.merging_since = None;
                    last.time
                })
            }
            None if above && long_enough => {
                self.enabled = true;
                Some(now.time)
            }
            None => {
                if above && self.enabled {
                    self.merging_since = Some(now.index);
                }
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Golden {
        scenes: Vec<u32>,
        width: u32,
        height: u32,
        scores: Vec<f64>,
        cuts: Vec<usize>,
    }

    /// The pixels that scripts/goldens/shots.py shows PySceneDetect.
    fn frame(golden: &Golden, index: usize) -> Vec<u8> {
        let scene = golden.scenes[index];
        let pixel = |x: u32, y: u32, c: u32| {
            ((x * (3 + scene) + y * (5 + 2 * scene) + scene * (61 + 40 * c) + index as u32 % 3 * 4) % 256) as u8
        };
        let (w, h) = (golden.width, golden.height);
        (0..h).flat_map(|y| (0..w).flat_map(move |x| [0, 1, 2].map(|c| pixel(x, y, c)))).collect()
    }

    #[test]
    fn as_pyscenedetect() {
        let golden: Golden = serde_json::from_str(include_str!("../../tests/goldens/shots.json")).unwrap();
        let (mut scores, mut detector) = (Detector::default(), Detector::default());
        let mut cuts = Vec::new();
        for (index, expected) in golden.scores.iter().enumerate() {
            let score = scores.score(&mut frame(&golden, index));
            assert!((score - expected).abs() < 1e-9, "frame {index}: {score}, expected {expected}");
            cuts.extend(detector.cut(index as f64, &mut frame(&golden, index)).map(|t| t as usize));
        }
        assert_eq!(cuts, golden.cuts);
    }

    #[test]
    fn a_change_of_size_is_no_cut() {
        let mut detector = Detector::default();
        assert_eq!(detector.score(&mut vec![0; 12]), 0.0);
        assert_eq!(detector.score(&mut vec![255; 27]), 0.0);
        assert!(detector.score(&mut vec![0; 27]) > THRESHOLD);
    }
}
