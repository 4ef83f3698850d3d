//! Vocabulary expansion: synthetic labels that a language model proposes from those that there are.
//!
//! ```text
//! Subject ─▶ Request ─▶ Proposer ─▶ reply ─▶ names ─▶ Sieve ─▶ ReviewFile
//! ```
//!
//! A [`Subject`] is a label and how the new ones shall relate to it, or a video with the labels that hold in it. A [`Proposer`] is
//! asked once a subject and says names; the [`Sieve`] drops what is known already or what the frozen model does not
//! see in the video; the [`ReviewFile`] keeps everything that was said, with its origin, for a person to decide. docs/LABELS.md
//! describes the file. Nothing is used unread: training takes a review file, never a proposer.

mod local;
mod openai;
mod proposer;
mod reply;
mod review;
mod sieve;
mod subject;

pub use local::LocalModel;
pub use openai::OpenAiServer;
pub use proposer::{Proposer, ProposerError, Reply, Request};
pub use reply::names;
pub use review::{Proposal, ReviewError, ReviewFile};
pub use sieve::{Sieve, SieveOptions, Verdict};
pub use subject::{Relation, Subject};
