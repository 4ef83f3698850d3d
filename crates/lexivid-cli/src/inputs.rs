//! What the user named -> the videos meant: files and URLs as they are, folders searched; and the labels meant.

use crate::{args::GivenLabels, failure::WrongUse};
use lexivid::{Error, label::LabelList};
use std::path::Path;
use walkdir::WalkDir;

/// Extensions that are taken for videos or images when a folder is searched. A file named by itself is always tried.
const EXTENSIONS: &[&str] = &[
    "3gp", "asf", "avi", "avif", "bmp", "flv", "gif", "h264", "hevc", "ivf", "jpeg", "jpg", "m2ts", "m4v", "mkv",
    "mov", "mp4", "mpeg", "mpg", "mts", "mxf", "ogv", "png", "tif", "tiff", "ts", "vob", "webm", "webp", "wmv", "y4m",
];

/// Files in a folder come in order of their paths; hidden ones are passed over.
pub fn expand(inputs: &[String]) -> Result<Vec<String>, WrongUse> {
    let mut videos = Vec::new();
    for input in inputs {
        if !Path::new(input).is_dir() {
            videos.push(input.clone());
            continue;
        }
        let before = videos.len();
        let visible =
            |entry: &walkdir::DirEntry| entry.depth() == 0 || !entry.file_name().to_string_lossy().starts_with('.');
        for entry in WalkDir::new(input).follow_links(true).sort_by_file_name().into_iter().filter_entry(visible) {
            let entry = entry.map_err(|e| WrongUse(e.to_string()))?;
            let extension = entry.path().extension().and_then(|e| e.to_str()).map(str::to_lowercase);
            if entry.file_type().is_file() && extension.is_some_and(|e| EXTENSIONS.contains(&e.as_str())) {
                videos.push(entry.path().to_string_lossy().into_owned());
            }
        }
        if videos.len() == before {
            return Err(WrongUse(format!("{input}: no videos or images in this folder")));
        }
    }
    Ok(videos)
}

impl GivenLabels {
    /// The labels, of the line or the file.
    pub fn read(&self) -> Result<LabelList, Error> {
        Ok(match (&self.labels, &self.labels_file) {
            (Some(labels), _) => LabelList::from_inline(labels)?,
            (None, Some(file)) => LabelList::from_file(file)?,
            (None, None) => LabelList::new([])?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_searched_and_files_taken_at_their_word() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        std::fs::create_dir_all(root.join("deep/.hidden")).unwrap();
        for name in ["b.MP4", "a.txt", "deep/c.gif", "deep/.hidden/d.mp4"] {
            std::fs::write(root.join(name), "").unwrap();
        }
        let named = |name: &str| root.join(name).to_string_lossy().into_owned();
        let found = expand(&[named(""), named("a.txt"), "rtsp://camera/1".into()]).unwrap();
        let found: Vec<_> = found.iter().map(|f| f.rsplit('/').next().unwrap()).collect();
        assert_eq!(found, ["b.MP4", "c.gif", "a.txt", "1"]);
        assert!(expand(&[named("deep/.hidden")]).is_ok_and(|v| v.len() == 1));
        std::fs::create_dir(root.join("empty")).unwrap();
        assert!(expand(&[named("empty")]).unwrap_err().0.contains("no videos or images"));
    }
}
