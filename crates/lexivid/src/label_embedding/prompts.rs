use serde::{Deserialize, Serialize};

/// How the text encoder embeds a label by itself, plain(l).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, tag = "kind")]
pub enum Prompts {
    /// The model's own way: for CLIP one sentence a name, [`crate::label::prompts`].
    #[default]
    Template,
    /// A baseline: CLIP's own templates, [`crate::label::ensemble`].
    Ensemble,
    /// A baseline: attributes that a language model writes, [`crate::label::described`].
    Attributes {
        /// The language model: a GGUF file, a directory in Hugging Face's layout, or the name of a model that brings one ("starter").
        #[serde(default = "starter")]
        language_model: String,
    },
}

fn starter() -> String {
    "starter".into()
}

impl Prompts {
    /// Whether they are the model's own.
    pub fn are_own(&self) -> bool {
        *self == Prompts::Template
    }
}
