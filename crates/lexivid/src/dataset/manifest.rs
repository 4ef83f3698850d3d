use super::{DatasetError, Example, Media, Negatives, Truth, Truths, Vocabulary};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    path::{Path, PathBuf},
};

/// A data set: JSON lines, an example a line; empty lines are passed over. docs/DATASETS.md describes the columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    path: PathBuf,
    sha256: String,
    examples: Vec<Example>,
    /// The line of every example, from 1.
    lines: Vec<usize>,
}

impl Manifest {
    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read, has no example, or a line is none; the line is named.
    pub fn read(path: &Path) -> Result<Self, DatasetError> {
        let bytes = std::fs::read(path).map_err(|source| DatasetError::Io { path: path.into(), source })?;
        let sha256 = format!("{:x}", Sha256::digest(&bytes));
        let (mut examples, mut lines) = (Vec::new(), Vec::new());
        let content = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        for (index, line) in content.split(|byte| *byte == b'\n').enumerate() {
            if line.trim_ascii().is_empty() {
                continue;
            }
            let example = serde_json::from_slice(line).map_err(|e| DatasetError::Line {
                path: path.into(),
                line: index + 1,
                // The parser sees one line only, and counts it as its first.
                reason: e.to_string().replace(" at line 1 column ", " at column "),
            })?;
            examples.push(example);
            lines.push(index + 1);
        }
        if examples.is_empty() {
            return Err(DatasetError::Empty { path: path.into() });
        }
        Ok(Self { path: path.into(), sha256, examples, lines })
    }

    /// Writes examples to a file, which appears whole or not at all.
    pub fn write<'a>(path: &Path, examples: impl IntoIterator<Item = &'a Example>) -> Result<(), DatasetError> {
        let write = || -> std::io::Result<()> {
            let mut file = crate::atomic::File::create(path)?;
            for example in examples {
                serde_json::to_writer(&mut file, example)?;
                file.write_all(b"\n")?;
            }
            file.commit()
        };
        write().map_err(|source| DatasetError::Io { path: path.into(), source })
    }

    /// Keeps the examples of one split.
    ///
    /// # Errors
    /// When there are none.
    pub fn of_split(mut self, split: &str) -> Result<Self, DatasetError> {
        let is_of = |example: &Example| example.split.as_deref() == Some(split);
        if !self.examples.iter().any(is_of) {
            let found: BTreeSet<String> = self.examples.iter().filter_map(|e| e.split.clone()).collect();
            let (path, split) = (self.path, split.into());
            return Err(DatasetError::NoSuchSplit { path, split, found: found.into_iter().collect() });
        }
        (self.examples, self.lines) =
            self.examples.into_iter().zip(self.lines).filter(|(example, _)| is_of(example)).unzip();
        Ok(self)
    }

    /// The examples, in the file's order.
    pub fn examples(&self) -> &[Example] {
        &self.examples
    }

    /// The file, as given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// SHA-256 of the file, 64 hexadecimal digits.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// What an example shows, with paths that do not depend on where the manifest lies: URLs and absolute paths are left
    /// as they are, others count from the manifest's directory.
    pub fn media(&self, example: &Example) -> Media {
        match &example.media {
            Media::Video(name) => Media::Video(self.resolved(name)),
            Media::Frames { paths, rate } => {
                Media::Frames { paths: paths.iter().map(|name| self.resolved(name)).collect(), rate: *rate }
            }
        }
    }

    fn resolved(&self, name: &str) -> String {
        let beside = self.path.parent().unwrap_or(Path::new("")).join(name);
        if crate::video::is_url(Path::new(name)) && !beside.exists() {
            return name.into();
        }
        beside.to_string_lossy().into_owned()
    }

    /// What is known of every example and every label, `[E, L]`, and what the user should know: names that the
    /// vocabulary does not have, which count for nothing.
    ///
    /// # Errors
    /// When a line says two things of one label, by the names of two synonyms.
    pub fn truths(&self, vocabulary: &Vocabulary) -> Result<(Truths, Vec<String>), DatasetError> {
        let mut truths = Truths::new(vocabulary.labels().len());
        let mut strange: BTreeMap<&String, usize> = BTreeMap::new();
        for (example, line) in self.examples.iter().zip(&self.lines) {
            let rest = if example.negatives == Negatives::Rest { Truth::Negative } else { Truth::Unknown };
            let mut row: Vec<(Truth, Option<&str>)> = vec![(rest, None); vocabulary.labels().len()];
            for (column, name) in example.names() {
                let Some(label) = vocabulary.find(name) else {
                    *strange.entry(name).or_default() += 1;
                    continue;
                };
                let (truth, before) = &mut row[label];
                if let Some(before) = before.replace(column).filter(|before| *before != column) {
                    let label = &vocabulary.labels()[label].name;
                    let reason = format!("label {label:?} (as {name:?}) is in `{before}` and in `{column}`");
                    return Err(DatasetError::Line { path: self.path.clone(), line: *line, reason });
                }
                *truth = match column {
                    "positives" => Truth::Positive,
                    "negatives" => Truth::Negative,
                    _ => Truth::Unknown,
                };
            }
            truths.push(&row.into_iter().map(|(truth, _)| truth).collect::<Vec<_>>());
        }
        Ok((truths, warning(&strange).into_iter().collect()))
    }
}

/// Names that are written out in a warning.
const NAMED: usize = 5;

fn warning(strange: &BTreeMap<&String, usize>) -> Option<String> {
    let mut by_count: Vec<_> = strange.iter().collect();
    by_count.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let named: Vec<_> = by_count.iter().take(NAMED).map(|(name, count)| format!("{name:?} ({count}x)")).collect();
    let more = if strange.len() > NAMED { ", .." } else { "" };
    (!strange.is_empty()).then(|| {
        format!("{} names are not in the vocabulary and count for nothing: {}{more}", strange.len(), named.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::Label;
    use proptest::prelude::*;

    fn manifest(text: &str) -> Result<Manifest, DatasetError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.jsonl");
        std::fs::write(&path, text).unwrap();
        Manifest::read(&path)
    }

    fn vocabulary() -> Vocabulary {
        let dog = Label { synonyms: vec!["hound".into()], ..Label::new("dog") };
        Vocabulary::new([dog, Label::new("cat"), Label::new("riding a bike")].map(Into::into)).unwrap()
    }

    #[test]
    fn what_is_not_said_is_unknown_unless_a_star_says_otherwise() {
        let text = "\u{feff}{\"video\": \"a\", \"positives\": [\"Hound\", \"bird\"], \"negatives\": [\"Riding  a bike\"]}\n\n\
                    {\"video\": \"b\", \"positives\": [\"cat\"], \"negatives\": \"*\", \"unknown\": [\"dog\", \"bird\"]}\r\n";
        let (truths, warnings) = manifest(text).unwrap().truths(&vocabulary()).unwrap();
        use Truth::{Negative, Positive, Unknown};
        assert_eq!(truths.row(0), [Positive, Unknown, Negative]);
        assert_eq!(truths.row(1), [Unknown, Positive, Negative]);
        assert_eq!(warnings, ["1 names are not in the vocabulary and count for nothing: \"bird\" (2x)"]);
    }

    #[test]
    fn errors_name_the_line() {
        let said = |text: &str| match manifest(text) {
            Err(e) => e.to_string(),
            Ok(m) => m.truths(&vocabulary()).unwrap_err().to_string(),
        };
        let good = "{\"video\": \"a\"}\n\n";
        assert!(said(&format!("{good}{{\"video\": 3}}")).contains("m.jsonl, line 3: invalid type: integer `3`"));
        assert!(said(&format!("{good}{{\"video\"")).contains("line 3: EOF"));
        assert!(said(&format!("{good}{{\"start\": 3}}")).contains("line 3: expected `video`"));
        let two = "{\"video\": \"a\", \"positives\": [\"dog\"], \"negatives\": [\"hound\"]}";
        assert!(
            said(&format!("{good}{two}")).contains("line 3: label \"dog\" (as \"hound\") is in `positives` and in")
        );
        assert!(said("\n").contains("no example"));
    }

    #[test]
    fn splits() {
        let text =
            "{\"video\": \"a\", \"split\": \"val\"}\n{\"video\": \"b\", \"split\": \"test\"}\n{\"video\": \"c\"}\n";
        let all = manifest(text).unwrap();
        let test = all.clone().of_split("test").unwrap();
        assert_eq!(test.examples(), [Example { split: Some("test".into()), ..Example::of_video("b") }]);
        assert_eq!((test.lines, test.sha256), (vec![2], all.sha256.clone()));
        let error = all.of_split("train").unwrap_err().to_string();
        assert!(error.contains("no example of split \"train\"; expected one of [\"test\", \"val\"]"), "{error}");
    }

    #[test]
    fn paths_count_from_the_manifest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.jsonl");
        let examples = ["clips/a.mp4", "/media/b.mp4", "https://host/c.mp4", "1:2.mp4"].map(Example::of_video);
        Manifest::write(&path, &examples).unwrap();
        let manifest = Manifest::read(&path).unwrap();
        assert_eq!(manifest.examples(), examples);
        let found: Vec<_> = examples.iter().map(|e| manifest.media(e).name().to_owned()).collect();
        let beside = |name: &str| dir.path().join(name).display().to_string();
        assert_eq!(
            found,
            [beside("clips/a.mp4"), "/media/b.mp4".into(), "https://host/c.mp4".into(), beside("1:2.mp4")]
        );
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[\\PC\n]{0,200}") {
            let _ = manifest(&text).map(|m| m.truths(&vocabulary()));
        }

        #[test]
        fn what_is_written_is_read_back(
            names in prop::collection::vec("\\PC{1,12}", 1..6), split in prop::option::of("[a-z]{1,5}"), quarters in 0u8..99
        ) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("m.jsonl");
            let example = Example { positives: names, split, start: Some(f64::from(quarters) / 4.0), ..Example::of_video("a.mp4") };
            Manifest::write(&path, [&example]).unwrap();
            let read = Manifest::read(&path).unwrap();
            prop_assert_eq!(read.examples(), [example]);
        }
    }
}
