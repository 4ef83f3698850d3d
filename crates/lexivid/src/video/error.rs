use std::{path::PathBuf, time::Duration};

/// Why a media file could not be opened or decoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VideoError {
    /// There is no such file.
    #[error("{path}: no such file", path = .path.display())]
    NotFound {
        /// The path as given.
        path: PathBuf,
    },
    /// The file is empty.
    #[error("{path}: the file is empty", path = .path.display())]
    Empty {
        /// The path as given.
        path: PathBuf,
    },
    /// FFmpeg does not recognise the file, or cannot read it.
    #[error("{path}: not a readable video or image ({reason})", path = .path.display())]
    Unreadable {
        /// The path as given.
        path: PathBuf,
        /// What FFmpeg said.
        reason: String,
    },
    /// The file has no video stream.
    #[error("{path}: no video stream, only {found}", path = .path.display())]
    NoVideoStream {
        /// The path as given.
        path: PathBuf,
        /// The streams that were found, e.g. "1 audio stream".
        found: String,
    },
    /// The stream has no frame that could be decoded.
    #[error("{path}: no frame could be decoded ({reason})", path = .path.display())]
    NoFrames {
        /// The path as given.
        path: PathBuf,
        /// What went wrong with the frames that were tried.
        reason: String,
    },
    /// The part that was asked for lies behind the end.
    #[error("{path}: nothing at {start} s, the video lasts {duration:.1} s", path = .path.display())]
    NothingThere {
        /// The path as given.
        path: PathBuf,
        /// Start of the part, in seconds from the first frame.
        start: f64,
        /// The video's duration in seconds.
        duration: f64,
    },
    /// The decoder made no progress for the stated time and was abandoned.
    #[error("{path}: decoding made no progress for {}s and was abandoned", timeout.as_secs_f64(), path = .path.display())]
    Stalled {
        /// The path as given.
        path: PathBuf,
        /// The time waited.
        timeout: Duration,
    },
}

impl VideoError {
    /// What the user may try, when there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            VideoError::Unreadable { .. } => Some("`ffprobe FILE` tells what FFmpeg makes of it".into()),
            VideoError::Stalled { .. } => Some("a longer --stall-timeout helps with slow disks and networks".into()),
            _ => None,
        }
    }
}
