//! Which moments of a video are looked at: windows, and the times inside them.

use super::Shot;

/// The shortest window and hop, in seconds: shorter than a frame of any camera in use.
const SHORTEST: f64 = 1e-3;

/// How a video is cut into windows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Windowing {
    /// One window: the whole video.
    Whole,
    /// A window of `length` seconds every `hop` seconds.
    Sliding {
        /// Seconds from a window's start to its end.
        length: f64,
        /// Seconds from a window's start to the next one's.
        hop: f64,
    },
}

/// Windows, and how many moments of each are looked at. Always valid.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    windowing: Windowing,
    frames_per_window: usize,
    segment: Option<(f64, f64)>,
}

/// Why a sampling is not possible.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SamplingError {
    /// A window needs a frame.
    #[error("frames per window: at least 1 expected, got 0")]
    NoFrames,
    /// Too short, negative or not a number.
    #[error("window length: at least {SHORTEST} s expected, got {0}")]
    Length(f64),
    /// Too short, negative or not a number.
    #[error("hop: at least {SHORTEST} s expected, got {0}")]
    Hop(f64),
    /// Too many a second, negative or not a number.
    #[error("frame rate: above 0 and at most 1000 frames a second expected, got {0}")]
    Rate(f64),
    /// Negative, empty or not a number.
    #[error("segment: 0 <= start < end expected, got {0} to {1} s")]
    Segment(f64, f64),
}

impl Sampling {
    /// `frames_per_window` (N) frames out of every window.
    ///
    /// # Errors
    /// [`SamplingError`] unless N >= 1 and length and hop are finite and at least a millisecond.
    pub fn new(windowing: Windowing, frames_per_window: usize) -> Result<Self, SamplingError> {
        if frames_per_window == 0 {
            return Err(SamplingError::NoFrames);
        }
        if let Windowing::Sliding { length, hop } = windowing {
            let usable = |seconds: f64| seconds.is_finite() && seconds >= SHORTEST;
            if !usable(length) {
                return Err(SamplingError::Length(length));
            }
            if !usable(hop) {
                return Err(SamplingError::Hop(hop));
            }
        }
        Ok(Self { windowing, frames_per_window, segment: None })
    }

    /// Looks only at what lies in [start, end), in seconds from the first frame; `end` may be infinite.
    ///
    /// # Errors
    /// [`SamplingError::Segment`] unless 0 <= start < end.
    pub fn within(self, start: f64, end: f64) -> Result<Self, SamplingError> {
        if start >= 0.0 && start < end {
            Ok(Self { segment: Some((start, end)), ..self })
        } else {
            Err(SamplingError::Segment(start, end))
        }
    }

    /// The only part that is looked at, if not everything is.
    pub fn segment(&self) -> Option<(f64, f64)> {
        self.segment
    }

    /// How the video is cut.
    pub fn windowing(&self) -> Windowing {
        self.windowing
    }

    /// N.
    pub fn frames_per_window(&self) -> usize {
        self.frames_per_window
    }

    /// The windows of a video of `duration` seconds, in order of time.
    ///
    /// With `shots`, every shot is cut as if it were a video of its own, so that no window crosses a cut and a short
    /// shot is one window. The last window of a video or shot is clipped to its end; what would be shorter than half
    /// a window is left to the window before it. A segment, and the part of a shot that lies in it, counts as a video of
    /// its own, too; there are no windows where the video ends before it.
    pub fn windows(&self, duration: f64, shots: Option<&[Shot]>) -> Vec<Window> {
        let whole = [Shot { start: 0.0, end: duration }];
        let mut windows = Vec::new();
        for shot in shots.filter(|s| !s.is_empty()).unwrap_or(&whole) {
            let shot = match self.segment {
                None => *shot,
                Some((start, end)) => Shot { start: shot.start.max(start), end: shot.end.min(end) },
            };
            if self.segment.is_some() && shot.start >= shot.end {
                continue;
            }
            match self.windowing {
                Windowing::Whole => windows.push((shot.start, shot.end)),
                Windowing::Sliding { length, hop } => slide(shot, length, hop, &mut windows),
            }
        }
        windows.into_iter().map(|(start, end)| Window::new(start, end, self.frames_per_window)).collect()
    }
}

fn slide(shot: Shot, length: f64, hop: f64, windows: &mut Vec<(f64, f64)>) {
    windows.push((shot.start, shot.end.min(shot.start + length)));
    for k in 1.. {
        let start = shot.start + k as f64 * hop;
        let Some((_, last_end)) = windows.last_mut() else { return };
        if *last_end >= shot.end || start >= shot.end {
            return;
        }
        if shot.end - start < length / 2.0 {
            // With a hop longer than the window the user wants gaps, and this is one more.
            if start <= *last_end {
                *last_end = shot.end;
            }
            return;
        }
        windows.push((start, shot.end.min(start + length)));
    }
}

/// A stretch of a video and the moments of it that are looked at, in seconds from the first frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// Start.
    pub start: f64,
    /// End, exclusive.
    pub end: f64,
    /// The moments: the middles of N equal parts, `start + (i + 0.5) (end - start) / N`.
    pub targets: Vec<f64>,
}

impl Window {
    fn new(start: f64, end: f64, n: usize) -> Self {
        let targets = (0..n).map(|i| start + (i as f64 + 0.5) * (end - start) / n as f64).collect();
        Self { start, end, targets }
    }
}

/// The moments of all windows, ascending, each once: what [`super::sample`] takes.
pub fn targets(windows: &[Window]) -> Vec<f64> {
    let mut targets: Vec<f64> = windows.iter().flat_map(|w| w.targets.iter().copied()).collect();
    targets.sort_by(f64::total_cmp);
    targets.dedup();
    targets
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn spans(windowing: Windowing, duration: f64, shots: Option<&[Shot]>) -> Vec<(f64, f64)> {
        let sampling = Sampling::new(windowing, 2).unwrap();
        sampling.windows(duration, shots).iter().map(|w| (w.start, w.end)).collect()
    }

    #[test]
    fn the_whole_video() {
        let windows = Sampling::new(Windowing::Whole, 4).unwrap().windows(8.0, None);
        assert_eq!(windows, [Window { start: 0.0, end: 8.0, targets: vec![1.0, 3.0, 5.0, 7.0] }]);
    }

    #[test]
    fn the_last_window_is_clipped() {
        let sliding = Windowing::Sliding { length: 8.0, hop: 4.0 };
        assert_eq!(spans(sliding, 18.0, None), [(0.0, 8.0), (4.0, 12.0), (8.0, 16.0), (12.0, 18.0)]);
        assert_eq!(spans(sliding, 16.0, None), [(0.0, 8.0), (4.0, 12.0), (8.0, 16.0)]);
        assert_eq!(spans(sliding, 3.0, None), [(0.0, 3.0)]);
    }

    #[test]
    fn no_slivers() {
        assert_eq!(spans(Windowing::Sliding { length: 4.0, hop: 4.0 }, 8.5, None), [(0.0, 4.0), (4.0, 8.5)]);
        assert_eq!(spans(Windowing::Sliding { length: 4.0, hop: 5.0 }, 10.5, None), [(0.0, 4.0), (5.0, 9.0)]);
    }

    #[test]
    fn windows_do_not_cross_cuts() {
        let shots = [Shot { start: 0.0, end: 5.0 }, Shot { start: 5.0, end: 6.0 }, Shot { start: 6.0, end: 16.0 }];
        assert_eq!(
            spans(Windowing::Sliding { length: 4.0, hop: 4.0 }, 16.0, Some(&shots)),
            [(0.0, 5.0), (5.0, 6.0), (6.0, 10.0), (10.0, 14.0), (14.0, 16.0)]
        );
        assert_eq!(spans(Windowing::Whole, 16.0, Some(&shots)).len(), 3);
    }

    #[test]
    fn a_segment_is_a_video_of_its_own() {
        let within = |windowing, start, end, shots: Option<&[Shot]>| -> Vec<(f64, f64)> {
            let sampling = Sampling::new(windowing, 2).unwrap().within(start, end).unwrap();
            sampling.windows(10.0, shots).iter().map(|w| (w.start, w.end)).collect()
        };
        let sliding = Windowing::Sliding { length: 2.0, hop: 2.0 };
        assert_eq!(within(Windowing::Whole, 2.5, 4.5, None), [(2.5, 4.5)]);
        assert_eq!(within(Windowing::Whole, 8.0, 12.0, None), [(8.0, 10.0)]);
        assert_eq!(within(Windowing::Whole, 10.0, 12.0, None), []);
        assert_eq!(within(sliding, 1.0, f64::INFINITY, None).len(), 5);
        assert_eq!(within(sliding, 3.0, 7.0, None), [(3.0, 5.0), (5.0, 7.0)]);
        let shots = [Shot { start: 0.0, end: 4.0 }, Shot { start: 4.0, end: 9.0 }, Shot { start: 9.0, end: 10.0 }];
        assert_eq!(within(Windowing::Whole, 3.0, 7.0, Some(&shots)), [(3.0, 4.0), (4.0, 7.0)]);
        let sampling = Sampling::new(Windowing::Whole, 1).unwrap();
        for (start, end) in [(-1.0, 2.0), (2.0, 2.0), (f64::NAN, 2.0)] {
            assert!(matches!(sampling.within(start, end), Err(SamplingError::Segment(..))), "{start} {end}");
        }
    }

    #[test]
    fn targets_are_sorted_and_unique() {
        let sampling = Sampling::new(Windowing::Sliding { length: 4.0, hop: 2.0 }, 2).unwrap();
        assert_eq!(targets(&sampling.windows(8.0, None)), [1.0, 3.0, 5.0, 7.0]);
    }

    #[test]
    fn bad_settings_are_refused() {
        assert_eq!(Sampling::new(Windowing::Whole, 0), Err(SamplingError::NoFrames));
        let sliding = |length, hop| Sampling::new(Windowing::Sliding { length, hop }, 1);
        assert_eq!(sliding(-1.0, 1.0), Err(SamplingError::Length(-1.0)));
        assert!(matches!(sliding(f64::NAN, 1.0), Err(SamplingError::Length(_))));
        assert_eq!(sliding(1.0, 0.0), Err(SamplingError::Hop(0.0)));
    }

    proptest! {
        #[test]
        fn every_window_is_usable(duration in 0.01..500.0, length in 0.1..50.0, hop in 0.1..60.0, n in 1usize..9) {
            let windows = Sampling::new(Windowing::Sliding { length, hop }, n).unwrap().windows(duration, None);
            prop_assert!(!windows.is_empty());
            for w in &windows {
                prop_assert!(w.start < w.end && w.end <= duration && w.end - w.start <= 1.5 * length + 1e-9);
                prop_assert!(w.end - w.start >= f64::min(length / 2.0, duration) - 1e-9);
                prop_assert!(w.targets.iter().all(|t| (w.start..w.end).contains(t)));
            }
            if hop <= length {
                prop_assert!(windows.windows(2).all(|p| p[1].start <= p[0].end));
                prop_assert_eq!(windows.last().unwrap().end, duration);
            }
        }
    }
}
