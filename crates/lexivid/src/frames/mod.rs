//! Decoded frames -> the frames that a model looks at: sampled at the right times, resized, cropped.

mod clips;
mod hsv;
mod preprocessing;
mod repeats;
mod resize;
mod sample;
mod sampling;
mod shots;
mod stills;
mod walk;

pub use clips::Clips;
pub use preprocessing::{Filter, FramePixels, Preprocessing, PreprocessingError, View};
pub use repeats::Repeats;
pub use resize::preprocess;
pub use sample::{FrameStream, SampleSummary, SampledFrame, Wanted, sample};
pub use sampling::{Sampling, SamplingError, Window, Windowing, targets};
pub use shots::{Shot, detect_shots};
pub use stills::stills;
