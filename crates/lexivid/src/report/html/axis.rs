//! Time -> place on the axis that strip and heat map share.

use crate::report::clock::{Precision, clock};

/// Distances between ticks that people can count in, in seconds.
const STEPS: [f64; 18] =
    [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 21600.0];
/// More ticks than this crowd the axis.
const MAX_TICKS: f64 = 8.0;
/// A tick beyond this part of the axis would write its time past the end.
const LAST_TICK: f64 = 0.95;

/// The time axis of one video.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    /// Length in seconds, above 0.
    length: f64,
}

/// A mark on the axis.
#[derive(Debug, PartialEq)]
pub(super) struct Tick {
    /// Place in percent of the axis.
    pub(super) left: f64,
    /// Its time.
    pub(super) text: String,
}

impl Axis {
    /// An axis of `length` seconds; 1 s if that is nothing (a still image).
    pub(super) fn new(length: f64) -> Self {
        Self { length: if length > 0.0 && length.is_finite() { length } else { 1.0 } }
    }

    /// Place of `time` in percent of the axis, to a hundredth.
    pub(super) fn percent(self, time: f64) -> f64 {
        (time / self.length * 10_000.0).clamp(0.0, 10_000.0).round() / 100.0
    }

    /// Ticks at round times, the first at 0.
    pub(super) fn ticks(self) -> Vec<Tick> {
        let longest = STEPS[STEPS.len() - 1];
        let step = STEPS.into_iter().find(|step| self.length / step <= MAX_TICKS).unwrap_or_else(|| {
            // Beyond two days: as many whole steps as it takes.
            (self.length / MAX_TICKS / longest).ceil() * longest
        });
        (0..)
            .map(|i| f64::from(i) * step)
            .take_while(|&time| time < self.length * LAST_TICK)
            .map(|time| Tick { left: self.percent(time), text: clock(time, Precision::Tenths) })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(length: f64) -> Vec<String> {
        Axis::new(length).ticks().into_iter().map(|t| t.text).collect()
    }

    #[test]
    fn ticks_are_round_times() {
        assert_eq!(texts(10.0), ["0:00", "0:02", "0:04", "0:06", "0:08"]);
        assert_eq!(texts(1.2), ["0:00", "0:00.2", "0:00.4", "0:00.6", "0:00.8", "0:01"]);
        assert_eq!(texts(10_800.0), ["0:00", "30:00", "1:00:00", "1:30:00", "2:00:00", "2:30:00"]);
    }

    #[test]
    fn any_length_has_few_ticks() {
        for length in [0.0, -1.0, f64::NAN, f64::INFINITY, 0.04, 59.0, 3600.0, 1e6, 1e9] {
            let n = Axis::new(length).ticks().len();
            assert!((1..=8).contains(&n), "{n} ticks on {length} s");
        }
    }

    #[test]
    fn places_stay_on_the_axis() {
        let axis = Axis::new(20.0);
        assert_eq!([-1.0, 0.0, 5.0, 20.0, 21.0].map(|t| axis.percent(t)), [0.0, 0.0, 25.0, 100.0, 100.0]);
    }
}
