//! Motions: where actors are at every frame of a shot.
//!
//! Every motion can run backwards. Then it is at frame i where it would have been at frame n - 1 - i, and nothing else about it
//! changes: a single frame cannot tell "moving left" from "moving right".

use crate::{
    action::Action::{self, *},
    random::Random,
    sprite::Pose,
};
use std::f32::consts::{PI, TAU};

/// What is done, whichever way in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Along a line; to the right or down, unless backwards.
    Moving(Axis),
    /// In place; clockwise, unless backwards.
    Rotating,
    /// To about twice the size, unless backwards.
    Growing,
    /// From nothing, unless backwards.
    Fading,
    /// Up and down again, several times.
    Bouncing,
    /// A few pixels to and fro, fast.
    Shaking,
    /// Along an ellipse, upright.
    Orbiting,
    /// Along a line with corners.
    Zigzagging(Axis),
    /// There and not there.
    Blinking,
    /// About its vertical axis.
    Flipping,
    /// As a pendulum.
    Swinging,
    /// Nothing.
    Still,
    /// Two, from far to touching, unless backwards.
    Approaching(Axis),
    /// Two, one behind the other.
    Chasing(Axis),
    /// Two, that meet and part.
    Colliding(Axis),
    /// Two, past each other.
    Swapping(Axis),
}

/// A direction to travel in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Axis {
    /// Left and right.
    Horizontal,
    /// Up and down.
    Vertical,
}

/// A kind of motion with everything that it leaves open.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Motion {
    /// What is done.
    pub kind: Kind,
    /// Whether time runs the other way.
    pub backwards: bool,
    /// The middle of the path, in pixels.
    middle: (f32, f32),
    /// How far the path goes from its middle, along and across its axis, in pixels.
    reach: (f32, f32),
    /// How often a shot repeats it.
    cycles: f32,
    /// Where in the cycle it starts, from 0 to 1.
    phase: f32,
    /// Longer side of an actor where it is largest, in pixels.
    size: f32,
}

/// A part of the frame, in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Region {
    /// Left edge.
    pub x: f32,
    /// Upper edge.
    pub y: f32,
    /// From left to right.
    pub width: f32,
    /// From top to bottom.
    pub height: f32,
    /// What an actor that stands there measures at least.
    pub smallest: f32,
}

impl Kind {
    /// Actors that it takes.
    pub fn actors(self) -> usize {
        match self {
            Kind::Approaching(_) | Kind::Chasing(_) | Kind::Colliding(_) | Kind::Swapping(_) => 2,
            _ => 1,
        }
    }

    /// The direction in which it needs the whole frame.
    pub fn axis(self) -> Option<Axis> {
        match self {
            Kind::Moving(axis)
            | Kind::Zigzagging(axis)
            | Kind::Approaching(axis)
            | Kind::Chasing(axis)
            | Kind::Colliding(axis)
            | Kind::Swapping(axis) => Some(axis),
            Kind::Bouncing => Some(Axis::Vertical),
            _ => None,
        }
    }

    /// What it is called.
    pub fn action(self, backwards: bool) -> Action {
        let forwards = match self {
            Kind::Moving(Axis::Horizontal) => MovingRight,
            Kind::Moving(Axis::Vertical) => MovingDown,
            Kind::Rotating => RotatingClockwise,
            Kind::Growing => Growing,
            Kind::Fading => FadingIn,
            Kind::Bouncing => Bouncing,
            Kind::Shaking => Shaking,
            Kind::Orbiting => Orbiting,
            Kind::Zigzagging(_) => Zigzagging,
            Kind::Blinking => Blinking,
            Kind::Flipping => FlippingOver,
            Kind::Swinging => Swinging,
            Kind::Still => StandingStill,
            Kind::Approaching(_) => Approaching,
            Kind::Chasing(_) => Chasing,
            Kind::Colliding(_) => Colliding,
            Kind::Swapping(_) => SwappingPlaces,
        };
        if backwards { forwards.reversed() } else { forwards }
    }

    /// Whether it can be told apart from what a moving camera does.
    pub fn bears_camera(self) -> bool {
        matches!(self, Kind::Rotating | Kind::Fading | Kind::Shaking | Kind::Blinking | Kind::Flipping | Kind::Still)
    }
}

impl Motion {
    /// Chooses what `kind` leaves open, so that all of it happens within `region` in a shot of `seconds`.
    pub(crate) fn new(kind: Kind, backwards: bool, region: Region, seconds: f32, random: &mut Random) -> Self {
        let Region { x, y, width, height, smallest } = region;
        let (along, across) = match kind.axis() {
            Some(Axis::Vertical) => (height, width),
            _ => (width, height),
        };
        let room = width.min(height) - 2.0;
        let size = match kind {
            Kind::Rotating => random.between(smallest, (room / 1.25).min(64.0)),
            Kind::Growing => random.between(56.0, 64.0).min(room),
            Kind::Orbiting | Kind::Swinging => random.between(34.0, (room * 0.65).clamp(36.0, 46.0)),
            Kind::Zigzagging(_) | Kind::Swapping(_) => random.between(34.0, 38.0),
            Kind::Approaching(_) | Kind::Chasing(_) | Kind::Colliding(_) => random.between(34.0, 37.0),
            Kind::Moving(_) | Kind::Bouncing => random.between(34.0, 50.0),
            _ => random.between(smallest, (room - 10.0).min(64.0)),
        };
        let most = ((along - size) / 2.0 - 1.0, (across - size) / 2.0 - 1.0);
        let part = random.between(0.85, 1.0);
        // From the middle to the far end of the actor is `reach` + size / 2.
        let reach = match kind {
            Kind::Moving(_) => (most.0 * part, 0.0),
            Kind::Bouncing => (most.0 * part, 0.0),
            Kind::Zigzagging(_) => (most.0, most.1.min(30.0) * part),
            Kind::Orbiting => (most.0.min(44.0) * part, most.1.min(44.0) * part),
            Kind::Swapping(_) => (most.0 * part, most.1.min(24.0)),
            // Half the distance of two actors that touch; few are as wide as they are high.
            Kind::Approaching(_) | Kind::Colliding(_) => (most.0 * part, 0.4 * size),
            Kind::Chasing(_) => (most.0 - 0.55 * size, 0.55 * size),
            Kind::Shaking => (random.between(4.5, 7.0), 0.0),
            // Length of the pendulum, to the actor's middle.
            Kind::Swinging => ((room - size).min(34.0), 0.0),
            _ => (0.0, 0.0),
        };
        let often = |random: &mut Random, low: f32, high: f32| random.between(low, high) * seconds;
        let cycles = match kind {
            Kind::Rotating => often(random, 0.2, 0.4),
            Kind::Bouncing => often(random, 0.8, 1.2).round(),
            Kind::Shaking => often(random, 2.8, 3.6),
            Kind::Orbiting => often(random, 0.3, 0.45).max(1.0),
            Kind::Zigzagging(_) => random.between(1.5, 2.5),
            Kind::Blinking => often(random, 1.0, 1.8),
            Kind::Flipping => often(random, 0.4, 0.7),
            Kind::Swinging => often(random, 0.5, 0.8),
            Kind::Colliding(_) => (seconds / 2.5).round().max(1.0),
            _ => 1.0,
        };
        // Whatever room is left over.
        let extent = match kind {
            Kind::Moving(_) | Kind::Bouncing | Kind::Zigzagging(_) | Kind::Orbiting | Kind::Swapping(_) => reach,
            Kind::Approaching(_) | Kind::Colliding(_) => (reach.0, 0.0),
            Kind::Chasing(_) => (most.0, 0.0),
            Kind::Rotating => (0.125 * size, 0.125 * size),
            Kind::Shaking => (reach.0, 0.0),
            Kind::Swinging => (reach.0, reach.0 / 2.0),
            _ => (0.0, 0.0),
        };
        let mut off = |most: f32, extent: f32| random.between(-1.0, 1.0) * (most - extent).max(0.0);
        let (a, b) = (off(most.0, extent.0), off(most.1, extent.1));
        let (dx, dy) = if kind.axis() == Some(Axis::Vertical) { (b, a) } else { (a, b) };
        Self {
            kind,
            backwards,
            middle: (x + width / 2.0 + dx, y + height / 2.0 + dy),
            reach,
            cycles,
            phase: random.unit(),
            size,
        }
    }

    /// What it is called.
    pub fn action(&self) -> Action {
        self.kind.action(self.backwards)
    }

    /// The other way in time.
    pub fn reversed(self) -> Self {
        Self { backwards: !self.backwards, ..self }
    }

    /// Where its actors are at `frame` of `frames`.
    pub fn poses(&self, frame: usize, frames: usize) -> Vec<Pose> {
        // Whole numbers are reversed, for the very same poses.
        let frame = if self.backwards { frames - 1 - frame } else { frame };
        let u = frame as f32 / (frames - 1).max(1) as f32;
        let cycle = self.cycles * u + self.phase;
        let (sin, cos) = (TAU * cycle).sin_cos();
        let still = Pose { x: self.middle.0, y: self.middle.1, size: self.size, angle: 0.0, turn: 1.0, opacity: 1.0 };
        let at = |along: f32, across: f32| match self.kind.axis() {
            Some(Axis::Vertical) => Pose { x: still.x + across, y: still.y + along, ..still },
            _ => Pose { x: still.x + along, y: still.y + across, ..still },
        };
        let (far, near) = self.reach;
        let sweep = far * (2.0 * u - 1.0);
        let opposite = |along: f32, across: f32| vec![at(along, across), at(-along, -across)];
        let one = match self.kind {
            Kind::Moving(_) => at(sweep, 0.0),
            Kind::Rotating => Pose { angle: TAU * cycle, ..still },
            Kind::Growing => Pose { size: self.size * 0.5f32.powf(1.0 - u), ..still },
            Kind::Fading => Pose { opacity: u, ..still },
            Kind::Bouncing => at(far * (1.0 - 2.0 * (PI * self.cycles * u).sin().abs()), 0.0),
            Kind::Shaking => at(far * sin, 0.0),
            Kind::Orbiting => at(far * cos, near * sin),
            Kind::Zigzagging(_) => at(sweep, near * (4.0 * (cycle.fract() - 0.5).abs() - 1.0)),
            Kind::Blinking => Pose { opacity: if cycle.fract() < 0.5 { 1.0 } else { 0.0 }, ..still },
            Kind::Flipping => Pose { turn: cos, ..still },
            Kind::Swinging => {
                let angle = SWING * sin;
                Pose { angle, ..at(-far * angle.sin(), far * (angle.cos() - 0.5)) }
            }
            Kind::Still => still,
            Kind::Chasing(_) => return vec![at(sweep + near, 0.0), at(sweep - near, 0.0)],
            Kind::Approaching(_) => return opposite(near + (far - near) * (1.0 - u), 0.0),
            Kind::Colliding(_) => {
                let apart = (2.0 * (self.cycles * u).fract() - 1.0).abs();
                return opposite(near + (far - near) * apart, 0.0);
            }
            Kind::Swapping(_) => {
                let (sin, cos) = (PI * u).sin_cos();
                return opposite(far * cos, near * sin);
            }
        };
        vec![one]
    }
}

/// How far a pendulum swings to either side, in radians.
const SWING: f32 = 0.7;

#[cfg(test)]
mod tests {
    use super::*;
    use Axis::*;

    const KINDS: [Kind; 22] = [
        Kind::Moving(Horizontal),
        Kind::Moving(Vertical),
        Kind::Rotating,
        Kind::Growing,
        Kind::Fading,
        Kind::Bouncing,
        Kind::Shaking,
        Kind::Orbiting,
        Kind::Zigzagging(Horizontal),
        Kind::Zigzagging(Vertical),
        Kind::Blinking,
        Kind::Flipping,
        Kind::Swinging,
        Kind::Still,
        Kind::Approaching(Horizontal),
        Kind::Approaching(Vertical),
        Kind::Chasing(Horizontal),
        Kind::Chasing(Vertical),
        Kind::Colliding(Horizontal),
        Kind::Colliding(Vertical),
        Kind::Swapping(Horizontal),
        Kind::Swapping(Vertical),
    ];

    fn region(kind: Kind) -> Region {
        match kind.axis() {
            Some(Vertical) => Region { x: 64.0, y: 0.0, width: 64.0, height: 128.0, smallest: 36.0 },
            Some(Horizontal) => Region { x: 0.0, y: 64.0, width: 128.0, height: 64.0, smallest: 36.0 },
            None => Region { x: 64.0, y: 64.0, width: 64.0, height: 64.0, smallest: 36.0 },
        }
    }

    #[test]
    fn backwards_has_the_same_poses_in_the_other_order() {
        for (i, kind) in KINDS.into_iter().enumerate() {
            let motion =
                |backwards| Motion::new(kind, backwards, region(kind), 4.0, &mut Random::new(1, "test", i as u64));
            let poses = |motion: Motion| (0..48).map(|i| motion.poses(i, 48)).collect::<Vec<_>>();
            let mut backwards = poses(motion(true));
            assert_eq!(backwards, poses(motion(false).reversed()), "the way in time changes no parameter: {kind:?}");
            backwards.reverse();
            assert_eq!(poses(motion(false)), backwards, "{kind:?}");
        }
    }

    #[test]
    fn actors_stay_in_their_region_and_what_moves_moves_visibly() {
        for (i, kind) in KINDS.into_iter().enumerate() {
            for repeat in 0..50 {
                let region = region(kind);
                let random = &mut Random::new(repeat, "region", i as u64);
                let motion = Motion::new(kind, repeat % 2 == 0, region, 3.0 + 0.06 * repeat as f32, random);
                let poses: Vec<Vec<Pose>> = (0..40).map(|frame| motion.poses(frame, 40)).collect();
                for pose in poses.iter().flatten() {
                    let (half, slack) = (pose.size / 2.0, 4.0);
                    let inside = pose.x - half > region.x - slack
                        && pose.x + half < region.x + region.width + slack
                        && pose.y - half > region.y - slack
                        && pose.y + half < region.y + region.height + slack;
                    assert!(inside, "{kind:?}: {pose:?} in {region:?}");
                    assert!((28.0..=64.0).contains(&pose.size), "{kind:?}: {pose:?}");
                }
                if let Kind::Moving(axis) = kind {
                    let at = |pose: Pose| if axis == Vertical { pose.y } else { pose.x };
                    let way = at(poses[39][0]) - at(poses[0][0]);
                    assert_eq!(way < 0.0, motion.backwards);
                    assert!(way.abs() > 60.0, "{way}");
                }
            }
        }
    }
}
