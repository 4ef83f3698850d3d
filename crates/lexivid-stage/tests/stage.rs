//! What Stage promises, on the real assets.

use lexivid::{dataset::Truth, expansion::ReviewFile};
use lexivid_stage::{
    Assets, Role, Size, Stage, World,
    action::Action,
    backdrop::Family,
    labels::{Meaning, shown, truth},
    render::{Wardrobe, frames},
    reserved,
    scene::{Camera, Scene, Split},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::LazyLock,
};

static ASSETS: LazyLock<Assets> = LazyLock::new(|| {
    let directory =
        std::env::var("LEXIVID_STAGE_ASSETS").expect("set LEXIVID_STAGE_ASSETS to what scripts/stage-assets prints");
    Assets::open(Path::new(&directory)).unwrap()
});
static WORLD: LazyLock<World> = LazyLock::new(|| World::new(&ASSETS));

fn of<'a>(stage: &'a Stage, split: Split) -> impl Iterator<Item = &'a Scene> {
    stage.scenes.iter().filter(move |scene| scene.split == split)
}

/// Of every label, the scenes of the split where it holds.
fn positives(stage: &Stage, split: Split) -> Vec<usize> {
    let mut counts = vec![0; stage.labels.len()];
    for scene in of(stage, split) {
        counts.iter_mut().zip(stage.truths(scene)).for_each(|(n, truth)| *n += usize::from(truth == Truth::Positive));
    }
    counts
}

#[test]
fn a_scene_backwards_has_the_same_frames() {
    let stage = Stage::new(&ASSETS, Size::Small, 3);
    let wardrobe = Wardrobe::new(&ASSETS, &WORLD);
    let mut kinds = BTreeSet::new();
    // Scenes until every motion, every camera and a cut was among them.
    for scene in &stage.scenes {
        let shown = scene.shots.iter().flat_map(|shot| {
            let camera = shot.camera.action().into_iter();
            camera.chain(shot.acts.iter().flat_map(shown)).chain((scene.shots.len() > 1).then_some(Action::Cut))
        });
        if shown.map(|action| kinds.insert(action)).fold(false, |any, new| any | new) {
            let mut backwards = frames(&scene.reversed(), &wardrobe).unwrap();
            backwards.reverse();
            assert!(backwards == frames(scene, &wardrobe).unwrap(), "{scene:?}");
        }
    }
    assert_eq!(kinds, Action::ALL.into_iter().collect(), "all actions are among the scenes");
}

#[test]
fn a_scene_backwards_has_the_opposite_labels() {
    let stage = Stage::new(&ASSETS, Size::Small, 3);
    let holds = |meaning: Meaning, scene: &Scene| truth(&meaning, "", scene, &WORLD);
    for scene in &stage.scenes {
        let backwards = scene.reversed();
        for action in Action::ALL {
            let (now, then) = (Meaning::Does(action), Meaning::Does(action.reversed()));
            assert_eq!(holds(now, scene), holds(then, &backwards), "{action:?}: {scene:?}");
            let concept = scene.actors().next().unwrap().concept;
            let (now, then) = (Meaning::Both(concept, action), Meaning::Both(concept, action.reversed()));
            assert_eq!(holds(now, scene), holds(then, &backwards), "{action:?}: {scene:?}");
        }
    }
}

#[test]
fn either_way_in_time_is_as_frequent() {
    let stage = Stage::new(&ASSETS, Size::Full, 1);
    for split in Split::ALL {
        let mut ways: BTreeMap<Action, usize> = BTreeMap::new();
        for shot in of(&stage, split).flat_map(|scene| &scene.shots) {
            let acts = shot.acts.iter().map(|act| act.motion.action()).chain(shot.camera.action());
            acts.for_each(|action| *ways.entry(action).or_default() += 1);
        }
        for (action, count) in &ways {
            let other = ways[&action.reversed()];
            // Pairs that are reserved for tests are dealt apart.
            assert!(count.abs_diff(other) <= 1 + count / 20, "{split:?}, {action:?}: {count} and {other}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_labels() {
    let lines = |seed| {
        let stage = Stage::new(&ASSETS, Size::Small, seed);
        let line = |scene: &Scene| serde_json::to_string(&stage.example(scene)).unwrap();
        stage.scenes.iter().map(line).collect::<Vec<_>>()
    };
    assert_eq!(lines(5), lines(5));
    assert_ne!(lines(5), lines(6));
}

#[test]
fn synthetic_labels_are_for_what_is_seen_and_are_no_labels_of_the_stage() {
    let stage = Stage::new(&ASSETS, Size::Small, 3);
    let seen = |name: &str| {
        let label = stage.labels.iter().find(|label| label.entry.label.name == name)?;
        label.entry.seen
    };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("synthetic.csv");
    for proposal in ReviewFile::read(&path).unwrap() {
        assert!(proposal.keep);
        assert_eq!(seen(&proposal.labels), Some(true), "{proposal:?}");
        assert_eq!(seen(&proposal.name), None, "{proposal:?}");
    }
}

#[test]
fn training_never_sees_what_is_for_tests() {
    let stage = Stage::new(&ASSETS, Size::Full, 1);
    let reserved = reserved(&WORLD);
    let (mut styles, mut families): (BTreeMap<Split, BTreeSet<_>>, BTreeMap<Split, BTreeSet<Family>>) =
        Default::default();
    for scene in &stage.scenes {
        styles.entry(scene.split).or_default().extend(scene.actors().map(|actor| actor.style));
        families.entry(scene.split).or_default().extend(scene.shots.iter().map(|shot| shot.family));
        if scene.split == Split::Test {
            continue;
        }
        for act in scene.shots.iter().flat_map(|shot| &shot.acts) {
            assert!(shown(act).all(|action| !Action::UNSEEN.contains(&action)), "{act:?}");
            for actor in &act.actors {
                assert_eq!(WORLD.concepts[actor.concept].role, Role::Seen, "{act:?}");
                let pair =
                    |action| reserved.iter().any(|r| r.concept == actor.concept && r.actions().contains(&action));
                assert!(!shown(act).any(pair), "{act:?}");
            }
        }
        for (label, truth) in stage.labels.iter().zip(stage.truths(scene)) {
            assert!(truth != Truth::Positive || label.entry.seen == Some(true), "{:?}", label.entry);
        }
    }
    for (one, other) in [(Split::Train, Split::Val), (Split::Train, Split::Test), (Split::Val, Split::Test)] {
        assert!(styles[&one].is_disjoint(&styles[&other]));
        assert!(families[&one].is_disjoint(&families[&other]));
    }
}

#[test]
fn small_trains_and_tests_every_seen_action() {
    let stage = Stage::new(&ASSETS, Size::Small, 1);
    for split in [Split::Train, Split::Test] {
        for (label, count) in stage.labels.iter().zip(positives(&stage, split)) {
            if matches!(label.meaning, Meaning::Does(_)) && label.entry.seen == Some(true) {
                assert!(count > 0, "{split:?}: {}", label.entry.label.name);
            }
        }
    }
}

#[test]
fn full_tests_every_label_often_enough() {
    let stage = Stage::new(&ASSETS, Size::Full, 1);
    let names: BTreeSet<&str> = stage.labels.iter().map(|label| label.entry.label.name.as_str()).collect();
    assert_eq!(names.len(), stage.labels.len(), "no name is there twice");
    for (label, count) in stage.labels.iter().zip(positives(&stage, Split::Test)) {
        let least = if matches!(label.meaning, Meaning::Both(..)) { 6 } else { 5 };
        assert!(count >= least, "{}: {count}", label.entry.label.name);
    }
    // The same actor does something else, and others do the same.
    for label in &stage.labels {
        let Meaning::Both(concept, action) = label.meaning else { continue };
        let is = |meaning: Meaning, scene: &Scene, wanted| truth(&meaning, "", scene, &WORLD) == wanted;
        let negatives = || of(&stage, Split::Test).filter(|s| is(label.meaning.clone(), s, Truth::Negative));
        let name = &label.entry.label.name;
        let other_motion = negatives().filter(|s| s.actors().any(|actor| actor.concept == concept));
        assert!(other_motion.count() >= 3, "{name}");
        let other_actor = negatives().filter(|s| is(Meaning::Does(action), s, Truth::Positive));
        assert!(other_actor.count() >= 20, "{name}");
    }
}

#[test]
fn scenes_are_as_long_and_as_full_as_they_should_be() {
    let stage = Stage::new(&ASSETS, Size::Full, 2);
    for scene in &stage.scenes {
        assert!((36..=72).contains(&scene.frames()), "{scene:?}");
        for shot in &scene.shots {
            let actors: usize = shot.acts.iter().map(|act| act.actors.len()).sum();
            assert!((1..=4).contains(&actors), "{scene:?}");
            assert!(matches!(shot.camera, Camera::Still) || shot.acts.iter().all(|a| a.motion.kind.bears_camera()));
        }
        let concepts: BTreeSet<usize> = scene.actors().map(|actor| actor.concept).collect();
        assert_eq!(concepts.len(), scene.actors().count(), "nobody is there twice: {scene:?}");
    }
}
