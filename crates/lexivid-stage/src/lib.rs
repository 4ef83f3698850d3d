//! Stage: a small world in which claims about open-vocabulary multi-label video classification can be tested, by anyone, in
//! minutes. A controlled synthetic benchmark, and no more than that.
//!
//! Actors are emoji as several makers draw them; they move before generated backgrounds. What they are called, which words are
//! known to whom, and which pictures nobody has seen before is known exactly.
//!
//! ```text
//! assets ─▶ concepts (roles, captions) ─▶ pictures            for pretraining a CLIP
//!           backdrop, sprite           ─┘
//! ```

pub mod assets;
pub mod backdrop;
mod concept;
mod error;
mod pictures;
mod random;
pub mod sprite;

pub use assets::{Assets, Style};
pub use concept::{Concept, Role, World};
pub use error::StageError;
pub use pictures::SpritePictures;
