//! What holds in a scene: computed from who is there and what each does, and from nothing else.
//!
//! Where people could disagree, nothing is claimed: [`Truth::Unknown`].

use crate::{
    Concept, World,
    action::Action::{self, *},
    concept::{stands_in, words},
    motion::{Axis, Kind},
    scene::{Act, Camera, Scene, Shot},
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
    holds(meaning, &|concept| called(meaning, text, concept, world), scene)
}

/// What a concept is to a label that says `meaning` in the words `text`: what it means, what could be called so, or something
/// else.
pub(crate) fn called(meaning: &Meaning, text: &str, concept: usize, world: &World) -> Truth {
    let actor = &world.concepts[concept];
    match *meaning {
        Meaning::Thing(meant) | Meaning::Both(meant, _) if meant == concept => Positive,
        Meaning::Thing(meant) => could_be(actor, &[text, &world.concepts[meant].name.name]),
        Meaning::Both(meant, _) => could_be(actor, &[&world.concepts[meant].name.name]),
        Meaning::Group(group) if actor.groups.contains(&group) => Positive,
        Meaning::Group(_) => could_be(actor, &[text]),
        Meaning::Does(_) => Negative,
    }
}

/// Whether `meaning` holds in `scene`, if concepts are to it as [`called`] says.
pub(crate) fn holds(meaning: &Meaning, called: &dyn Fn(usize) -> Truth, scene: &Scene) -> Truth {
    match *meaning {
        Meaning::Thing(_) | Meaning::Group(_) => any(scene.actors().map(|actor| called(actor.concept))),
        Meaning::Does(action) => any(scene.shots.iter().map(|shot| happens(action, shot)).chain([cut(action, scene)])),
        Meaning::Both(_, action) => any(scene.shots.iter().flat_map(|shot| {
            shot.acts.iter().flat_map(move |act| {
                let done = does(action, act, shot.camera);
                act.actors.iter().map(move |actor| both(called(actor.concept), done))
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

/// Whether the actor could be called one of the texts: its name or a keyword of its contains the text, or the text its name.
fn could_be(actor: &Concept, texts: &[&str]) -> Truth {
    let name = words(&actor.name.name);
    let resembles = |text: &&str| {
        let text = words(text);
        let mut keywords = actor.name.keywords.iter().chain(&actor.keywords).map(|keyword| words(keyword));
        stands_in(&text, &name) || stands_in(&name, &text) || keywords.any(|keyword| stands_in(&text, &keyword))
    };
    if texts.iter().any(resembles) { Unknown } else { Negative }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Role, Style,
        assets::Name,
        backdrop::Family,
        motion::{Motion, Region},
        random::Random,
        scene::{Actor, Split},
    };

    fn world() -> World {
        let concept = |name: &str, keywords: &[&str], groups| Concept {
            name: Name {
                id: String::new(),
                name: name.into(),
                keywords: keywords.iter().map(|&k| k.into()).collect(),
                subgroup: String::new(),
                slug: String::new(),
            },
            role: Role::Seen,
            keywords: Vec::new(),
            groups,
        };
        World {
            concepts: vec![
                concept("dog", &["pet"], &["animal"]),
                concept("hot dog", &["frankfurter", "sea animal"], &["food"]),
                concept("bell", &[], &[]),
            ],
        }
    }

    /// One shot, where each concept does one thing.
    fn scene(camera: Camera, acts: &[(usize, Kind)]) -> Scene {
        let region = Region { x: 0.0, y: 0.0, width: 128.0, height: 128.0, smallest: 36.0 };
        let act = |&(concept, kind): &(usize, Kind)| Act {
            motion: Motion::new(kind, false, region, 3.0, &mut Random::new(1, "labels", 0)),
            actors: vec![Actor { concept, style: Style::Noto, mirrored: false }],
        };
        let acts = acts.iter().map(act).collect();
        let shot = Shot { frames: 36, family: Family::Land, backdrop: 1, camera, acts };
        Scene { split: Split::Test, number: 0, shots: vec![shot] }
    }

    #[test]
    fn who_could_be_called_so_is_neither_there_nor_not() {
        let (world, still) = (world(), |concept| scene(Camera::Still, &[(concept, Kind::Still)]));
        let dog = |scene: &Scene| truth(&Meaning::Thing(0), "dog", scene, &world);
        assert_eq!([0, 1, 2].map(|i| dog(&still(i))), [Positive, Unknown, Negative]);
        // A paraphrase is as true as the name, and as unsure.
        let hound = |scene: &Scene| truth(&Meaning::Thing(0), "hound", scene, &world);
        assert_eq!([0, 1, 2].map(|i| hound(&still(i))), [Positive, Unknown, Negative]);
        let animal = |scene: &Scene| truth(&Meaning::Group("animal"), "animal", scene, &world);
        assert_eq!([0, 1, 2].map(|i| animal(&still(i))), [Positive, Unknown, Negative]);
        let both = scene(Camera::Still, &[(2, Kind::Still), (0, Kind::Still)]);
        assert_eq!((dog(&both), animal(&both)), (Positive, Positive));
    }

    #[test]
    fn actions_that_resemble_one_another_are_unknown() {
        let world = world();
        let says = |kind, action| {
            let scene = scene(Camera::Still, &[(0, kind)]);
            truth(&Meaning::Does(action), action.name(), &scene, &world)
        };
        let right = Kind::Moving(Axis::Horizontal);
        assert_eq!(says(right, MovingRight), Positive);
        assert_eq!(says(right, MovingLeft), Negative);
        assert_eq!(says(right, PanningRight), Negative);
        assert_eq!(says(Kind::Zigzagging(Axis::Horizontal), MovingLeft), Unknown);
        assert_eq!(says(Kind::Bouncing, MovingUp), Unknown);
        assert_eq!(says(Kind::Bouncing, MovingLeft), Negative);
        assert_eq!(says(Kind::Fading, StandingStill), Unknown);
        assert_eq!(says(Kind::Fading, FadingIn), Positive);
        assert_eq!(says(Kind::Fading, FadingOut), Negative);
    }

    #[test]
    fn what_the_camera_does_is_not_what_actors_do() {
        let world = world();
        let says = |camera, action: Action| {
            let scene = scene(camera, &[(0, Kind::Rotating)]);
            truth(&Meaning::Does(action), action.name(), &scene, &world)
        };
        let pan = Camera::Pan { reach: 50.0, backwards: true };
        assert_eq!([PanningLeft, PanningRight].map(|action| says(pan, action)), [Positive, Negative]);
        assert_eq!([MovingLeft, StandingStill].map(|action| says(pan, action)), [Unknown; 2]);
        assert_eq!([Growing, RotatingCounterClockwise].map(|action| says(pan, action)), [Negative; 2]);
        let zoom = Camera::Zoom { factor: 1.6, backwards: false };
        assert_eq!([ZoomingIn, ZoomingOut].map(|action| says(zoom, action)), [Positive, Negative]);
        assert_eq!([Growing, Shrinking].map(|action| says(zoom, action)), [Unknown; 2]);
    }

    #[test]
    fn a_pair_needs_the_actor_and_its_own_motion() {
        let world = world();
        let right = Kind::Moving(Axis::Horizontal);
        let says = |acts: &[(usize, Kind)]| {
            let meaning = Meaning::Both(0, MovingRight);
            truth(&meaning, "a dog moving right", &scene(Camera::Still, acts), &world)
        };
        assert_eq!(says(&[(0, right)]), Positive);
        assert_eq!(says(&[(0, Kind::Rotating), (2, right)]), Negative);
        assert_eq!(says(&[(1, right)]), Unknown);
        assert_eq!(says(&[(1, Kind::Rotating)]), Negative);
        assert_eq!(says(&[(0, Kind::Shaking)]), Unknown);
    }

    #[test]
    fn several_actors_may_be_called_together_what_none_is_alone() {
        let world = world();
        let right = Kind::Moving(Axis::Horizontal);
        let says = |acts: &[(usize, Kind)], action: Action| {
            truth(&Meaning::Does(action), action.name(), &scene(Camera::Still, acts), &world)
        };
        assert_eq!(says(&[(0, right), (2, right)], Chasing), Unknown);
        assert_eq!(says(&[(0, right), (2, Kind::Rotating)], Chasing), Negative);
        assert_eq!(says(&[(0, right), (2, Kind::Rotating)], Approaching), Unknown);
        assert_eq!(says(&[(0, right)], Approaching), Negative);
    }
}
