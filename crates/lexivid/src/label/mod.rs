//! Labels as users give them.

mod error;
mod list;
mod parse;
mod prompt;

pub use error::LabelError;
pub use list::LabelList;
pub use prompt::prompts;

/// Whether a label names a thing or something that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A thing: "dog", "guitar".
    Entity,
    /// Something that happens: "riding a bike".
    Action,
}

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
    /// A label that is only a name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), kind: None, definition: None, synonyms: Vec::new(), threshold: None }
    }
}
