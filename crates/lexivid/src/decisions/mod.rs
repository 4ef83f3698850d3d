//! Probabilities -> decisions: is the label there, when, and which frames say so.

mod evidence;
mod spans;

pub use evidence::best_frames;
pub use spans::spans_above;

use crate::{
    label::Kind,
    label_embedding::{Confidence, Origin},
    video::VideoInfo,
};
use serde::{Deserialize, Serialize};

/// Everything that is said about one video; what every report renders and `--json` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Classification {
    /// The video as the user named it.
    pub path: String,
    /// What the container says.
    pub video: VideoInfo,
    /// The model that looked.
    pub model: ModelSummary,
    /// How it looked.
    pub settings: Settings,
    /// The windows, in order of time.
    pub windows: Vec<Span>,
    /// Frames that were looked at, each counted once.
    pub frames_used: usize,
    /// How many of them repeat the one before and share its embedding, so that the model did not see them.
    pub frames_reused: usize,
    /// Clips in which the model looked for motion.
    pub clips_used: usize,
    /// One entry a label, most probable first.
    pub labels: Vec<LabelResult>,
    /// What the user should know: frames lost, labels merged or truncated.
    pub warnings: Vec<String>,
}

/// The model, as a report names it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelSummary {
    /// Name or path, as loaded.
    pub name: String,
    /// SHA-256 over its weights and configuration, the first 16 hex digits.
    pub fingerprint: String,
    /// The model card, Markdown; not part of the JSON, where it would stand again for every video.
    #[serde(skip)]
    pub card: String,
}

/// What the user chose, or the defaults that stood in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Window length in seconds; `None`: the whole video is one window.
    pub window: Option<f64>,
    /// Distance between the starts of windows in seconds.
    pub hop: Option<f64>,
    /// Frames looked at in a window.
    pub frames_per_window: usize,
    /// Pooling of the windows' probabilities into the video's.
    pub pool: String,
    /// Probability from which on a label counts as present, unless the label has its own.
    pub threshold: f32,
    /// Whether windows were kept from crossing shot boundaries.
    pub shots: bool,
    /// Whether frames that repeat the one before were kept from the model.
    pub dedup: bool,
}

/// A stretch of time, in seconds from the first frame, end exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// Start in seconds.
    pub start: f64,
    /// End in seconds, exclusive.
    pub end: f64,
}

/// What is said about one label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelResult {
    /// The label's name.
    pub label: String,
    /// Thing or action, when the user said so.
    pub kind: Option<Kind>,
    /// Probability that the label holds somewhere in the video.
    pub probability: f32,
    /// Probability from which on it counts as present.
    pub threshold: f32,
    /// `probability >= threshold`.
    pub present: bool,
    /// Where in the video its probability reaches the threshold.
    pub spans: Vec<LabelSpan>,
    /// The frames that speak for it most, best first.
    pub best_frames: Vec<Evidence>,
    /// Probability in every window, in the order of `Classification::windows`; empty for labels so improbable that
    /// their timeline was not kept.
    pub timeline: Vec<f32>,
    /// How far its probabilities can be trusted: `"confidence": "usual"`, or `"low"` with a `reason`.
    #[serde(flatten)]
    pub confidence: Confidence,
    /// Where the label's embedding comes from.
    pub origin: Origin,
}

/// A stretch of time in which a label holds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LabelSpan {
    /// Start in seconds.
    pub start: f64,
    /// End in seconds, exclusive.
    pub end: f64,
    /// Highest probability inside.
    pub peak: f32,
}

/// A frame that speaks for a label.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Presentation time in seconds.
    pub time: f64,
    /// Probability of the label on this frame alone.
    pub probability: f32,
}
