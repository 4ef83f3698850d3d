use super::Label;

/// One row of a labels file: a label, and what only data sets say of it.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Entry {
    /// The label.
    #[serde(flatten)]
    pub label: Label,
    /// Whether the label, or a synonym of it, was trained on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<bool>,
    /// The part of the vocabulary that it belongs to, by whatever name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subset: Option<String>,
    /// Name of the label that is this one reversed in time: "moving right" of "moving left".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opposite: Option<String>,
}

impl From<Label> for Entry {
    fn from(label: Label) -> Self {
        Self { label, seen: None, subset: None, opposite: None }
    }
}
