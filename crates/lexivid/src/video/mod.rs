//! Media file -> decoded frames with their real presentation times.
//!
//! Whatever the machine's FFmpeg can open (files, URLs, images, GIFs) is a video here. Nothing of any model is known
//! in this room.
//!
//! Colours are converted with the frame's own matrix and range; high dynamic range is not tone-mapped and interlaced
//! frames are not deinterlaced, as in the reference decoders of the models.

mod colour;
mod decoder;
mod error;
mod orientation;
mod probe;
mod source;
mod watchdog;

pub use error::VideoError;
pub use probe::probe;

pub(crate) use decoder::{Decoder, Frame, Picture};
pub(crate) use source::is_url;
pub(crate) use watchdog::{Watched, watch};

use std::time::Duration;

/// What the container and the decoder say about a video stream. Times are in seconds from the first frame.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct VideoInfo {
    /// Container format, FFmpeg's short name ("mov,mp4,m4a,3gp,3g2,mj2").
    pub container: String,
    /// Codec, FFmpeg's short name ("h264").
    pub codec: String,
    /// Display width in pixels, after rotation and sample aspect ratio.
    pub width: u32,
    /// Display height in pixels, after rotation and sample aspect ratio.
    pub height: u32,
    /// Clockwise rotation that the metadata asks for: 0, 90, 180 or 270 degrees (already applied to width and height).
    pub rotation: u32,
    /// Duration in seconds; for a still image, one frame's duration.
    pub duration: f64,
    /// Average frames per second, where the container tells.
    pub frame_rate: Option<f64>,
}

/// How media is opened and decoded.
#[derive(Debug, Clone, Copy)]
pub struct DecodeOptions {
    /// A decoder that yields nothing for this long is abandoned.
    pub stall_timeout: Duration,
}

impl Default for DecodeOptions {
    fn default() -> Self {
        Self { stall_timeout: Duration::from_secs(30) }
    }
}
