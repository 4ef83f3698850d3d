//! Which frames say so.

use super::Evidence;

/// The `count` frames that speak for a label most, best first, no two closer than `apart` seconds: neighbours look
/// alike and would show the user the same picture again.
///
/// `times`: presentation times of the frames in seconds; `probabilities`: the label's on each frame alone.
pub fn best_frames(count: usize, apart: f64, times: &[f64], probabilities: &[f32]) -> Vec<Evidence> {
    let mut frames: Vec<Evidence> =
        times.iter().zip(probabilities).map(|(&time, &probability)| Evidence { time, probability }).collect();
    frames.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    let mut best: Vec<Evidence> = Vec::with_capacity(count);
    for frame in frames {
        if best.len() == count {
            break;
        }
        if best.iter().all(|b| (b.time - frame.time).abs() >= apart) {
            best.push(frame);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn best_first_and_apart() {
        let times = [0.0, 0.5, 1.0, 1.5, 2.0];
        let best = best_frames(2, 1.0, &times, &[0.1, 0.9, 0.8, 0.3, 0.2]);
        assert_eq!(best, [Evidence { time: 0.5, probability: 0.9 }, Evidence { time: 1.5, probability: 0.3 }]);
        assert_eq!(best_frames(9, 0.0, &times, &[0.1, 0.9, 0.8, 0.3, 0.2]).len(), 5);
        assert_eq!(best_frames(3, 1.0, &[], &[]), []);
    }
}
