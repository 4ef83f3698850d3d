//! The main job, end to end: a video and labels in, a [`Classification`] out.
//!
//! ```text
//! look    video ─▶ frames ─▶ features ─▶ embeddings of windows and frames     streaming, bounded memory
//! judge   embeddings x label embeddings ─▶ probabilities ─▶ decisions         labels in chunks
//! ```

mod error;
mod judge;
mod labels;
mod look;
mod moving;

pub use error::ClassifyError;
pub use judge::{probabilities, similarities};
pub use labels::EncodedLabels;
pub use look::{Look, LookOptions, look, look_at_frames};

use crate::{
    decisions::{Classification, ModelSummary, Settings},
    frames::Windowing,
    models::{Model, ModelError},
    scores::Pool,
};
use std::ops::ControlFlow;

/// Everything a user can choose about a classification.
#[derive(Debug, Clone)]
pub struct ClassifyOptions {
    /// When and how the model looks.
    pub look: LookOptions,
    /// How windows become one probability a video.
    pub pool: Pool,
    /// Probability from which on a label counts as present, unless it has its own threshold.
    pub threshold: f32,
}

impl ClassifyOptions {
    /// The same, as reports state it.
    pub fn settings(&self) -> Settings {
        let (window, hop) = match self.look.sampling.windowing() {
            Windowing::Whole => (None, None),
            Windowing::Sliding { length, hop } => (Some(length), Some(hop)),
        };
        Settings {
            window,
            hop,
            frames_per_window: self.look.sampling.frames_per_window(),
            pool: self.pool.to_string(),
            threshold: self.threshold,
            shots: self.look.shots,
            dedup: self.look.dedup,
        }
    }
}

/// How far a video is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Seconds of the video that have been looked at.
    pub seconds: f64,
    /// The video's duration in seconds.
    pub duration: f64,
}

/// Called now and then; `Break` stops the work with [`ClassifyError::Interrupted`].
pub type Observer<'a> = dyn FnMut(Progress) -> ControlFlow<()> + 'a;

/// Classifies one video, image or URL.
pub fn classify(
    model: &dyn Model,
    labels: &EncodedLabels,
    source: &str,
    options: &ClassifyOptions,
    observer: &mut Observer,
) -> Result<Classification, ClassifyError> {
    let look = look(model, source, &options.look, observer)?;
    let judged = tracing::debug_span!("match labels").in_scope(|| judge::judge(&look, labels, options));
    let judged = judged.map_err(ModelError::from)?;
    let about = model.about();
    let mut warnings = labels.labels().warnings().to_vec();
    warnings.extend(about.caveats.iter().cloned());
    warnings.extend(look.warnings);
    Ok(Classification {
        path: source.into(),
        video: look.video,
        model: ModelSummary {
            name: about.name.clone(),
            fingerprint: about.fingerprint.clone(),
            card: about.card.clone(),
        },
        settings: options.settings(),
        windows: look.windows,
        frames_used: look.frame_times.len(),
        frames_reused: look.frames_reused,
        clips_used: look.clips,
        labels: judged,
        warnings,
    })
}
