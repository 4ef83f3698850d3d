//! The file in which proposals wait for a person: CSV, so that any spreadsheet opens it.

use super::Relation;
use serde::{Deserialize, Deserializer, Serialize, de};
use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// A row: what was proposed of one subject, and what became of it. docs/LABELS.md describes the columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// Whether training may use it; the column that a person edits.
    #[serde(deserialize_with = "yes_or_no")]
    pub keep: bool,
    /// The label; empty where the proposer named none.
    pub name: String,
    /// How it relates to `labels`.
    pub relation: Relation,
    /// The labels it was proposed for, separated by `; `.
    pub labels: String,
    /// The video in which it shall hold, as the manifest names it; empty: it was not proposed for a video.
    pub video: String,
    /// Seconds at which the segment of the video starts.
    pub start: Option<f64>,
    /// Seconds at which it ends.
    pub end: Option<f64>,
    /// The frozen model's probability that it holds in the video.
    pub score: Option<f32>,
    /// The label of the vocabulary that the frozen model finds nearest.
    pub nearest: String,
    /// Cosine similarity to it.
    pub similarity: Option<f32>,
    /// Why it is not kept; empty where it is.
    pub why: String,
    /// The name as the proposer said it.
    pub said: String,
    /// The proposer's address; `local`: on this machine.
    pub endpoint: String,
    /// The proposer's model.
    pub model: String,
}

impl Proposal {
    /// What the proposal was asked about.
    pub fn subject(&self) -> (Relation, &str, &str, Option<u64>, Option<u64>) {
        (self.relation, &self.labels, &self.video, self.start.map(f64::to_bits), self.end.map(f64::to_bits))
    }
}

/// Spreadsheets write TRUE, people write yes, 1 or x.
fn yes_or_no<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.trim().to_lowercase().as_str() {
        "true" | "yes" | "y" | "1" | "x" => Ok(true),
        "false" | "no" | "n" | "0" | "" => Ok(false),
        _ => Err(de::Error::custom(format!("`keep`: expected true or false, got {text:?}"))),
    }
}

/// Why a review file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReviewError {
    /// The system could not.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is no review file, or was edited beyond recognition.
    #[error("{path}: {source}", path = .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, what was expected and what was found.
        source: csv::Error,
    },
}

/// A review file that proposals are added to.
#[derive(Debug)]
pub struct ReviewFile {
    path: PathBuf,
    file: File,
    is_new: bool,
}

impl ReviewFile {
    /// The proposals of a review file.
    pub fn read(path: &Path) -> Result<Vec<Proposal>, ReviewError> {
        let mut text = String::new();
        File::open(path).and_then(|mut file| file.read_to_string(&mut text)).map_err(io(path))?;
        parse(path, &text)
    }

    /// Opens a review file to go on with it, or makes it; gives what is in it. A last line that a crash cut off is dropped.
    pub fn open(path: &Path) -> Result<(Self, Vec<Proposal>), ReviewError> {
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(io(path))?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(io(path))?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let proposals = parse(path, &text[..whole])?;
        file.set_len(whole as u64).and_then(|()| file.seek(SeekFrom::End(0))).map_err(io(path))?;
        Ok((Self { path: path.into(), file, is_new: whole == 0 }, proposals))
    }

    /// Adds the proposals of one subject, all or none; they are on disk when this returns.
    pub fn add(&mut self, proposals: &[Proposal]) -> Result<(), ReviewError> {
        let mut writer = csv::WriterBuilder::new().has_headers(self.is_new).from_writer(Vec::new());
        for proposal in proposals {
            writer.serialize(proposal).map_err(|source| ReviewError::Malformed { path: self.path.clone(), source })?;
        }
        let bytes = writer.into_inner().map_err(|e| io(&self.path)(e.into_error()))?;
        self.file.write_all(&bytes).and_then(|()| self.file.sync_data()).map_err(io(&self.path))?;
        self.is_new &= proposals.is_empty();
        Ok(())
    }
}

fn io(path: &Path) -> impl Fn(io::Error) -> ReviewError {
    move |source| ReviewError::Io { path: path.into(), source }
}

fn parse(path: &Path, text: &str) -> Result<Vec<Proposal>, ReviewError> {
    let mut reader = csv::Reader::from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    reader
        .deserialize()
        .collect::<Result<_, _>>()
        .map_err(|source| ReviewError::Malformed { path: path.into(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proposal(name: &str) -> Proposal {
        Proposal {
            keep: true,
            name: name.into(),
            relation: Relation::Scene,
            labels: "dog; riding a bike".into(),
            video: "a, \"b\".mp4".into(),
            start: Some(0.1),
            end: None,
            score: Some(0.25),
            nearest: "dog".into(),
            similarity: Some(0.5),
            why: String::new(),
            said: name.to_uppercase(),
            endpoint: "http://localhost:1/v1".into(),
            model: "m".into(),
        }
    }

    #[test]
    fn is_gone_on_with_where_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("review.csv");
        let (mut file, before) = ReviewFile::open(&path).unwrap();
        assert!(before.is_empty());
        file.add(&[]).unwrap();
        file.add(&[proposal("animal"), proposal("wheel")]).unwrap();
        file.add(&[proposal("street")]).unwrap();
        let all = ["animal", "wheel", "street"].map(proposal);
        assert_eq!(ReviewFile::read(&path).unwrap(), all);

        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, [&whole[..], b"true,pave"].concat()).unwrap();
        let (mut file, before) = ReviewFile::open(&path).unwrap();
        assert_eq!(before, all);
        file.add(&[proposal("pavement")]).unwrap();
        assert_eq!(ReviewFile::read(&path).unwrap()[3], proposal("pavement"));
    }

    #[test]
    fn what_people_and_spreadsheets_write_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("review.csv");
        ReviewFile::open(&path).unwrap().0.add(&[proposal("animal")]).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        for (written, keep) in [("TRUE", true), ("x", true), ("No", false), ("", false)] {
            std::fs::write(&path, text.replace("\ntrue,", &format!("\n{written},"))).unwrap();
            assert_eq!(ReviewFile::read(&path).unwrap()[0].keep, keep, "{written}");
        }
        std::fs::write(&path, text.replace("\ntrue,", "\nperhaps,")).unwrap();
        let error = ReviewFile::read(&path).unwrap_err().to_string();
        assert!(error.contains("line: 2") && error.contains("expected true or false, got \"perhaps\""), "{error}");
        std::fs::write(&path, "name\ndog\n").unwrap();
        assert!(ReviewFile::open(&path).unwrap_err().to_string().contains("missing field `keep`"));
    }
}
