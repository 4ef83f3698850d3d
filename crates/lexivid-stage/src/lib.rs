//! Stage: a small world in which claims about open-vocabulary multi-label video classification can be tested, by anyone, in
//! minutes. A controlled synthetic benchmark, and no more than that.
//!
//! Actors are emoji as several makers draw them; they move before generated backgrounds. What they are called, which words are
//! known to whom, and which pictures nobody has seen before is known exactly.
//!
//! ```text
//! assets ─▶ concepts (roles, captions) ─▶ pictures                       for pretraining a CLIP
//!           backdrop, sprite           ─┘
//!           motion, action ─▶ casting ─▶ scenes ─▶ render ─▶ film ─▶ dataset
//!                                               └▶ labels, vocabulary ─┘
//! ```

pub mod action;
pub mod assets;
pub mod backdrop;
pub mod bench;
mod casting;
mod concept;
mod dataset;
mod error;
mod film;
pub mod labels;
pub mod method;
pub mod motion;
mod pictures;
mod random;
pub mod render;
pub mod scene;
pub mod sprite;
mod vocabulary;

pub use assets::{Assets, Style};
pub use casting::{Reserved, reserved, scenes};
pub use concept::{Concept, Role, World};
pub use dataset::{LabelsSummary, Size, SplitSummary, Stage, Summary};
pub use error::StageError;
pub use pictures::SpritePictures;
pub use vocabulary::StageLabel;
