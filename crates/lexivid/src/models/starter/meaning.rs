//! What a label means, as far as WordNet tells: senses, definitions, and what it is a kind of.

use super::wordnet::{Offset, Synset, WordNet};
use crate::label_embedding::Bag;
use std::collections::HashMap;

/// Lexicographer's files of things that can be seen: animals, artifacts, body, food, objects, persons, plants; places, processes and phenomena.
const VISIBLE: [u8; 10] = [5, 6, 8, 13, 15, 17, 18, 19, 20, 27];

/// Of these, what a thing's name means first: animals, artifacts, food, persons, plants.
const LIKELY: [u8; 5] = [5, 6, 13, 18, 20];

/// Words of actions that mean nothing by themselves.
const SMALL: [&str; 22] = [
    "a", "an", "the", "on", "in", "of", "with", "to", "or", "and", "off", "not", "up", "out", "into", "at", "from",
    "through", "down", "by", "for", "someone",
];

/// Words that stand for one thing, at most.
const LONGEST: usize = 3;

/// WordNet's parts that are needed to understand labels.
#[derive(Debug)]
pub(super) struct Dictionary {
    /// Nouns.
    pub nouns: WordNet,
    verbs: WordNet,
    /// Irregular forms of verbs.
    forms: HashMap<String, String>,
}

/// Something that an action's name mentions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mention {
    /// What is done.
    Verb(Offset),
    /// What it is done with.
    Noun(Offset),
}

impl Dictionary {
    /// `exceptions`: the text of `verb.exc`.
    pub fn new(nouns: WordNet, verbs: WordNet, exceptions: &str) -> Self {
        let form = |line: &str| {
            let mut words = line.split_whitespace().map(str::to_owned);
            Some((words.next()?, words.next()?))
        };
        Self { nouns, verbs, forms: exceptions.lines().filter_map(form).collect() }
    }

    /// The synset of a thing's name, in singular or plural: the first sense that is a likely kind, or else one that can be seen, or else the first.
    pub fn thing(&self, name: &str) -> Option<Offset> {
        let mut name = name.to_lowercase();
        if self.nouns.senses(&name).is_empty() {
            name = name.replace('-', " ");
        }
        let singular = |ending: &str, instead: &str| name.strip_suffix(ending).map(|stem| format!("{stem}{instead}"));
        let forms = [
            Some(name.clone()),
            Some(name.replace(' ', "-")),
            singular("s", ""),
            singular("es", ""),
            singular("ies", "y"),
        ];
        let senses = forms.iter().flatten().map(|form| self.nouns.senses(form)).find(|senses| !senses.is_empty())?;
        let is = |offset: &Offset, test: fn(&Synset) -> bool| self.nouns.synset(*offset).is_some_and(test);
        let likely = |offset: &&Offset| is(offset, |s| LIKELY.contains(&s.field) && !s.individual);
        let visible = |offset: &&Offset| is(offset, |s| VISIBLE.contains(&s.field));
        senses.iter().find(likely).or(senses.iter().find(visible)).or(senses.first()).copied()
    }

    /// The words of a thing: its own name, what it is defined by, and what it is a kind of.
    pub fn bag_of_thing(&self, name: &str, synset: Option<Offset>, definition: Option<&str>) -> Bag {
        /// Weights of the synset itself, its hypernyms and theirs.
        const LEVELS: [f32; 3] = [1.0, 0.5, 0.25];
        let mut bag = Bag::default();
        bag.add(name, 1.0);
        bag.add(definition.unwrap_or_default(), 1.0);
        let mut level: Vec<&Synset> = synset.and_then(|offset| self.nouns.synset(offset)).into_iter().collect();
        for weight in LEVELS {
            for synset in &level {
                bag.add(synset.definition(), weight);
                bag.add(&synset.words.join(" "), weight);
            }
            let above = level.iter().flat_map(|synset| &synset.hypernyms);
            level = above.filter_map(|offset| self.nouns.synset(*offset)).collect();
        }
        bag
    }

    /// The base form of a verb.
    fn verb(&self, word: &str) -> Option<String> {
        if let Some(base) = self.forms.get(word) {
            return Some(base.clone());
        }
        let known = |form: &String| !self.verbs.senses(form).is_empty();
        let Some(stem) = word.strip_suffix("ing") else { return Some(word.to_owned()).filter(known) };
        let doubled = match stem.as_bytes() {
            [.., a, b] if a == b => &stem[..stem.len() - 1],
            _ => stem,
        };
        [format!("{stem}e"), stem.into(), doubled.into()].into_iter().find(known)
    }

    /// What an action's name mentions, longest phrases first.
    pub fn mentions(&self, action: &str) -> Vec<Mention> {
        let action = without_remarks(&action.to_lowercase());
        let words: Vec<&str> = action.split_whitespace().collect();
        let mut mentions = Vec::new();
        let mut at = 0;
        while at < words.len() {
            let longest = LONGEST.min(words.len() - at);
            let found = (1..=longest).rev().find_map(|length| Some((length, self.mention(&words[at..at + length])?)));
            let (length, mention) = found.map_or((1, None), |(length, mention)| (length, Some(mention)));
            mentions.extend(mention);
            at += length;
        }
        mentions
    }

    /// What these words mean together.
    fn mention(&self, words: &[&str]) -> Option<Mention> {
        let [first, rest @ ..] = words else { return None };
        if rest.is_empty() && SMALL.contains(first) {
            return None;
        }
        if let Some(base) = first.ends_with("ing").then(|| self.verb(first)).flatten() {
            let phrase = std::iter::once(base.as_str()).chain(rest.iter().copied()).collect::<Vec<_>>().join(" ");
            if let Some(sense) = self.verbs.senses(&phrase).first() {
                return Some(Mention::Verb(*sense));
            }
        }
        let phrase = words.join(" ");
        match rest.is_empty() || !self.nouns.senses(&phrase).is_empty() {
            true => self.thing(&phrase).map(Mention::Noun),
            false => None,
        }
    }

    /// The words of an action: its own, and those by which what it mentions is defined.
    pub fn bag_of_action(&self, name: &str) -> Bag {
        /// Weight of what is mentioned, against the action's own words.
        const MENTIONED: f32 = 0.3;
        /// Of what that is a kind of, level by level.
        const ABOVE: [f32; 3] = [0.18, 0.09, 0.045];
        /// Of a definition there, against names.
        const DEFINITION: f32 = 0.6;
        let mut bag = Bag::default();
        bag.add(name, 1.0);
        for mention in self.mentions(name) {
            let (wordnet, offset) = match mention {
                Mention::Verb(offset) => (&self.verbs, offset),
                Mention::Noun(offset) => (&self.nouns, offset),
            };
            let Some(synset) = wordnet.synset(offset) else { continue };
            bag.add(first_clause(synset.definition()), MENTIONED);
            if mention == Mention::Noun(offset) {
                bag.add(&synset.words.join(" "), MENTIONED);
                let mut level = synset.hypernyms.clone();
                for weight in ABOVE {
                    let synsets: Vec<&Synset> = level.iter().filter_map(|offset| self.nouns.synset(*offset)).collect();
                    for synset in &synsets {
                        bag.add(&synset.words.join(" "), weight);
                        bag.add(synset.definition(), DEFINITION * weight);
                    }
                    level = synsets.iter().flat_map(|synset| synset.hypernyms.clone()).collect();
                }
            }
        }
        bag
    }
}

/// What a definition says first.
pub(super) fn first_clause(definition: &str) -> &str {
    definition.split(';').next().unwrap_or_default().trim()
}

/// Without what stands in brackets.
pub(super) fn without_remarks(name: &str) -> String {
    let mut out = String::new();
    let mut depth = 0_usize;
    for c in name.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            c if depth == 0 => out.push(c),
            _ => {}
        }
    }
    out
}
