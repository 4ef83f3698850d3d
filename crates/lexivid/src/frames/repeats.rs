//! Frames that show what was shown before: static slides, screen recordings, stills padded to a video.

use super::FramePixels;
use image::RgbImage;

/// Mean squared difference, in levels of 255 squared, up to which a view counts as unchanged.
const THRESHOLD: f64 = 0.01;

/// Recognises frames of which a model sees nothing new.
///
/// A frame repeats another if, in every view, the mean squared difference of their samples is at most 0.01 (a PSNR of 68
/// dB or more): one sample in a hundred is off by one level. Squares make a small object count: at 224 pixels a side, a
/// frame in which one single pixel changes by 23 levels is no repeat, however still the rest stands.
///
/// Measured with the starter, which is sensitive to fine noise: pictures that stand still, encoded as H.264 and MPEG-4,
/// have embeddings of cosine 0.99998 and more within the threshold; noise, stripes, grids and small objects drawn to sit
/// right at it, 0.9991 and more. No other model's real weights were measured.
///
/// The other is always the last frame that was no repeat itself, the one whose embedding is reused: a slow fade cannot
/// creep away from it.
#[derive(Debug, Default)]
pub struct Repeats {
    /// Views of the last frame that was no repeat; none before the first frame.
    shown: Vec<RgbImage>,
}

impl Repeats {
    /// Whether `frame` repeats the last frame of which this was denied.
    pub fn is_repeat(&mut self, frame: &FramePixels) -> bool {
        let repeats = self.shown.len() == frame.views.len()
            && self.shown.iter().zip(&frame.views).all(|(shown, view)| is_unchanged(shown, view));
        if !repeats {
            self.shown.clone_from(&frame.views);
        }
        repeats
    }
}

/// Whether two pictures of one size are within the threshold.
fn is_unchanged(a: &[u8], b: &[u8]) -> bool {
    let allowed = (THRESHOLD * a.len() as f64) as u64;
    let mut sum = 0;
    // Chunks so that sums fit 32 bits, and that two scenes are told apart by a glance.
    a.len() == b.len()
        && a.chunks(4096).zip(b.chunks(4096)).all(|(a, b)| {
            sum += u64::from(a.iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(*b)).pow(2)).sum::<u32>());
            sum <= allowed
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two views of one colour.
    fn grey(level: u8) -> FramePixels {
        FramePixels { time: 0.0, views: vec![RgbImage::from_pixel(224, 224, image::Rgb([level; 3])); 2] }
    }

    /// Whether grey repeats once `change` is done to its second view.
    fn repeats_after(change: impl Fn(&mut [u8])) -> bool {
        let mut repeats = Repeats::default();
        repeats.is_repeat(&grey(100));
        let mut frame = grey(100);
        change(&mut frame.views[1]);
        repeats.is_repeat(&frame)
    }

    #[test]
    fn the_same_pixels_repeat() {
        let mut repeats = Repeats::default();
        assert!(!repeats.is_repeat(&grey(100)), "nothing was before the first frame");
        assert!(repeats.is_repeat(&FramePixels { time: 1.0, ..grey(100) }));
        assert!(!repeats.is_repeat(&grey(200)));
        assert!(repeats.is_repeat(&grey(200)));
    }

    #[test]
    fn one_pixel_anywhere_is_seen() {
        for pixel in [0, 1, 25_000, 224 * 224 - 1] {
            assert!(!repeats_after(|view| view[3 * pixel..3 * pixel + 3].fill(123)), "pixel {pixel}");
        }
    }

    #[test]
    fn a_hundredth_may_be_off_by_one() {
        assert!(repeats_after(|view| view.iter_mut().step_by(101).for_each(|sample| *sample += 1)));
        assert!(!repeats_after(|view| view.iter_mut().step_by(99).for_each(|sample| *sample += 1)));
    }

    #[test]
    fn a_slow_drift_is_followed() {
        let mut repeats = Repeats::default();
        let mut frame = grey(100);
        let seen: Vec<bool> = (0..6)
            .map(|step| {
                frame.views[0].iter_mut().skip(step).step_by(150).for_each(|sample| *sample += 1);
                repeats.is_repeat(&frame)
            })
            .collect();
        assert_eq!(seen, [false, true, false, true, false, true]);
    }
}
