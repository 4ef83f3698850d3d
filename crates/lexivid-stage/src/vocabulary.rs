//! Which labels there are, what they mean, and who knows them.

use crate::{
    Role, StageError, World,
    action::Action,
    casting::Reserved,
    concept::{stands_in, words},
    labels::Meaning,
};
use lexivid::{
    dataset::Vocabulary,
    label::{Entry, Kind, Label},
};
use std::collections::BTreeSet;

/// A label of Stage.
#[derive(Debug, Clone, PartialEq)]
pub struct StageLabel {
    /// As it stands in the vocabulary.
    pub entry: Entry,
    /// What it says.
    pub meaning: Meaning,
}

/// Keywords that people would use. Those count that name exactly one actor of Stage, and that one seen.
const KEYWORDS: &[&str] = &[
    "bunny",
    "ape",
    "hippo",
    "terrapin",
    "tortoise",
    "serpent",
    "brontosaurus",
    "dinosaur",
    "bumblebee",
    "buffalo",
    "grizzly",
    "burro",
    "alpaca",
    "mule",
    "dromedary",
    "snout",
    "aubergine",
    "cantaloupe",
    "corn",
    "donut",
    "pasta",
    "martini",
    "dice",
    "rucksack",
    "sneaker",
    "stocking",
    "concertina",
    "sax",
    "van",
    "bike",
    "futbol",
    "matryoshka",
    "pawn",
    "target",
    "tie",
    "torch",
    "hatchet",
    "bolt",
    "moisturizer",
    "couch",
    "amoeba",
    "highway",
    "yacht",
    "wheelchair",
    "stew",
    "oolong",
    "wine",
    "fax",
    "tag",
    "wand",
    "racquet",
    "plumage",
    "amulet",
    "lift",
    "buoy",
    "cutlery",
    "yurt",
    "shinkansen",
    "subway",
    "lumber",
    "jigsaw",
    "spanner",
    "comb",
    "tape",
    "naan",
    "pepperoni",
    "pudding",
    "fries",
    "kiwi",
    "bilberry",
    "citrus",
    "snapdragon",
    "lilac",
    "chapel",
    "stiletto",
    "helmet",
    "fan",
    "needle",
    "umbrella",
    "stoplight",
    "reef",
    "claws",
    "raccoon",
    "wolfhound",
    "antenna",
    "thermometer",
    "bandage",
    "cane",
    "shampoo",
    "towels",
    "sandal",
    "necklace",
    "lantern",
    "projector",
    "mailbox",
    "squeezebox",
    "clover",
    "meatballs",
    "cake",
    "slice",
    "glove",
    "cap",
    "mask",
    "net",
    "swords",
    "billiard",
    "rocket",
    "soda",
    "jug",
    "chef",
    "swimsuit",
    "sledge",
    "dart",
    "puzzle",
    "canteen",
    "kettle",
];

/// What things are, in a few words, and their names. Those count that are seen.
const DEFINITIONS: [(&str, &str); 16] = [
    ("an animal with a very long neck", "giraffe"),
    ("a big grey animal with a trunk", "elephant"),
    ("an animal with a horn on its nose", "rhinoceros"),
    ("a machine that puts pages on paper", "printer"),
    ("a car that takes the sick to hospital", "ambulance"),
    ("a black and white bird that lives on the ice", "penguin"),
    ("a pink bird with long legs", "flamingo"),
    ("dark glasses against bright light", "sunglasses"),
    ("two wheels with pedals", "bicycle"),
    ("a stick with bristles for sweeping", "broom"),
    ("a sea animal that puffs itself up", "blowfish"),
    ("an insect that makes honey", "honeybee"),
    ("a shell with a pearl inside", "oyster"),
    ("rungs to climb up on", "ladder"),
    ("an instrument with strings and a bow", "violin"),
    ("a stick that comes back when thrown", "boomerang"),
];

/// Paraphrases of entities, at most.
const PARAPHRASED: usize = 46;

/// All labels: entities, kinds of things, actions, paraphrases, and unseen pairs of actor and action.
pub fn labels(world: &World, reserved: &[Reserved]) -> Vec<StageLabel> {
    let mut labels = Vec::new();
    let mut add = |name: &str, kind, subset: &str, opposite: Option<String>, meaning| {
        let label = Label { kind: Some(kind), ..Label::new(name) };
        let seen = Some(subset == "seen");
        labels.push(StageLabel { entry: Entry { label, seen, subset: Some(subset.into()), opposite }, meaning });
    };
    let named = |role: Role| match role {
        Role::Seen => Some("seen"),
        Role::U1 => Some("U1"),
        Role::U2 => Some("U2"),
        Role::Known => None,
    };
    for (index, concept) in world.concepts.iter().enumerate() {
        if let Some(subset) = named(concept.role) {
            add(&concept.name.name, Kind::Entity, subset, None, Meaning::Thing(index));
        }
    }
    let seen = || world.concepts.iter().filter(|concept| concept.role == Role::Seen);
    let groups: BTreeSet<&'static str> = seen().flat_map(|concept| concept.groups).copied().collect();
    for group in groups {
        add(group, Kind::Entity, "seen", None, Meaning::Group(group));
    }
    let opposite = |action: Action| (action.reversed() != action).then(|| action.reversed().name().to_owned());
    for action in Action::ALL {
        let subset = if Action::UNSEEN.contains(&action) { "U2" } else { "seen" };
        add(action.name(), Kind::Action, subset, opposite(action), Meaning::Does(action));
    }
    for (text, concept) in paraphrases(world) {
        add(text, Kind::Entity, "P", None, Meaning::Thing(concept));
    }
    for action in Action::ALL {
        for (i, text) in action.paraphrases().iter().enumerate() {
            let opposite = (action.reversed() != action).then(|| action.reversed().paraphrases()[i].to_owned());
            add(text, Kind::Action, "P", opposite, Meaning::Does(action));
        }
    }
    for pair in reserved {
        for action in pair.actions() {
            let name = pair_name(&world.concepts[pair.concept].name.name, action);
            let opposite = (action.reversed() != action)
                .then(|| pair_name(&world.concepts[pair.concept].name.name, action.reversed()));
            add(&name, Kind::Action, "C", opposite, Meaning::Both(pair.concept, action));
        }
    }
    labels
}

/// As data sets write it.
pub fn vocabulary(labels: &[StageLabel]) -> Result<Vocabulary, StageError> {
    Ok(Vocabulary::new(labels.iter().map(|label| label.entry.clone()))?)
}

/// "a fish rotating clockwise".
fn pair_name(thing: &str, action: Action) -> String {
    let article = if thing.starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" };
    format!("{article} {thing} {}", action.name())
}

/// Wordings that mean one seen concept and no other, with that concept.
fn paraphrases(world: &World) -> Vec<(&'static str, usize)> {
    let acts = |role: Role| role != Role::Known;
    let called = |index: usize, text: &[String]| {
        let name = &world.concepts[index].name;
        std::iter::once(&name.name).chain(&name.keywords).any(|phrase| stands_in(text, &words(phrase)))
    };
    let meant = |text: &&'static str| -> Option<(&'static str, usize)> {
        let mut of = (0..world.concepts.len())
            .filter(|&i| acts(world.concepts[i].role) && called(i, &words(text)))
            .collect::<Vec<_>>();
        let one = of.pop().filter(|&i| of.is_empty() && world.concepts[i].role == Role::Seen)?;
        let named = world.concepts.iter().any(|concept| concept.name.name == **text);
        (!named).then_some((*text, one))
    };
    let seen =
        |name: &str| world.concepts.iter().position(|concept| concept.name.name == name && concept.role == Role::Seen);
    let definitions = DEFINITIONS.iter().filter_map(|(text, name)| Some((*text, seen(name)?)));
    let mut used = BTreeSet::new();
    definitions
        .chain(KEYWORDS.iter().filter_map(meant).filter(|(_, concept)| used.insert(*concept)))
        .take(PARAPHRASED)
        .collect()
}
