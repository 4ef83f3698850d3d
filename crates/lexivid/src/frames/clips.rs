//! Clips: runs of frames at one rate, for networks that see motion.

use super::{SamplingError, Shot, Window};

/// Targets stand this much late, in seconds: a frame that is due at that very time is on display then, whatever its time was rounded to.
const LATE: f64 = 1e-3;

/// How clips are chosen. Always valid.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clips {
    frames: usize,
    rate: f64,
    hop: f64,
}

impl Clips {
    /// Clips of `frames` frames, `rate` a second, whose starts are `hop` seconds apart. With a hop of `frames / rate` they follow each other
    /// without gaps.
    ///
    /// # Errors
    /// [`SamplingError`] unless there is a frame, and rate and hop are finite and a frame is shown, or a hop lasts, at least a millisecond.
    pub fn new(frames: usize, rate: f64, hop: f64) -> Result<Self, SamplingError> {
        let usable = |seconds: f64| seconds.is_finite() && seconds >= LATE;
        if frames == 0 {
            return Err(SamplingError::NoFrames);
        }
        if !usable(1.0 / rate) {
            return Err(SamplingError::Rate(rate));
        }
        if !usable(hop) {
            return Err(SamplingError::Hop(hop));
        }
        Ok(Self { frames, rate, hop })
    }

    /// Seconds from a clip's first frame to the end of its last.
    fn length(&self) -> f64 {
        self.frames as f64 / self.rate
    }

    /// The clips of these shots, in order of time, at least one a shot; none crosses a cut. Every clip has as many targets as it has frames, for
    /// [`super::sample`]: the frame on display at each is the one to show, at any frame rate of the video.
    ///
    /// - What is left at a shot's end, beyond the gap that a long hop leaves anyway, gets a clip of its own if it is at least half a clip; that begins
    ///   earlier, so that it ends with the shot. Less is left out.
    /// - In a shot that is shorter than a clip, the last frame stands still until the clip is over: it is neither slowed down nor repeated, which would be
    ///   another motion.
    pub fn of(&self, shots: &[Shot]) -> Vec<Window> {
        let length = self.length();
        let mut clips = Vec::new();
        for shot in shots {
            // Rounding must not make a clip of exactly the shot's length too long for it.
            let whole = |start: f64| start + length <= shot.end + LATE;
            let starts = (0..).map(|k| shot.start + f64::from(k) * self.hop);
            let mut end = shot.start;
            for start in starts.take_while(|start| whole(*start)) {
                end = start + length;
                clips.push(self.clip(start, shot));
            }
            if end == shot.start {
                clips.push(self.clip(shot.start, shot));
            } else if shot.end - end >= f64::max(length / 2.0, self.hop - length / 2.0) {
                clips.push(self.clip(shot.end - length, shot));
            }
        }
        clips
    }

    fn clip(&self, start: f64, shot: &Shot) -> Window {
        let mut targets = Vec::with_capacity(self.frames);
        let mut last = start;
        for frame in 0..self.frames {
            let target = start + frame as f64 / self.rate + LATE;
            if target < shot.end {
                last = target;
            }
            targets.push(last);
        }
        Window { start, end: f64::min(start + self.length(), shot.end), targets }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LENGTH: f64 = 32.0 / 25.0;

    fn clips(hop: f64, shots: &[(f64, f64)]) -> Vec<Window> {
        let shots: Vec<Shot> = shots.iter().map(|(start, end)| Shot { start: *start, end: *end }).collect();
        Clips::new(32, 25.0, hop).unwrap().of(&shots)
    }

    fn starts(hop: f64, shots: &[(f64, f64)]) -> Vec<f64> {
        clips(hop, shots).iter().map(|clip| (clip.start * 1e6).round() / 1e6).collect()
    }

    /// The last of `times` that is not later than each target: what [`crate::frames::sample`] shows.
    fn shown(clip: &Window, times: &[f64]) -> Vec<usize> {
        clip.targets.iter().map(|target| times.partition_point(|time| time <= target) - 1).collect()
    }

    #[test]
    fn clips_follow_each_other() {
        assert_eq!(starts(LENGTH, &[(0.0, 2.56)]), [0.0, 1.28]);
        assert_eq!(starts(LENGTH, &[(0.0, 3.0)]), [0.0, 1.28], "0.44 s are left out");
        assert_eq!(starts(LENGTH, &[(0.0, 3.3)]), [0.0, 1.28, 2.02], "0.74 s are not");
        assert_eq!(starts(2.0, &[(0.0, 3.3)]), [0.0, 2.0]);
        assert_eq!(starts(2.0, &[(0.0, 5.0), (5.0, 6.0), (6.0, 8.0)]), [0.0, 2.0, 3.72, 5.0, 6.0]);
    }

    #[test]
    fn a_clip_of_25_frames_a_second_is_32_frames_in_a_row() {
        for first in [0, 1, 37, 1234] {
            // As a container tells them, in 1/90000 s and in milliseconds.
            let exact: Vec<f64> = (0..2000).map(|i| f64::from(i * 3600) / 90_000.0).collect();
            let start = exact[first];
            let clip = &clips(LENGTH, &[(start, start + 5.0)])[0];
            assert_eq!(shown(clip, &exact), (first..first + 32).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_last_frame_of_a_short_shot_stands_still() {
        let times: Vec<f64> = (0..100).map(|i| f64::from(i) * 0.04).collect();
        let clip = &clips(LENGTH, &[(0.4, 1.2), (1.2, 3.0)])[0];
        let expected: Vec<usize> = (10..30).chain([29; 12]).collect();
        assert_eq!(shown(clip, &times), expected);
        assert_eq!((clip.start, clip.end), (0.4, 1.2));
    }

    #[test]
    fn slow_video_repeats_frames_and_fast_video_skips_some() {
        let half: Vec<f64> = (0..100).map(|i| f64::from(i) / 12.5).collect();
        assert_eq!(shown(&clips(LENGTH, &[(0.0, 8.0)])[0], &half)[..5], [0, 0, 1, 1, 2]);
        let double: Vec<f64> = (0..100).map(|i| f64::from(i) / 50.0).collect();
        assert_eq!(shown(&clips(LENGTH, &[(0.0, 2.0)])[0], &double)[..4], [0, 2, 4, 6]);
    }

    #[test]
    fn bad_settings_are_refused() {
        assert_eq!(Clips::new(0, 25.0, 1.0), Err(SamplingError::NoFrames));
        for rate in [0.0, -25.0, 5000.0, f64::INFINITY] {
            assert_eq!(Clips::new(32, rate, 1.0), Err(SamplingError::Rate(rate)));
        }
        assert!(matches!(Clips::new(32, f64::NAN, 1.0), Err(SamplingError::Rate(_))));
        assert_eq!(Clips::new(32, 25.0, 0.0), Err(SamplingError::Hop(0.0)));
    }

    proptest! {
        /// Frames at any rate, even an uneven one, with cuts anywhere.
        #[test]
        fn no_clip_crosses_a_cut(
            gaps in prop::collection::vec(0.004..0.2_f64, 20..400),
            cuts in prop::collection::btree_set(1..400_usize, 0..6),
            hop in 0.3..4.0_f64,
        ) {
            let mut times = vec![0.0];
            times.extend(gaps.iter().scan(0.0, |time, gap| { *time += gap; Some(*time) }));
            let end = times.pop().unwrap();
            let mut firsts: Vec<usize> = cuts.into_iter().filter(|cut| *cut < times.len()).collect();
            firsts.insert(0, 0);
            let ends = firsts.iter().skip(1).map(|first| times[*first]).chain([end]);
            let shots: Vec<(f64, f64)> = firsts.iter().map(|first| times[*first]).zip(ends).collect();

            let clips = clips(hop, &shots);
            prop_assert!(clips.windows(2).all(|pair| pair[0].start < pair[1].start));
            for (i, (start, end)) in shots.iter().enumerate() {
                let (first, next) = (firsts[i], firsts.get(i + 1).copied().unwrap_or(times.len()));
                let mut of_shot = clips.iter().filter(|clip| clip.start >= *start - 1e-9 && clip.start < *end).peekable();
                prop_assert!(of_shot.peek().is_some(), "a shot without a clip");
                for clip in of_shot {
                    prop_assert!(clip.end <= *end + 1e-9 && clip.targets.len() == 32);
                    let shown = shown(clip, &times);
                    prop_assert!(shown.iter().all(|frame| (first..next).contains(frame)), "{shown:?} of {first}..{next}");
                    prop_assert!(shown.is_sorted());
                    // Nothing stands still but at the shot's end, or where the video has no other frame.
                    for (pair, targets) in shown.windows(2).zip(clip.targets.windows(2)) {
                        let due = targets[0] + 0.04;
                        let other = times[..next].iter().any(|time| *time > targets[0] && *time <= due - 1e-9);
                        prop_assert!(pair[0] != pair[1] || !other || due >= *end - 1e-9);
                    }
                }
            }
        }
    }
}
