//! Labels as users give them.

mod entry;
mod error;
mod list;
mod parse;
mod prompt;

pub use entry::Entry;
pub use error::LabelError;
pub use list::{LabelList, tidy_name};
pub use prompt::{described, ensemble, prompts};

/// Whether a label names a thing or something that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A thing: "dog", "guitar".
    Entity,
    /// Something that happens: "riding a bike".
    Action,
}

/// Things whose names end as verbs do.
const NOUNS_IN_ING: [&str; 21] = [
    "awning",
    "being",
    "building",
    "bunting",
    "ceiling",
    "clothing",
    "dumpling",
    "duckling",
    "earring",
    "evening",
    "frosting",
    "herring",
    "icing",
    "lightning",
    "morning",
    "painting",
    "pudding",
    "railing",
    "shilling",
    "starling",
    "wedding",
];

/// One label of the user's vocabulary.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Label {
    /// The label's name, as shown.
    pub name: String,
    /// Thing or action, when the user said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// What the user means by it, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<String>,
    /// Other names of the same thing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub synonyms: Vec<String>,
    /// Probability from which on this label counts as present; `None`: the run's global threshold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f32>,
}

impl Label {
    /// What the user said, else a guess from the name: a first word in -ing names an action ("riding a bike"), unless it
    /// is a noun that only looks like one ("ceiling", "wedding dress"). `None`: the name does not tell.
    pub fn likely_kind(&self) -> Option<Kind> {
        let first = self.name.split_whitespace().next().unwrap_or_default().to_lowercase();
        // Shorter stems have no vowel to be a verb with: "king", "ring", "string".
        let stem = first.strip_suffix("ing").filter(|stem| stem.contains(['a', 'e', 'i', 'o', 'u', 'y']));
        let guess = stem.filter(|_| !NOUNS_IN_ING.contains(&first.as_str())).map(|_| Kind::Action);
        self.kind.or(guess)
    }

    /// A label that is only a name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), kind: None, definition: None, synonyms: Vec::new(), threshold: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_word_in_ing_is_an_action_unless_it_is_a_noun() {
        for name in ["riding a bike", "Skiing", "tying shoes", "unpacking a box"] {
            assert_eq!(Label::new(name).likely_kind(), Some(Kind::Action), "{name}");
        }
        for name in
            ["dog", "wedding dress", "king", "string quartet", "building", "ing", "boiled egg", "", "man riding"]
        {
            assert_eq!(Label::new(name).likely_kind(), None, "{name}");
        }
        let said = Label { kind: Some(Kind::Entity), ..Label::new("riding boots") };
        assert_eq!(said.likely_kind(), Some(Kind::Entity));
    }
}
