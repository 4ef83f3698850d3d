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
/// Of the concepts that could be [`Role::U2`], one in so many is.
const SECRET: usize = 6;
/// Of so many of the others that can be actors ...
const ROUND: usize = 10;
/// ... so many are [`Role::Seen`] and [`Role::U1`]; the rest is [`Role::Known`].
const SEEN: usize = 5;
const U1: usize = 2;

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

/// Subgroups of scenes and of things that differ in a colour or a sign: known, but no actors.
const SCENES: [&str; 11] = [
    "sky-weather",
    "mail",
    "place-other",
    "place-map",
    "place-geographic",
    "place-building",
    "place-religious",
    "hotel",
    "money",
    "event",
    "award-medal",
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

        let words: Vec<Vec<String>> = names.iter().map(|name| words(&name.name)).collect();
        let roles = roles(&names, &words);
        let secret: Vec<&[String]> =
            (0..names.len()).filter(|&i| roles[i] == Role::U2).map(|i| &words[i][..]).collect();

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
                        && !secret.iter().any(|secret| stands_in(secret, &self::words(k)))
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

/// One role a name. Concepts whose names contain one another, or that are called as a group is, look or sound alike: they are no
/// actors. What nobody may know of shares not even its last word with another: a second banknote is not unknown.
fn roles(names: &[Name], words: &[Vec<String>]) -> Vec<Role> {
    let others = |i: usize| words.iter().enumerate().filter(move |(j, _)| *j != i).map(|(_, other)| other);
    let is_group = |name: &str| GROUPS.iter().any(|(_, groups)| groups.contains(&name));
    let can_act = |i: usize| {
        !SCENES.contains(&names[i].subgroup.as_str())
            && !is_group(&names[i].name)
            && !names[i].name.ends_with(" suit")
            && !others(i).any(|other| stands_in(&words[i], other) || stands_in(other, &words[i]))
    };
    let actors: Vec<usize> = (0..names.len()).filter(|&i| can_act(i)).collect();
    // Roles go round within subgroups, in an order that means nothing.
    let order = |mut of: Vec<usize>| {
        of.sort_by_key(|&i| (&names[i].subgroup, Sha256::digest(format!("role {}", names[i].id)).to_vec()));
        of
    };
    let mut roles = vec![Role::Known; names.len()];
    let alone = |i: &usize| !others(*i).any(|other| other.last() == words[*i].last());
    for i in order(actors.iter().copied().filter(alone).collect()).into_iter().step_by(SECRET) {
        roles[i] = Role::U2;
    }
    let rest = order(actors.into_iter().filter(|&i| roles[i] != Role::U2).collect());
    for (place, i) in rest.into_iter().enumerate() {
        roles[i] = match place % ROUND {
            at if at < SEEN => Role::Seen,
            at if at < SEEN + U1 => Role::U1,
            _ => Role::Known,
        };
    }
    roles
}

/// The words of a phrase, plurals without their s.
pub fn words(phrase: &str) -> Vec<String> {
    let singular = |word: &str| match word.strip_suffix("ies").map(|stem| format!("{stem}y")) {
        Some(word) => word,
        None if word.len() > 3 && !word.ends_with("ss") => word.strip_suffix('s').unwrap_or(word).to_owned(),
        None => word.to_owned(),
    };
    phrase.split([' ', '-']).map(singular).collect()
}

/// Whether the words of `phrase` stand in `text`, one after the other.
pub fn stands_in(phrase: &[String], text: &[String]) -> bool {
    text.windows(phrase.len()).any(|words| words == phrase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_whatever_their_number() {
        assert!(stands_in(&words("star"), &words("night with stars")));
        assert!(stands_in(&words("hot-dog"), &words("two hot dogs")));
        assert!(stands_in(&words("cherry"), &words("cherries")));
        assert!(!stands_in(&words("cat"), &words("cathedral")));
        assert!(!stands_in(&words("glass"), &words("gla")));
    }
}
