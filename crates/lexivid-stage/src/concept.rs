//! What there is on Stage, what it is called, and who knows of it.

use crate::{Assets, Style, assets::Name};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashMap};

/// Who has seen a concept before the test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Known to the pretrained model; in training videos, with its labels.
    #[serde(rename = "seen")]
    Seen,
    /// Known to the pretrained model; in no training video.
    U1,
    /// Known to nobody: neither picture nor name in pretraining, and in no training video.
    U2,
    /// Known to the pretrained model; never on Stage.
    #[serde(rename = "known")]
    Known,
}

/// A thing that can be an actor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concept {
    /// Where its pictures are found.
    pub name: Name,
    /// Who knows it.
    pub role: Role,
    /// Keywords that few other concepts share.
    pub keywords: Vec<String>,
    /// What kinds of things it belongs to: "animal", "bird".
    pub groups: &'static [&'static str],
}

impl Concept {
    /// Whether `phrase` names it: its name, a keyword or a group.
    pub fn is(&self, phrase: &str) -> bool {
        self.name.name == phrase || self.groups.contains(&phrase) || self.keywords.iter().any(|k| k == phrase)
    }

    /// All phrases that name it, its name first.
    pub fn phrases(&self) -> impl Iterator<Item = &str> {
        let keywords = self.keywords.iter().map(String::as_str);
        std::iter::once(self.name.name.as_str()).chain(keywords).chain(self.groups.iter().copied())
    }
}

/// All concepts, in Unicode's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct World {
    /// Each once.
    pub concepts: Vec<Concept>,
}

/// A keyword that more concepts share than this does not name them.
const SHARED: usize = 3;
/// Of this many concepts in a row ...
const ROUND: usize = 40;
/// ... so many have each role; the rest is [`Role::Known`].
const ROLES: [(Role, usize); 3] = [(Role::Seen, 10), (Role::U1, 4), (Role::U2, 3)];

/// Unicode's subgroups, and the kinds of things that they hold.
const GROUPS: [(&str, &[&str]); 35] = [
    ("animal-mammal", &["animal", "mammal"]),
    ("animal-bird", &["animal", "bird"]),
    ("animal-amphibian", &["animal"]),
    ("animal-reptile", &["animal", "reptile"]),
    ("animal-marine", &["animal", "sea animal"]),
    ("animal-bug", &["animal", "insect"]),
    ("plant-flower", &["plant", "flower"]),
    ("plant-other", &["plant"]),
    ("food-fruit", &["food", "fruit"]),
    ("food-vegetable", &["food", "vegetable"]),
    ("food-prepared", &["food", "meal"]),
    ("food-asian", &["food", "asian food"]),
    ("food-sweet", &["food", "dessert"]),
    ("drink", &["drink"]),
    ("dishware", &["tableware"]),
    ("place-geographic", &["landscape"]),
    ("place-building", &["building"]),
    ("place-religious", &["building"]),
    ("place-other", &["place"]),
    ("transport-ground", &["vehicle", "road vehicle"]),
    ("transport-water", &["vehicle", "boat"]),
    ("transport-air", &["vehicle", "aircraft"]),
    ("event", &["celebration"]),
    ("sport", &["sports equipment"]),
    ("game", &["game"]),
    ("arts-crafts", &["art"]),
    ("clothing", &["clothing"]),
    ("musical-instrument", &["musical instrument"]),
    ("computer", &["electronic device"]),
    ("phone", &["electronic device"]),
    ("light-video", &["electronic device"]),
    ("book-paper", &["paper"]),
    ("writing", &["stationery"]),
    ("office", &["stationery"]),
    ("tool", &["tool"]),
];

/// Further subgroups whose members are single things, too diverse to have a name of their own.
const NAMELESS: [&str; 12] = [
    "sky-weather",
    "award-medal",
    "sound",
    "money",
    "mail",
    "lock",
    "science",
    "medical",
    "household",
    "other-object",
    "hotel",
    "place-map",
];

/// Parts of subgroups above that do not belong there.
const MISPLACED: [&str; 14] = [
    "paw prints",
    "spider web",
    "egg",
    "cooking",
    "salt",
    "motorway",
    "railway track",
    "oil drum",
    "fuel pump",
    "police car light",
    "horizontal traffic light",
    "vertical traffic light",
    "stop sign",
    "construction",
];

impl World {
    /// Chooses from what the assets have: single things of a kind, each once, that all makers who matter have drawn.
    pub fn new(assets: &Assets) -> Self {
        let named: BTreeSet<&str> = assets.names.iter().map(|n| n.name.as_str()).collect();
        let drawn = |name: &Name| [Style::Fluent, Style::VALIDATION, Style::TEST].iter().all(|s| assets.has(*s, name));
        let twice = |name: &str| {
            // "dog face" beside "dog", "sun with face" beside "sun", phases of the moon.
            name.strip_suffix(" face").is_some_and(|whole| named.contains(whole))
                || name.contains(" with face")
                || name.contains(" moon face")
                || (name.contains("moon") && !["full moon", "crescent moon"].contains(&name))
        };
        let belongs = |name: &Name| {
            let subgroup = name.subgroup.as_str();
            GROUPS.iter().any(|(of, _)| *of == subgroup) || NAMELESS.contains(&subgroup)
        };
        let mut names: Vec<Name> = assets.names.clone();
        names.retain(|name| belongs(name) && drawn(name) && !twice(&name.name));

        // Roles go round within subgroups, in an order that means nothing.
        let chance = |name: &Name| Sha256::digest(format!("role {}", name.id)).to_vec();
        let mut order: Vec<usize> = (0..names.len()).collect();
        order.sort_by_key(|&i| (names[i].subgroup.clone(), chance(&names[i])));
        let mut roles = vec![Role::Known; names.len()];
        for (place, &i) in order.iter().enumerate() {
            roles[i] = role(place % ROUND);
        }
        let secret: Vec<&str> =
            (0..names.len()).filter(|&i| roles[i] == Role::U2).map(|i| names[i].name.as_str()).collect();

        let mut sharing: HashMap<&str, usize> = HashMap::new();
        for keyword in names.iter().flat_map(|name| &name.keywords) {
            *sharing.entry(keyword).or_default() += 1;
        }
        let is_word = |k: &str| k.len() > 2 && k.chars().all(|c| c.is_ascii_lowercase() || c == ' ' || c == '-');
        let of_group = |k: &str| GROUPS.iter().any(|(_, groups)| groups.contains(&k));
        let keywords: Vec<Vec<String>> = names
            .iter()
            .map(|name| {
                let keep = |k: &&String| {
                    is_word(k)
                        && sharing[k.as_str()] <= SHARED
                        && !of_group(k)
                        && !named.contains(k.as_str())
                        && !secret.iter().any(|secret| mentions(k, secret))
                };
                name.keywords.iter().filter(keep).cloned().collect()
            })
            .collect();
        let concepts = names.into_iter().zip(roles).zip(keywords).map(|((name, role), keywords)| {
            let misplaced = MISPLACED.contains(&name.name.as_str());
            let groups = GROUPS.iter().find(|(of, _)| *of == name.subgroup && !misplaced).map_or(&[][..], |(_, g)| *g);
            Concept { name, role, keywords, groups }
        });
        Self { concepts: concepts.collect() }
    }

    /// Concepts that a pretrained model may know.
    pub fn known(&self) -> Vec<&Concept> {
        self.concepts.iter().filter(|concept| concept.role != Role::U2).collect()
    }
}

fn role(place: usize) -> Role {
    let mut before = 0;
    for (role, count) in ROLES {
        before += count;
        if place < before {
            return role;
        }
    }
    Role::Known
}

/// Whether the words of `phrase` stand in `text`, one after the other.
pub fn mentions(text: &str, phrase: &str) -> bool {
    let text: Vec<&str> = text.split([' ', '-']).collect();
    let phrase: Vec<&str> = phrase.split([' ', '-']).collect();
    text.windows(phrase.len()).any(|words| words == phrase)
}
