//! What can happen on Stage, and how it is called.

/// Something that takes time to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // Their names say it, and [`Action::name`] does.
pub enum Action {
    MovingLeft,
    MovingRight,
    MovingUp,
    MovingDown,
    RotatingClockwise,
    RotatingCounterClockwise,
    Growing,
    Shrinking,
    FadingIn,
    FadingOut,
    PanningLeft,
    PanningRight,
    ZoomingIn,
    ZoomingOut,
    Approaching,
    MovingApart,
    Bouncing,
    Shaking,
    Orbiting,
    Zigzagging,
    Blinking,
    FlippingOver,
    Swinging,
    StandingStill,
    Chasing,
    Colliding,
    SwappingPlaces,
    Cut,
}

use Action::*;

impl Action {
    /// All of them.
    pub const ALL: [Self; 28] = [
        MovingLeft,
        MovingRight,
        MovingUp,
        MovingDown,
        RotatingClockwise,
        RotatingCounterClockwise,
        Growing,
        Shrinking,
        FadingIn,
        FadingOut,
        PanningLeft,
        PanningRight,
        ZoomingIn,
        ZoomingOut,
        Approaching,
        MovingApart,
        Bouncing,
        Shaking,
        Orbiting,
        Zigzagging,
        Blinking,
        FlippingOver,
        Swinging,
        StandingStill,
        Chasing,
        Colliding,
        SwappingPlaces,
        Cut,
    ];
    /// Those that no training video shows: for testing only.
    pub const UNSEEN: [Self; 3] = [Approaching, MovingApart, Swinging];
    /// The four directions.
    pub(crate) const MOVES: [Self; 4] = [MovingLeft, MovingRight, MovingUp, MovingDown];

    /// Its label.
    pub fn name(self) -> &'static str {
        match self {
            MovingLeft => "moving left",
            MovingRight => "moving right",
            MovingUp => "moving up",
            MovingDown => "moving down",
            RotatingClockwise => "rotating clockwise",
            RotatingCounterClockwise => "rotating counter-clockwise",
            Growing => "growing",
            Shrinking => "shrinking",
            FadingIn => "fading in",
            FadingOut => "fading out",
            PanningLeft => "camera panning left",
            PanningRight => "camera panning right",
            ZoomingIn => "camera zooming in",
            ZoomingOut => "camera zooming out",
            Approaching => "approaching each other",
            MovingApart => "moving apart",
            Bouncing => "bouncing",
            Shaking => "shaking",
            Orbiting => "orbiting",
            Zigzagging => "zigzagging",
            Blinking => "blinking",
            FlippingOver => "flipping over",
            Swinging => "swinging",
            StandingStill => "standing still",
            Chasing => "chasing another",
            Colliding => "colliding",
            SwappingPlaces => "swapping places",
            Cut => "a cut",
        }
    }

    /// What it is when the film runs backwards.
    pub fn reversed(self) -> Self {
        match self {
            MovingLeft => MovingRight,
            MovingRight => MovingLeft,
            MovingUp => MovingDown,
            MovingDown => MovingUp,
            RotatingClockwise => RotatingCounterClockwise,
            RotatingCounterClockwise => RotatingClockwise,
            Growing => Shrinking,
            Shrinking => Growing,
            FadingIn => FadingOut,
            FadingOut => FadingIn,
            PanningLeft => PanningRight,
            PanningRight => PanningLeft,
            ZoomingIn => ZoomingOut,
            ZoomingOut => ZoomingIn,
            Approaching => MovingApart,
            MovingApart => Approaching,
            same => same,
        }
    }

    /// Other ways of saying it.
    pub fn paraphrases(self) -> &'static [&'static str] {
        match self {
            MovingLeft => &["drifting to the left", "travelling leftwards"],
            MovingRight => &["drifting to the right", "travelling rightwards"],
            MovingUp => &["rising", "travelling upwards"],
            MovingDown => &["sinking", "travelling downwards"],
            RotatingClockwise => &["spinning the way a clock's hands go"],
            RotatingCounterClockwise => &["spinning against the way a clock's hands go"],
            Growing => &["getting bigger", "becoming larger"],
            Shrinking => &["getting smaller", "dwindling"],
            FadingIn => &["appearing little by little"],
            FadingOut => &["vanishing little by little"],
            PanningLeft => &["the view sweeps to the left"],
            PanningRight => &["the view sweeps to the right"],
            ZoomingIn => &["the view closes in"],
            ZoomingOut => &["the view widens"],
            Bouncing => &["hopping up and down"],
            Shaking => &["trembling"],
            Orbiting => &["going round in a circle"],
            Zigzagging => &["weaving from side to side"],
            Blinking => &["flashing on and off"],
            FlippingOver => &["turning its back and front by turns"],
            StandingStill => &["not moving at all"],
            Chasing => &["one running after the other"],
            Colliding => &["bumping into each other"],
            SwappingPlaces => &["trading positions"],
            Cut => &["a change of scene"],
            Approaching | MovingApart | Swinging => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backwards_twice_is_forwards() {
        for action in Action::ALL {
            assert_eq!(action.reversed().reversed(), action);
            assert_eq!(Action::UNSEEN.contains(&action), Action::UNSEEN.contains(&action.reversed()));
        }
    }
}
