//! What holds in a scene: computed from who is there and what each does, and from nothing else.
//!
//! Where people could disagree, nothing is claimed: [`Truth::Unknown`].

use crate::{
    Concept, World,
    action::Action::{self, *},
    concept::{stands_in, words},
    motion::{Axis, Kind},
    scene::{Act, Actor, Camera, Scene, Shot},
};
use lexivid::dataset::Truth::{self, Negative, Positive, Unknown};

/// What a label says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// This concept is there.
    Thing(usize),
    /// Something of this kind is there.
    Group(&'static str),
    /// This happens.
    Does(Action),
    /// This concept does this.
    Both(usize, Action),
}

/// Whether `meaning`, worded as `text`, holds in `scene`.
pub fn truth(meaning: &Meaning, text: &str, scene: &Scene, world: &World) -> Truth {
    let present = |actor: &Actor| &world.concepts[actor.concept];
    match *meaning {
        Meaning::Thing(concept) => any(scene.actors().map(|actor| is(actor, concept, text, world))),
        Meaning::Group(group) => any(scene.actors().map(present).map(|actor| match actor.groups.contains(&group) {
            true => Positive,
            false if resembles(actor, text) => Unknown,
            false => Negative,
        })),
        Meaning::Does(action) => any(scene.shots.iter().map(|shot| happens(action, shot)).chain([cut(action, scene)])),
        Meaning::Both(concept, action) => any(scene.shots.iter().flat_map(|shot| {
            shot.acts.iter().flat_map(move |act| {
                let done = does(action, act, shot.camera);
                act.actors
                    .iter()
                    .map(move |actor| both(is(actor, concept, &world.concepts[concept].name.name, world), done))
            })
        })),
    }
}

/// What holds of several taken together.
fn any(truths: impl IntoIterator<Item = Truth>) -> Truth {
    truths.into_iter().fold(Negative, |sum, truth| match (sum, truth) {
        (Positive, _) | (_, Positive) => Positive,
        (Unknown, _) | (_, Unknown) => Unknown,
        _ => Negative,
    })
}

fn both(one: Truth, other: Truth) -> Truth {
    match (one, other) {
        (Negative, _) | (_, Negative) => Negative,
        (Positive, Positive) => Positive,
        _ => Unknown,
    }
}

fn is(actor: &Actor, concept: usize, text: &str, world: &World) -> Truth {
    let (actor_is, own) = (&world.concepts[actor.concept], &world.concepts[concept].name.name);
    match actor.concept == concept {
        true => Positive,
        false if resembles(actor_is, text) || resembles(actor_is, own) => Unknown,
        false => Negative,
    }
}

/// Whether the actor could be called so: a name or keyword of its contains the text, or the text its name.
fn resembles(actor: &Concept, text: &str) -> bool {
    let (text, name) = (words(text), words(&actor.name.name));
    let keywords = || actor.name.keywords.iter().chain(&actor.keywords).map(|keyword| words(keyword));
    stands_in(&text, &name) || stands_in(&name, &text) || keywords().any(|keyword| stands_in(&text, &keyword))
}

fn cut(action: Action, scene: &Scene) -> Truth {
    if action == Cut && scene.shots.len() > 1 { Positive } else { Negative }
}

/// Whether the action happens in a shot: by one actor, by several taken together, or by the camera.
fn happens(action: Action, shot: &Shot) -> Truth {
    let acts = shot.acts.iter().map(|act| does(action, act, shot.camera));
    any(acts.chain([by_camera(action, shot.camera), together(action, shot)]))
}

fn by_camera(action: Action, camera: Camera) -> Truth {
    if camera.action() == Some(action) { Positive } else { Negative }
}

/// Whether an act is that action. What actors do on the screen only because the camera moves is nothing that they do, and
/// nothing that they certainly do not.
fn does(action: Action, act: &Act, camera: Camera) -> Truth {
    let because_of_camera = match camera {
        Camera::Still => false,
        Camera::Pan { .. } => Action::MOVES.contains(&action) || [StandingStill, Chasing].contains(&action),
        Camera::Zoom { .. } => {
            let unsure = [StandingStill, Growing, Shrinking, Approaching, MovingApart];
            Action::MOVES.contains(&action) || unsure.contains(&action)
        }
    };
    if because_of_camera {
        return Unknown;
    }
    if shown(act).any(|shown| shown == action) {
        return Positive;
    }
    match could_be_called(act.motion.kind, action) {
        true => Unknown,
        false => Negative,
    }
}

/// What an act certainly is.
pub fn shown(act: &Act) -> impl Iterator<Item = Action> {
    let also = match act.motion.kind {
        Kind::Chasing(axis) => Some(Kind::Moving(axis).action(act.motion.backwards)),
        _ => None,
    };
    [act.motion.action()].into_iter().chain(also)
}

/// Whether a motion resembles an action that it is not, so that one may call it so or not. The way in time changes nothing.
fn could_be_called(kind: Kind, action: Action) -> bool {
    let moves = Action::MOVES.contains(&action);
    let rotates = [RotatingClockwise, RotatingCounterClockwise].contains(&action);
    let distance = [Approaching, MovingApart].contains(&action);
    match kind {
        Kind::Moving(_) | Kind::Rotating | Kind::Still | Kind::Chasing(_) => false,
        Kind::Growing | Kind::Fading | Kind::Blinking => action == StandingStill,
        Kind::Bouncing => [MovingUp, MovingDown].contains(&action),
        Kind::Shaking => moves || action == Swinging,
        Kind::Orbiting => moves || rotates,
        Kind::Zigzagging(_) => moves || action == Bouncing,
        Kind::Flipping => rotates || action == StandingStill,
        Kind::Swinging => moves || rotates || action == Shaking,
        Kind::Approaching(_) => moves || action == Colliding,
        Kind::Colliding(_) => moves || distance || action == Bouncing,
        Kind::Swapping(_) => moves || distance || [Orbiting, Colliding].contains(&action),
    }
}

/// What several acts may be called when they are looked at together: never for certain.
fn together(action: Action, shot: &Shot) -> Truth {
    let kinds = || shot.acts.iter().map(|act| act.motion.kind);
    let actors: usize = kinds().map(Kind::actors).sum();
    let travels = |kind: Kind| {
        matches!(kind, Kind::Moving(_) | Kind::Bouncing | Kind::Orbiting | Kind::Zigzagging(_) | Kind::Chasing(_))
    };
    let along = |axis: Axis| {
        let on = |kind: &Kind| [Kind::Moving(axis), Kind::Zigzagging(axis), Kind::Chasing(axis)].contains(kind);
        kinds().filter(on).count()
    };
    let abreast = along(Axis::Horizontal) > 1 || along(Axis::Vertical) > 1;
    let unsure = match action {
        // A chase alone keeps its distance.
        Approaching | MovingApart => actors > 1 && kinds().any(travels) && shot.acts.len() > 1,
        Chasing | SwappingPlaces | Colliding => abreast,
        _ => false,
    };
    if unsure { Unknown } else { Negative }
}
