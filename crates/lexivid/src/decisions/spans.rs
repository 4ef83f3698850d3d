//! When a label holds.

use super::{LabelSpan, Span};

/// The stretches of time in which a label reaches `threshold`: windows that do, joined where they touch or overlap.
///
/// `windows`: in order of their starts; `timeline`: the label's probability in each of them.
pub fn spans_above(threshold: f32, windows: &[Span], timeline: &[f32]) -> Vec<LabelSpan> {
    let mut spans: Vec<LabelSpan> = Vec::new();
    for (window, &p) in windows.iter().zip(timeline).filter(|(_, p)| **p >= threshold) {
        match spans.last_mut() {
            Some(last) if window.start <= last.end => {
                last.end = last.end.max(window.end);
                last.peak = last.peak.max(p);
            }
            _ => spans.push(LabelSpan { start: window.start, end: window.end, peak: p }),
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sliding(n: usize, length: f64, hop: f64) -> Vec<Span> {
        (0..n).map(|i| Span { start: i as f64 * hop, end: i as f64 * hop + length }).collect()
    }

    #[test]
    fn windows_that_touch_are_joined() {
        let spans = spans_above(0.5, &sliding(5, 2.0, 2.0), &[0.5, 0.9, 0.4, 0.1, 0.6]);
        let expected = [LabelSpan { start: 0.0, end: 4.0, peak: 0.9 }, LabelSpan { start: 8.0, end: 10.0, peak: 0.6 }];
        assert_eq!(spans, expected);
    }

    proptest! {
        #[test]
        fn spans_cover_exactly_the_windows_above(
            timeline in prop::collection::vec(0f32..1.0, 0..30), length in 1u8..4, threshold in 0f32..1.0
        ) {
            let windows = sliding(timeline.len(), f64::from(length), 1.0);
            let spans = spans_above(threshold, &windows, &timeline);
            for pair in spans.windows(2) {
                prop_assert!(pair[0].end < pair[1].start, "joined and in order");
            }
            for instant in 0..40 {
                let t = f64::from(instant) + 0.5;
                let holds = windows.iter().zip(&timeline).any(|(w, p)| *p >= threshold && w.start <= t && t < w.end);
                prop_assert_eq!(holds, spans.iter().any(|s| s.start <= t && t < s.end));
            }
            let peak = spans.iter().map(|s| s.peak).fold(0.0, f32::max);
            prop_assert_eq!(peak, timeline.iter().copied().filter(|p| *p >= threshold).fold(0.0, f32::max));
        }
    }
}
