//! A path or URL -> an opened container and its video stream.

use super::{VideoError, watchdog::Pulse};
use ffmpeg::{
    Dictionary,
    format::{self, context::Input, stream::Disposition},
    media,
};
use std::{ffi::OsString, path::Path, sync::Once};

/// Opens the container. What FFmpeg would say on stderr is silenced: errors are returned.
pub(super) fn open(path: &Path, pulse: &Pulse) -> Result<Input, VideoError> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| ffmpeg::log::set_level(ffmpeg::log::Level::Quiet));

    let unreadable = |reason: String| VideoError::Unreadable { path: path.into(), reason };
    if path.as_os_str().as_encoded_bytes().contains(&0) {
        return Err(unreadable("the name has a NUL byte".into()));
    }
    let opened = match path.metadata() {
        Err(_) if is_url(path) => {
            let pulse = pulse.clone();
            format::input_with_interrupt(path, move || pulse.abandoned())
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(VideoError::NotFound { path: path.into() }),
        Err(e) => return Err(unreadable(e.to_string())),
        Ok(m) if m.is_dir() => return Err(unreadable("it is a directory".into())),
        Ok(m) if m.is_file() && m.len() == 0 => return Err(VideoError::Empty { path: path.into() }),
        Ok(_) => {
            // With the protocol named, a colon in a file's name is no protocol; without patterns, a '%' or '*' in it
            // is no picture sequence.
            let mut url = OsString::from("file:");
            url.push(path);
            let options: Dictionary = [("pattern_type", "none")].into_iter().collect();
            format::input_with_dictionary(url, options)
        }
    };
    opened.map_err(|e| unreadable(e.to_string()))
}

/// Whether `path` reads "scheme:...".
pub(crate) fn is_url(path: &Path) -> bool {
    let scheme = path.to_str().and_then(|s| s.split_once(':')).map_or("", |(scheme, _)| scheme);
    scheme.len() > 1 && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
}

/// Index of the video stream that FFmpeg thinks best; a cover picture in an audio file is none.
pub(super) fn video_stream(path: &Path, input: &Input) -> Result<usize, VideoError> {
    if let Some(stream) = input.streams().best(media::Type::Video)
        && !stream.disposition().contains(Disposition::ATTACHED_PIC)
    {
        return Ok(stream.index());
    }
    let count = |n: usize, what: &str| match n {
        0 => None,
        1 => Some(format!("1 {what}")),
        n => Some(format!("{n} {what}s")),
    };
    let of = |medium| input.streams().filter(|s| s.parameters().medium() == medium).count();
    let (audio, covers) = (of(media::Type::Audio), of(media::Type::Video));
    let others = input.streams().len() - audio - covers;
    let found: Vec<String> =
        [count(audio, "audio stream"), count(covers, "cover picture"), count(others, "other stream")]
            .into_iter()
            .flatten()
            .collect();
    let found = if found.is_empty() { "an empty container".into() } else { found.join(" and ") };
    Err(VideoError::NoVideoStream { path: path.into(), found })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for url in ["http://x/y.mp4", "rtsp://cam", "concat:a|b"] {
            assert!(is_url(Path::new(url)), "{url}");
        }
        for path in ["a.mp4", "/a/b:c.mp4", "c:\\a.mp4", "./12:30.mp4"] {
            assert!(!is_url(Path::new(path)), "{path}");
        }
    }
}
