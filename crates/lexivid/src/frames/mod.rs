//! Decoded frames -> the frames that a model looks at: sampled at the right times, resized, cropped.

mod preprocessing;

pub use preprocessing::{Filter, FramePixels, Preprocessing, PreprocessingError, View};
