//! Label -> label embedding, f_t(l): the text side.

mod bag_of_words;
mod calibration;
mod database;
pub mod kernel_regression;
mod label_encoder;
mod prompts;
mod text_transformer;
mod tokenizer;

pub use bag_of_words::{Bag, BagKernel, Frequencies, stems};
pub use calibration::Calibration;
pub use database::{
    Added, DatabaseError, Embedded, EmbeddedWith, LabelDatabase, Renamed, StoredLabel, VocabularySummary,
};
pub use label_encoder::{LabelEncoder, LabelEncoderConfig, SpecialTokens};
pub use prompts::Prompts;
pub use text_transformer::{TextConfig, TextOutput, TextPooling, TextTransformer};
pub use tokenizer::{Tokenizer, TokenizerError, Tokens};

/// f_t(l) and what is known about it.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct LabelEmbedding {
    /// `[D]`, L2-normalised, in the model's joint space; shorter where the model is less sure of it.
    pub vector: Vec<f32>,
    /// How this label's similarities become probabilities. Depends on the label and the model only, never on which
    /// other labels are asked for.
    pub calibration: Calibration,
    /// Where the embedding comes from.
    pub origin: Origin,
}

/// How far a label's probabilities can be trusted.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case", tag = "confidence")]
pub enum Confidence {
    /// As far as the model's in general.
    Usual,
    /// Less.
    Low {
        /// Why, in a sentence's part.
        reason: String,
    },
}

/// Where a label's embedding comes from; shown to the user as the reason to trust it or not.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case", tag = "from")]
pub enum Origin {
    /// The text tower of a vision-language model.
    TextTower,
    /// The label is (a hypernym of) classes that the image tower was trained on.
    KnownClass {
        /// The class, or the hypernym.
        class: String,
    },
    /// Inferred from the text alone, by regression from known classes.
    Inferred {
        /// The known class that is nearest in text space.
        nearest: String,
        /// Cosine similarity to it in text space.
        similarity: f32,
    },
}
