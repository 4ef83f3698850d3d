use crate::label::tidy_name;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::collections::HashMap;

/// One example of a manifest: a video, or a segment of one, and what is known of it. Names of labels are compared
/// without regard to case and surplus white space.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Row", into = "Row")]
pub struct Example {
    /// What is looked at.
    pub media: Media,
    /// Seconds from the first frame at which the segment starts; `None`: at the first frame.
    pub start: Option<f64>,
    /// Seconds from the first frame at which it ends, exclusive; `None`: with the video.
    pub end: Option<f64>,
    /// Labels that are there.
    pub positives: Vec<String>,
    /// Labels that are known not to be there.
    pub negatives: Negatives,
    /// Labels of which nothing is known, although `negatives` is [`Negatives::Rest`].
    pub unknown: Vec<String>,
    /// The split that it belongs to: "train", "val", "test".
    pub split: Option<String>,
    /// The video that this one was cut from, where several examples share one: RareAct's mWAP counts such a group once.
    pub source: Option<String>,
    /// Whatever else its maker wants to keep; never looked at.
    pub meta: Option<serde_json::Value>,
}

/// What an example shows. Names are as in the manifest: [`super::Manifest::media`] resolves them.
#[derive(Debug, Clone, PartialEq)]
pub enum Media {
    /// A video, an image or a URL.
    Video(String),
    /// Frames of a video, a picture each.
    Frames {
        /// The pictures, at least one, in order of time.
        paths: Vec<String>,
        /// Frames a second: picture i is on display from i / rate on.
        rate: f64,
    },
}

impl Media {
    /// What a person would call it: the video, or the first of the pictures.
    pub fn name(&self) -> &str {
        match self {
            Media::Video(path) => path,
            Media::Frames { paths, .. } => paths.first().map_or("no frames", String::as_str),
        }
    }
}

/// Labels that are known not to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Negatives {
    /// These; what is neither here nor positive is unknown.
    Listed(Vec<String>),
    /// `"*"`: every label of the vocabulary that is neither positive nor listed as unknown.
    Rest,
}

impl Example {
    /// A whole video, of which nothing is known yet.
    pub fn of_video(path: impl Into<String>) -> Self {
        Self {
            media: Media::Video(path.into()),
            start: None,
            end: None,
            positives: Vec::new(),
            negatives: Negatives::Listed(Vec::new()),
            unknown: Vec::new(),
            split: None,
            source: None,
            meta: None,
        }
    }
}

/// An example as it stands in a manifest.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    video: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    frames: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fps: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    end: Option<f64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    positives: Vec<String>,
    #[serde(default = "none_listed", skip_serializing_if = "are_none_listed")]
    negatives: Negatives,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    unknown: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    split: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    meta: Option<serde_json::Value>,
}

fn none_listed() -> Negatives {
    Negatives::Listed(Vec::new())
}

fn are_none_listed(negatives: &Negatives) -> bool {
    *negatives == none_listed()
}

impl TryFrom<Row> for Example {
    type Error = String;

    fn try_from(row: Row) -> Result<Self, String> {
        let media = match (row.video, row.frames, row.fps) {
            (Some(video), None, None) => Media::Video(video),
            (None, Some(paths), Some(rate)) if !paths.is_empty() && rate.is_finite() && rate > 0.0 => {
                Media::Frames { paths, rate }
            }
            (None, Some(_), _) => return Err("expected `frames` with at least one picture and a positive `fps`".into()),
            (None, None, _) => return Err("expected `video`, or `frames` and `fps`".into()),
            (Some(_), ..) => return Err("expected `video` alone, got `frames` or `fps` beside it".into()),
        };
        let (start, end) = (row.start.unwrap_or(0.0), row.end.unwrap_or(f64::INFINITY));
        if !(start >= 0.0 && start < end) {
            return Err(format!("expected a segment with 0 <= start < end, got {start} to {end} s"));
        }
        let example = Self {
            media,
            start: row.start,
            end: row.end,
            positives: row.positives,
            negatives: row.negatives,
            unknown: row.unknown,
            split: row.split,
            source: row.source,
            meta: row.meta,
        };
        let mut said = HashMap::new();
        for (column, name) in example.names() {
            if let Some(before) = said.insert(tidy_name(name), column).filter(|before| *before != column) {
                return Err(format!("label {name:?} is in `{before}` and in `{column}`"));
            }
        }
        Ok(example)
    }
}

impl From<Example> for Row {
    fn from(example: Example) -> Self {
        let (video, frames, fps) = match example.media {
            Media::Video(path) => (Some(path), None, None),
            Media::Frames { paths, rate } => (None, Some(paths), Some(rate)),
        };
        Self {
            video,
            frames,
            fps,
            start: example.start,
            end: example.end,
            positives: example.positives,
            negatives: example.negatives,
            unknown: example.unknown,
            split: example.split,
            source: example.source,
            meta: example.meta,
        }
    }
}

impl Example {
    /// Every label that is named, with the column that names it.
    pub(super) fn names(&self) -> impl Iterator<Item = (&'static str, &String)> {
        let listed: &[String] = match &self.negatives {
            Negatives::Listed(names) => names,
            Negatives::Rest => &[],
        };
        let column = |column: &'static str, names| std::iter::repeat(column).zip::<&[String]>(names);
        column("positives", &self.positives).chain(column("negatives", listed)).chain(column("unknown", &self.unknown))
    }
}

impl Serialize for Negatives {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Negatives::Listed(names) => names.serialize(serializer),
            Negatives::Rest => serializer.serialize_str("*"),
        }
    }
}

impl<'de> Deserialize<'de> for Negatives {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const EXPECTED: &str = "`negatives`: expected a list of names, or \"*\" for every label that is not named";
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Names(Vec<String>),
            Text(String),
        }
        match Written::deserialize(deserializer) {
            Ok(Written::Names(names)) => Ok(Negatives::Listed(names)),
            Ok(Written::Text(text)) if text == "*" => Ok(Negatives::Rest),
            _ => Err(de::Error::custom(EXPECTED)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(json: &str) -> Result<Example, String> {
        serde_json::from_str(json).map_err(|e| e.to_string())
    }

    #[test]
    fn every_column_is_read_and_written_back() {
        let json = r#"{"frames":["1.png","2.png"],"fps":2.5,"start":0.5,"end":1.5,"positives":["dog"],"negatives":"*","unknown":["cat"],"split":"test","source":"film","meta":{"seed":7}}"#;
        let example = parsed(json).unwrap();
        assert_eq!(example.media, Media::Frames { paths: vec!["1.png".into(), "2.png".into()], rate: 2.5 });
        assert_eq!(example.negatives, Negatives::Rest);
        assert_eq!(serde_json::to_string(&example).unwrap(), json);
        let least = Example::of_video("a.mp4");
        assert_eq!(serde_json::to_string(&least).unwrap(), r#"{"video":"a.mp4"}"#);
        assert_eq!(parsed(r#"{"video":"a.mp4"}"#).unwrap(), least);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (json, expected) in [
            (r#"{"positives": []}"#, "expected `video`"),
            (r#"{"video": "a", "fps": 3}"#, "`video` alone"),
            (r#"{"frames": [], "fps": 3}"#, "at least one picture"),
            (r#"{"frames": ["a.png"]}"#, "positive `fps`"),
            (r#"{"video": "a", "start": 3, "end": 3}"#, "got 3 to 3 s"),
            (r#"{"video": "a", "start": -1}"#, "0 <= start"),
            (r#"{"video": "a", "negatives": "all"}"#, "or \"*\""),
            (r#"{"video": "a", "positive": ["dog"]}"#, "unknown field `positive`"),
            (r#"{"video": "a", "positives": ["dog"], "negatives": [" DOG "]}"#, "in `positives` and in `negatives`"),
            (r#"{"video": "a", "positives": ["dog"], "unknown": ["dog"]}"#, "in `positives` and in `unknown`"),
        ] {
            let error = parsed(json).unwrap_err();
            assert!(error.contains(expected), "{json}: {error}");
        }
    }
}
