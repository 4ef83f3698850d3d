//! What is shot: actors that do something before a backdrop, under a camera.

use crate::{Style, action::Action, backdrop::Family, motion::Motion};
use serde::{Deserialize, Serialize};

/// Frames a second.
pub const RATE: u32 = 12;
/// Width and height of a video, in pixels.
pub const SIDE: u32 = 128;

/// Who may learn from a video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// For training.
    Train,
    /// For choosing.
    Val,
    /// For judging.
    Test,
}

impl Split {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Train, Self::Val, Self::Test];

    /// As it is called in a manifest.
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Val => "val",
            Split::Test => "test",
        }
    }

    /// How actors may be drawn.
    pub fn styles(self) -> Vec<Style> {
        match self {
            Split::Train => Style::TRAIN.to_vec(),
            Split::Val => vec![Style::VALIDATION],
            Split::Test => vec![Style::TEST],
        }
    }

    /// What they may stand before.
    pub fn families(self) -> &'static [Family] {
        match self {
            Split::Train => &Family::TRAIN,
            Split::Val => &Family::VALIDATION,
            Split::Test => &Family::TEST,
        }
    }
}

/// One video.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    /// The split that it belongs to.
    pub split: Split,
    /// Its place within the split.
    pub number: usize,
    /// One, or two with a cut between them.
    pub shots: Vec<Shot>,
}

/// What one camera shoots without a break.
#[derive(Debug, Clone, PartialEq)]
pub struct Shot {
    /// Its length.
    pub frames: usize,
    /// Kind of the backdrop.
    pub family: Family,
    /// Which of its kind.
    pub backdrop: u64,
    /// How it is looked at.
    pub camera: Camera,
    /// What is done; later ones stand before earlier ones.
    pub acts: Vec<Act>,
}

/// One motion and those who do it.
#[derive(Debug, Clone, PartialEq)]
pub struct Act {
    /// What is done.
    pub motion: Motion,
    /// As many as the motion takes.
    pub actors: Vec<Actor>,
}

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Actor {
    /// Its index in [`crate::World::concepts`].
    pub concept: usize,
    /// How it is drawn.
    pub style: Style,
    /// Whether it faces the other way.
    pub mirrored: bool,
}

/// What the camera does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Camera {
    /// Nothing.
    Still,
    /// It goes to the right, over so many pixels, unless backwards.
    Pan {
        /// How far.
        reach: f32,
        /// Whether time runs the other way.
        backwards: bool,
    },
    /// It closes in, until all looks so many times larger, unless backwards.
    Zoom {
        /// How much.
        factor: f32,
        /// Whether time runs the other way.
        backwards: bool,
    },
}

/// The part of the world that a frame shows: a point (x, y) of the world is at ((x - left) * scale, (y - top) * scale).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct View {
    /// Left edge, in pixels of the world.
    pub left: f32,
    /// Upper edge, in pixels of the world.
    pub top: f32,
    /// Pixels of the frame a pixel of the world.
    pub scale: f32,
}

impl Camera {
    /// What it is called.
    pub fn action(self) -> Option<Action> {
        let (forwards, backwards) = match self {
            Camera::Still => return None,
            Camera::Pan { backwards, .. } => (Action::PanningRight, backwards),
            Camera::Zoom { backwards, .. } => (Action::ZoomingIn, backwards),
        };
        Some(if backwards { forwards.reversed() } else { forwards })
    }

    /// Width and height of the world that it sees in the course of a shot, in pixels.
    pub fn world(self) -> (u32, u32) {
        match self {
            Camera::Still => (SIDE, SIDE),
            Camera::Pan { reach, .. } => (SIDE + reach.ceil() as u32, SIDE),
            Camera::Zoom { factor, .. } => [(SIDE as f32 * factor).ceil() as u32; 2].into(),
        }
    }

    /// What it sees at `frame` of `frames`.
    pub fn view(self, frame: usize, frames: usize) -> View {
        let at = |backwards: bool| {
            let frame = if backwards { frames - 1 - frame } else { frame };
            frame as f32 / (frames - 1).max(1) as f32
        };
        match self {
            Camera::Still => View { left: 0.0, top: 0.0, scale: 1.0 },
            Camera::Pan { reach, backwards } => View { left: reach * at(backwards), top: 0.0, scale: 1.0 },
            Camera::Zoom { factor, backwards } => {
                let scale = factor.powf(at(backwards) - 1.0);
                let corner = SIDE as f32 / 2.0 * (factor - 1.0 / scale);
                View { left: corner, top: corner, scale }
            }
        }
    }

    /// The other way in time.
    pub fn reversed(self) -> Self {
        match self {
            Camera::Still => Camera::Still,
            Camera::Pan { reach, backwards } => Camera::Pan { reach, backwards: !backwards },
            Camera::Zoom { factor, backwards } => Camera::Zoom { factor, backwards: !backwards },
        }
    }
}

impl Scene {
    /// Where it is kept, from the directory of the manifest.
    pub fn path(&self) -> String {
        format!("videos/{}/{:05}.mp4", self.split.name(), self.number)
    }

    /// All actors, those of the first shot first.
    pub fn actors(&self) -> impl Iterator<Item = &Actor> {
        self.shots.iter().flat_map(|shot| &shot.acts).flat_map(|act| &act.actors)
    }

    /// Its length in frames.
    pub fn frames(&self) -> usize {
        self.shots.iter().map(|shot| shot.frames).sum()
    }

    /// The film backwards: the very same frames, in the other order.
    pub fn reversed(&self) -> Self {
        let mut shots = self.shots.clone();
        shots.reverse();
        for shot in &mut shots {
            shot.camera = shot.camera.reversed();
            shot.acts.iter_mut().for_each(|act| act.motion = act.motion.reversed());
        }
        Self { shots, ..*self }
    }
}
