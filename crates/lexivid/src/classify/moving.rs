//! Frames of clips, as they come -> what the motion network says about every clip.

use crate::{
    features::ClipFeatures,
    frames::{FramePixels, Window},
    models::{ClipEncoder, ModelError},
};
use std::{collections::VecDeque, ops::Range};
use tracing::debug_span;

/// The clips of a video, some of them seen.
pub(super) struct Moving<'a> {
    motion: &'a dyn ClipEncoder,
    /// Clips that wait for frames, in order of time, each with the indices of its targets among all targets.
    waiting: VecDeque<(Window, Vec<usize>)>,
    /// Frames that a waiting clip may need, with the targets that they serve.
    recent: VecDeque<(Range<usize>, FramePixels)>,
    /// What was seen, in order of time: D numbers a clip.
    pub seen: Vec<ClipFeatures>,
}

impl<'a> Moving<'a> {
    /// `targets`: the moments of all clips, ascending, each once.
    pub fn new(motion: &'a dyn ClipEncoder, clips: Vec<Window>, targets: &[f64]) -> Self {
        let index_of = |target: &f64| targets.partition_point(|t| t < target);
        let waiting = clips.into_iter().map(|clip| {
            let indices = clip.targets.iter().map(index_of).collect();
            (clip, indices)
        });
        Self { motion, waiting: waiting.collect(), recent: VecDeque::new(), seen: Vec::new() }
    }

    /// Takes the next frame, in order of time, and looks at the clips that have all of theirs.
    pub fn take(&mut self, targets: Range<usize>, pixels: FramePixels) -> Result<(), ModelError> {
        let served = targets.end;
        self.recent.push_back((targets, pixels));
        while self.waiting.front().is_some_and(|(_, indices)| indices.iter().all(|&i| i < served)) {
            self.look()?;
        }
        Ok(())
    }

    /// No frame will come: a clip that has more than half of its frames is looked at with the last one standing still, others are not.
    pub fn finish(&mut self) -> Result<(), ModelError> {
        let served = self.recent.back().map_or(0, |(targets, _)| targets.end);
        while let Some((_, indices)) = self.waiting.front_mut() {
            if 2 * indices.iter().filter(|&&i| i < served).count() > indices.len() {
                indices.iter_mut().for_each(|i| *i = (*i).min(served - 1));
                self.look()?;
            } else {
                self.waiting.pop_front();
            }
        }
        self.recent.clear();
        Ok(())
    }

    /// Whether all clips that begin before `time` have been looked at.
    pub fn is_done_before(&self, time: f64) -> bool {
        self.waiting.front().is_none_or(|(clip, _)| clip.start >= time)
    }

    /// The clips that have their middle in the window; if there is none, the ones that overlap with it.
    pub fn of(&self, start: f64, end: f64) -> Vec<&ClipFeatures> {
        let middle = |clip: &ClipFeatures| 0.5 * (clip.start + clip.end);
        let inside: Vec<_> = self.seen.iter().filter(|clip| (start..end).contains(&middle(clip))).collect();
        match inside.is_empty() {
            true => self.seen.iter().filter(|clip| clip.start < end && clip.end > start).collect(),
            false => inside,
        }
    }

    /// Looks at the first clip that waits, and lets go of the frames that no other needs.
    fn look(&mut self) -> Result<(), ModelError> {
        let Some((clip, indices)) = self.waiting.pop_front() else { return Ok(()) };
        let frame = |i: usize| {
            let at = self.recent.partition_point(|(targets, _)| targets.end <= i);
            self.recent.get(at).filter(|(targets, _)| targets.contains(&i)).map(|(_, pixels)| pixels)
        };
        // A clip is looked at whole or not at all.
        let frames: Vec<&FramePixels> = indices.iter().filter_map(|&i| frame(i)).collect();
        if frames.len() == indices.len() {
            let embedding = debug_span!("encode clips").in_scope(|| self.motion.encode_clip(&frames))?;
            self.seen.push(ClipFeatures { start: clip.start, end: clip.end, embedding });
        }
        let needed = self.waiting.front().map_or(usize::MAX, |(_, indices)| indices[0]);
        while self.recent.front().is_some_and(|(targets, _)| targets.end <= needed) {
            self.recent.pop_front();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::{Clips, Filter, Preprocessing, Shot, View, targets};
    use image::RgbImage;

    /// Says of a clip when its first and its last frame are.
    struct Clock {
        clips: Clips,
        preprocessing: Preprocessing,
    }

    impl ClipEncoder for Clock {
        fn clips(&self) -> &Clips {
            &self.clips
        }

        fn preprocessing(&self) -> &Preprocessing {
            &self.preprocessing
        }

        fn encode_clip(&self, frames: &[&FramePixels]) -> Result<Vec<f32>, ModelError> {
            Ok(vec![frames[0].time as f32, frames[frames.len() - 1].time as f32])
        }
    }

    /// Clips of four frames at 10 a second, one after the other, of a video of 10 frames a second that ends at `end`, though it says that it lasts 2 s.
    fn seen(end: f64) -> Vec<(f64, f64, Vec<f32>)> {
        let view = View::Stretch;
        let preprocessing =
            Preprocessing { size: (1, 1), views: vec![view], filter: Filter::Bilinear, mean: [0.0; 3], std: [1.0; 3] };
        let clock = Clock { clips: Clips::new(4, 10.0, 0.4).unwrap(), preprocessing };
        let clips = clock.clips.of(&[Shot { start: 0.0, end: 2.0 }]);
        let targets = targets(&clips);
        let mut moving = Moving::new(&clock, clips, &targets);
        for frame in 0..20 {
            let time = f64::from(frame) / 10.0;
            let served: Vec<usize> = (0..targets.len()).filter(|&i| (time..time + 0.1).contains(&targets[i])).collect();
            if let (Some(first), Some(last), true) = (served.first(), served.last(), time < end) {
                moving.take(*first..last + 1, FramePixels { time, views: vec![RgbImage::new(1, 1)] }).unwrap();
                assert!(moving.recent.len() <= 4, "frames that no clip needs are let go of");
            }
        }
        moving.finish().unwrap();
        moving.seen.into_iter().map(|clip| (clip.start, clip.end, clip.embedding)).collect()
    }

    #[test]
    fn every_clip_is_looked_at_with_its_own_frames() {
        let clips = seen(2.0);
        assert_eq!(clips.len(), 5);
        for (i, (start, end, frames)) in clips.iter().enumerate() {
            let expected = 0.4 * i as f64;
            assert!((start - expected).abs() < 1e-6 && (end - expected - 0.4).abs() < 1e-6);
            let frame = |at: usize| (4 * i + at) as f32 / 10.0;
            assert!((frames[0] - frame(0)).abs() < 1e-6 && (frames[1] - frame(3)).abs() < 1e-6, "{frames:?}");
        }
    }

    #[test]
    fn where_a_video_breaks_off_a_clip_needs_most_of_its_frames() {
        let clips = seen(1.1); // frames 8, 9 and 10 of 8 to 11
        assert_eq!((clips.len(), clips[2].2.clone()), (3, vec![0.8, 1.0]));
        assert_eq!(seen(1.0).len(), 2, "half of them is not most");
        assert_eq!(seen(0.0).len(), 0);
    }

    #[test]
    fn a_window_has_the_clips_in_its_middle_or_else_those_it_touches() {
        let clip = |start: f64| ClipFeatures { start, end: start + 1.0, embedding: vec![start as f32] };
        let preprocessing =
            Preprocessing { size: (1, 1), views: vec![], filter: Filter::Bilinear, mean: [0.0; 3], std: [1.0; 3] };
        let clock = Clock { clips: Clips::new(1, 1.0, 1.0).unwrap(), preprocessing };
        let mut moving = Moving::new(&clock, vec![], &[]);
        moving.seen = vec![clip(0.0), clip(2.0), clip(3.0)];
        let of = |start, end| moving.of(start, end).iter().map(|clip| clip.start).collect::<Vec<_>>();
        assert_eq!(of(0.0, 3.0), [0.0, 2.0]);
        assert_eq!(of(0.6, 0.8), [0.0], "touched only");
        assert_eq!(of(1.2, 1.8), [0.0; 0], "between clips");
    }
}
