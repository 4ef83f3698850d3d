//! Who does what, where and before what: scenes out of chance.
//!
//! Everything is dealt from decks, so that no label is forgotten. Ways in time come from decks of both, so that a scene is as
//! likely as the same scene backwards: what a single frame shows is equally often of either.

use crate::{
    Assets, Role, World,
    action::Action,
    motion::{Axis, Kind, Motion, Region},
    random::Random,
    scene::{Act, Actor, Camera, RATE, SIDE, Scene, Shot, Split},
};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// An actor and a motion that are never seen together in training, whichever way in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reserved {
    /// Its index in [`World::concepts`].
    pub concept: usize,
    /// What it does in tests only.
    pub kind: Kind,
}

impl Reserved {
    /// The labels that the motion has.
    pub fn actions(&self) -> Vec<Action> {
        let mut actions = vec![self.kind.action(false), self.kind.action(true)];
        actions.dedup();
        actions
    }
}

/// Motions of one actor that have another name backwards; each is reserved with [`PAIRS_EACH`] actors.
const DIRECTED: [Kind; 5] =
    [Kind::Moving(Axis::Horizontal), Kind::Moving(Axis::Vertical), Kind::Rotating, Kind::Growing, Kind::Fading];
/// Those that have not; each is reserved with [`SINGLES_EACH`].
const UNDIRECTED: [Kind; 6] =
    [Kind::Bouncing, Kind::Shaking, Kind::Orbiting, Kind::Blinking, Kind::Flipping, Kind::Still];
/// Things that have no number: "a garlic bouncing" is no English.
const UNCOUNTED: [&str; 16] = [
    "garlic",
    "sushi",
    "fondue",
    "popcorn",
    "spaghetti",
    "oden",
    "coral",
    "soap",
    "butter",
    "yarn",
    "salt",
    "sake",
    "corn",
    "bacon",
    "broccoli",
    "ginger",
];
const PAIRS_EACH: usize = 4;
const SINGLES_EACH: usize = 2;

/// Which pairs are reserved for tests, the same for every seed.
pub fn reserved(world: &World) -> Vec<Reserved> {
    let countable = |name: &str| !name.ends_with('s') && !name.contains([' ', '-']) && !UNCOUNTED.contains(&name);
    let mut actors: Vec<usize> = (0..world.concepts.len())
        .filter(|&i| world.concepts[i].role == Role::Seen && countable(&world.concepts[i].name.name))
        .collect();
    actors.sort_by_key(|&i| Sha256::digest(format!("pair {}", world.concepts[i].name.id)).to_vec());
    let directed = DIRECTED.iter().flat_map(|kind| [kind; PAIRS_EACH]);
    let undirected = UNDIRECTED.iter().flat_map(|kind| [kind; SINGLES_EACH]);
    directed.chain(undirected).zip(actors).map(|(kind, concept)| Reserved { concept, kind: *kind }).collect()
}

/// Pixels that an actor in place measures at least.
const SMALLEST: f32 = 36.0;

/// The scenes of one split, the same for the same seed.
pub fn scenes(
    world: &World,
    assets: &Assets,
    reserved: &[Reserved],
    split: Split,
    count: usize,
    seed: u64,
) -> Vec<Scene> {
    let mut casting = Casting::new(world, assets, reserved, split, seed);
    (0..count).map(|number| casting.scene(number)).collect()
}

/// Cards in an order that chance decides, shuffled anew when they run out.
struct Deck<T> {
    cards: Vec<T>,
    left: Vec<T>,
}

impl<T: Clone> Deck<T> {
    fn new(cards: Vec<T>) -> Self {
        Self { cards, left: Vec::new() }
    }

    /// The next card that fits; `None` if there is none among all.
    fn draw(&mut self, random: &mut Random, fits: impl Fn(&T) -> bool) -> Option<T> {
        if !self.cards.iter().any(&fits) {
            return None;
        }
        loop {
            if let Some(place) = self.left.iter().rposition(&fits) {
                return Some(self.left.remove(place));
            }
            let mut fresh = self.cards.clone();
            random.shuffle(&mut fresh);
            // Beneath those that are left, which wait for their turn.
            fresh.append(&mut self.left);
            self.left = fresh;
        }
    }
}

/// What a video is built like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plan {
    /// One act in the whole frame.
    One,
    /// Two bands with an act or two in each.
    Bands,
    /// The camera goes along.
    Pan,
    /// The camera closes in.
    Zoom,
    /// Two shots.
    Cut,
}

/// Who is to be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    One(Role),
    Reserved,
}

/// An act that has no place yet.
struct Cue {
    kind: Kind,
    backwards: bool,
    actors: Vec<Actor>,
}

struct Casting<'a> {
    world: &'a World,
    assets: &'a Assets,
    reserved: &'a [Reserved],
    split: Split,
    random: Random,
    plans: Deck<Plan>,
    motions: Deck<Kind>,
    calls: Deck<Call>,
    roles: BTreeMap<Role, Deck<usize>>,
    /// A card for every label: with the way in time, where that has a name.
    pairs: Deck<(Reserved, Option<bool>)>,
    /// One for every kind of motion; those of the camera by what they are forwards.
    ways: BTreeMap<Action, Deck<bool>>,
}

impl<'a> Casting<'a> {
    fn new(world: &'a World, assets: &'a Assets, reserved: &'a [Reserved], split: Split, seed: u64) -> Self {
        let times = |count: usize, plan: Plan| std::iter::repeat_n(plan, count);
        let plans = [(5, Plan::One), (9, Plan::Bands), (2, Plan::Pan), (2, Plan::Zoom), (2, Plan::Cut)];
        let of_role = |role: Role| {
            let is = |i: &usize| world.concepts[*i].role == role;
            (role, Deck::new((0..world.concepts.len()).filter(is).collect()))
        };
        let ways = |pair: &Reserved| match pair.actions().len() {
            1 => vec![(*pair, None)],
            _ => vec![(*pair, Some(false)), (*pair, Some(true))],
        };
        let pairs = reserved.iter().flat_map(ways).collect();
        let calls = match split {
            Split::Train | Split::Val => vec![Call::One(Role::Seen)],
            Split::Test => {
                let share = [
                    (45, Call::One(Role::Seen)),
                    (22, Call::One(Role::U1)),
                    (18, Call::One(Role::U2)),
                    (15, Call::Reserved),
                ];
                share.into_iter().flat_map(|(count, call)| std::iter::repeat_n(call, count)).collect()
            }
        };
        Self {
            world,
            assets,
            reserved,
            split,
            random: Random::new(seed, split.name(), 0),
            plans: Deck::new(plans.into_iter().flat_map(|(count, plan)| times(count, plan)).collect()),
            motions: Deck::new(motions(split)),
            calls: Deck::new(calls),
            roles: [Role::Seen, Role::U1, Role::U2].into_iter().map(of_role).collect(),
            pairs: Deck::new(pairs),
            ways: BTreeMap::new(),
        }
    }

    fn scene(&mut self, number: usize) -> Scene {
        let plan = self.plans.draw(&mut self.random, |_| true).unwrap_or(Plan::One);
        let mut present = BTreeSet::new();
        let shots = match plan {
            Plan::Cut => {
                let frames = 54 + self.random.below(19);
                let first = frames * (40 + self.random.below(21)) / 100;
                [first, frames - first]
                    .map(|frames| {
                        let plan = if self.random.chance(0.6) { Plan::One } else { Plan::Bands };
                        self.shot(plan, frames, &mut present)
                    })
                    .to_vec()
            }
            plan => vec![{
                let frames = 36 + self.random.below(37);
                self.shot(plan, frames, &mut present)
            }],
        };
        Scene { split: self.split, number, shots }
    }

    fn shot(&mut self, plan: Plan, frames: usize, present: &mut BTreeSet<usize>) -> Shot {
        let camera = match plan {
            Plan::Pan => {
                let backwards = self.backwards(Action::PanningRight);
                Camera::Pan { reach: self.random.between(44.0, 56.0), backwards }
            }
            Plan::Zoom => {
                let backwards = self.backwards(Action::ZoomingIn);
                Camera::Zoom { factor: self.random.between(1.55, 1.7), backwards }
            }
            _ => Camera::Still,
        };
        let side = SIDE as f32;
        let whole = Region { x: 0.0, y: 0.0, width: side, height: side, smallest: SMALLEST };
        let acts = match camera {
            Camera::Pan { reach, .. } => {
                // What is in the frame all the time.
                let always = Region { x: reach, width: side - reach, ..whole };
                let halves = [0.0, 1.0].map(|i| Region { y: i * side / 2.0, height: side / 2.0, ..always });
                let regions = if self.random.chance(0.5) { &halves[..] } else { &[always] };
                regions.iter().filter_map(|region| self.before_camera(*region, frames, present)).collect()
            }
            Camera::Zoom { factor, .. } => {
                let corner = side * (factor - 1.0) / 2.0;
                // Where it looks smallest, it is no smaller than others are.
                let always = Region { x: corner, y: corner, smallest: 0.95 * SMALLEST * factor, ..whole };
                self.before_camera(always, frames, present).into_iter().collect()
            }
            Camera::Still if plan == Plan::Bands => self.bands(frames, present),
            Camera::Still => {
                let cue = self.cue(|_| true, true, present);
                cue.map(|cue| self.block(cue, whole, frames)).into_iter().collect()
            }
        };
        Shot {
            frames,
            family: *self.random.choose(self.split.families()),
            backdrop: self.random.below(1 << 30) as u64,
            camera,
            acts,
        }
    }

    fn before_camera(&mut self, region: Region, frames: usize, present: &mut BTreeSet<usize>) -> Option<Act> {
        let cue = self.cue(|kind| kind.bears_camera(), false, present)?;
        Some(self.block(cue, region, frames))
    }

    /// Two bands across or along the frame, with an act or two in each.
    fn bands(&mut self, frames: usize, present: &mut BTreeSet<usize>) -> Vec<Act> {
        // The first motion that needs an axis decides how the frame is divided.
        let mut axis = None;
        let mut bands: Vec<Vec<Cue>> = Vec::new();
        for _ in 0..2 {
            let fits = |kind: Kind| axis.is_none() || kind.axis().is_none() || kind.axis() == axis;
            let Some(first) = self.cue(fits, true, present) else { continue };
            axis = axis.or(first.kind.axis());
            let alone = first.kind.axis().is_some() || self.random.chance(0.5);
            let mut band = vec![first];
            if !alone {
                band.extend(self.cue(|kind| kind.axis().is_none(), true, present));
            }
            bands.push(band);
        }
        let axis = axis.unwrap_or(*self.random.choose(&[Axis::Horizontal, Axis::Vertical]));
        self.random.shuffle(&mut bands);
        let half = SIDE as f32 / 2.0;
        let mut acts = Vec::new();
        for (i, band) in bands.into_iter().enumerate() {
            let shared = band.len() > 1;
            for (j, cue) in band.into_iter().enumerate() {
                let (across, along) = (i as f32 * half, j as f32 * half);
                let length = if shared { half } else { 2.0 * half };
                let region = match axis {
                    Axis::Horizontal => Region { x: along, y: across, width: length, height: half, smallest: SMALLEST },
                    Axis::Vertical => Region { x: across, y: along, width: half, height: length, smallest: SMALLEST },
                };
                acts.push(self.block(cue, region, frames));
            }
        }
        acts
    }

    /// A motion that `fits`, and who does it; nobody who is `present` already, and a reserved pair only with `pairs`.
    fn cue(&mut self, fits: impl Fn(Kind) -> bool, pairs: bool, present: &mut BTreeSet<usize>) -> Option<Cue> {
        let pair_fits =
            |(pair, _): &(Reserved, Option<bool>)| pairs && fits(pair.kind) && !present.contains(&pair.concept);
        let any_pair = self.pairs.cards.iter().any(pair_fits);
        let call = self.calls.draw(&mut self.random, |call| any_pair || *call != Call::Reserved)?;
        let Call::One(role) = call else {
            let (Reserved { concept, kind }, backwards) = self.pairs.draw(&mut self.random, pair_fits)?;
            present.insert(concept);
            let backwards = backwards.unwrap_or_else(|| self.backwards(kind.action(false)));
            return Some(Cue { kind, backwards, actors: vec![self.actor(concept)] });
        };
        let kind = self.motions.draw(&mut self.random, |kind| fits(*kind))?;
        let mut actors = vec![self.cast(role, kind, present)?];
        if kind.actors() == 2 {
            let call = self.calls.draw(&mut self.random, |call| *call != Call::Reserved);
            let Some(Call::One(role)) = call else { return None };
            actors.push(self.cast(role, kind, present)?);
        }
        Some(Cue { kind, backwards: self.backwards(kind.action(false)), actors })
    }

    /// An actor of `role` who may do this.
    fn cast(&mut self, role: Role, kind: Kind, present: &mut BTreeSet<usize>) -> Option<Actor> {
        let also = match kind {
            Kind::Chasing(axis) => Kind::Moving(axis),
            kind => kind,
        };
        let (reserved, learning) = (self.reserved, self.split != Split::Test);
        let kept = |concept: usize| learning && reserved.contains(&Reserved { concept, kind: also });
        let fits = |concept: &usize| !present.contains(concept) && !kept(*concept);
        let concept = self.roles.get_mut(&role)?.draw(&mut self.random, fits)?;
        present.insert(concept);
        Some(self.actor(concept))
    }

    fn actor(&mut self, concept: usize) -> Actor {
        let name = &self.world.concepts[concept].name;
        let styles: Vec<_> = self.split.styles().into_iter().filter(|style| self.assets.has(*style, name)).collect();
        Actor { concept, style: *self.random.choose(&styles), mirrored: self.random.chance(0.5) }
    }

    fn block(&mut self, cue: Cue, region: Region, frames: usize) -> Act {
        let seconds = frames as f32 / RATE as f32;
        let motion = Motion::new(cue.kind, cue.backwards, region, seconds, &mut self.random);
        Act { motion, actors: cue.actors }
    }

    fn backwards(&mut self, forwards: Action) -> bool {
        let both = self.ways.entry(forwards).or_insert_with(|| Deck::new(vec![false, true]));
        both.draw(&mut self.random, |_| true).unwrap_or_default()
    }
}

/// Every label's motion equally often.
fn motions(split: Split) -> Vec<Kind> {
    use Axis::*;
    let mut motions: Vec<Kind> = DIRECTED.into_iter().flat_map(|kind| [kind; 2]).collect();
    motions.extend([Kind::Bouncing, Kind::Shaking, Kind::Orbiting, Kind::Blinking, Kind::Flipping, Kind::Still]);
    // Each on either axis; the others above are there twice for it.
    motions.extend([Kind::Zigzagging, Kind::Chasing, Kind::Colliding, Kind::Swapping].map(|kind| kind(Horizontal)));
    let mut all = motions.clone();
    all.extend(motions.into_iter().map(|kind| match kind {
        Kind::Zigzagging(_) => Kind::Zigzagging(Vertical),
        Kind::Chasing(_) => Kind::Chasing(Vertical),
        Kind::Colliding(_) => Kind::Colliding(Vertical),
        Kind::Swapping(_) => Kind::Swapping(Vertical),
        same => same,
    }));
    if split == Split::Test {
        all.extend([Kind::Approaching(Horizontal), Kind::Approaching(Vertical), Kind::Swinging]);
        all.extend([Kind::Approaching(Horizontal), Kind::Approaching(Vertical), Kind::Swinging]);
    }
    all
}
