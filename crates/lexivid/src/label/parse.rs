//! The forms in which labels arrive: a line of the command line, or a .txt, .csv, .json or .yaml file.

use super::{Entry, Kind, Label, LabelError, LabelList};
use serde::Deserialize;
use std::path::Path;

impl LabelList {
    /// Comma-separated names: `dog, guitar, riding a bike`.
    pub fn from_inline(text: &str) -> Result<Self, LabelError> {
        Self::new(text.split(',').map(Label::new))
    }

    /// A labels file, its format by its extension:
    /// - `.txt`: a name a line; empty lines and lines that start with `#` are passed over.
    /// - `.csv`: a header with `name` and any of `kind`, `definition`, `synonyms` (separated by `;`), `threshold`; or no
    ///   header and a name a line.
    /// - `.json`, `.yaml`, `.yml`: a list of names, or of objects with the same fields (`synonyms` a list).
    pub fn from_file(path: &Path) -> Result<Self, LabelError> {
        Self::new(Entry::read_all(path)?.into_iter().map(|entry| entry.label))
    }
}

impl Entry {
    /// A labels file as [`LabelList::from_file`] reads it, with the further columns or fields `seen` (`true` or `false`),
    /// `subset` and `opposite`. Nothing is checked or merged yet.
    pub fn read_all(path: &Path) -> Result<Vec<Self>, LabelError> {
        let malformed = |reason: String| LabelError::Malformed { path: path.into(), reason };
        let parse: fn(&str) -> Result<Vec<Entry>, String> =
            match path.extension().and_then(|e| e.to_str()).map(str::to_lowercase).as_deref() {
                Some("txt") => |text| Ok(txt(text)),
                Some("csv") => csv,
                Some("json") => |text| serde_json::from_str(text).map(names_or_entries).map_err(|e| e.to_string()),
                Some("yaml" | "yml") => {
                    |text| serde_yaml_ng::from_str(text).map(names_or_entries).map_err(|e| e.to_string())
                }
                _ => return Err(LabelError::UnknownFormat { path: path.into() }),
            };
        let bytes = std::fs::read(path).map_err(|source| LabelError::Unreadable { path: path.into(), source })?;
        let text = String::from_utf8(bytes).map_err(|e| malformed(format!("expected UTF-8 text: {e}")))?;
        // Spreadsheets write a byte order mark.
        parse(text.trim_start_matches('\u{feff}')).map_err(malformed)
    }
}

fn txt(text: &str) -> Vec<Entry> {
    text.lines().filter(|line| !line.trim_start().starts_with('#')).map(|name| Label::new(name).into()).collect()
}

fn csv(text: &str) -> Result<Vec<Entry>, String> {
    #[derive(Deserialize)]
    struct Row {
        name: String,
        #[serde(default)]
        kind: Option<Kind>,
        #[serde(default)]
        definition: Option<String>,
        #[serde(default)]
        synonyms: String,
        #[serde(default)]
        threshold: Option<f32>,
        #[serde(default)]
        seen: Option<bool>,
        #[serde(default)]
        subset: Option<String>,
        #[serde(default)]
        opposite: Option<String>,
    }
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let headers = reader.headers().map_err(|e| e.to_string())?.clone();
    if !headers.iter().any(|h| h == "name") {
        if headers.len() > 1 {
            return Err(format!(
                "expected a header with a column `name`, got `{}`",
                headers.iter().collect::<Vec<_>>().join(",")
            ));
        }
        return Ok(txt(text));
    }
    reader
        .deserialize()
        .map(|row| {
            let row: Row = row.map_err(|e| e.to_string())?;
            let synonyms = row.synonyms.split(';').map(String::from).collect();
            let Row { name, kind, definition, threshold, seen, subset, opposite, .. } = row;
            Ok(Entry { label: Label { name, kind, definition, synonyms, threshold }, seen, subset, opposite })
        })
        .collect()
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected a list of names, or of objects with name, kind, definition, synonyms, threshold"
)]
enum NameOrEntry {
    Name(String),
    Entry(Entry),
}

fn names_or_entries(entries: Vec<NameOrEntry>) -> Vec<Entry> {
    entries
        .into_iter()
        .map(|entry| match entry {
            NameOrEntry::Name(name) => Label::new(name).into(),
            NameOrEntry::Entry(entry) => entry,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(extension: &str, text: &str) -> Result<LabelList, LabelError> {
        let file = tempfile::Builder::new().suffix(extension).tempfile().unwrap();
        std::fs::write(file.path(), text).unwrap();
        LabelList::from_file(file.path())
    }

    fn bike() -> Label {
        Label {
            name: "riding a bike".into(),
            kind: Some(Kind::Action),
            definition: Some("a person on a bicycle, moving".into()),
            synonyms: vec!["cycling".into(), "biking".into()],
            threshold: Some(0.3),
        }
    }

    #[test]
    fn every_format_says_the_same() {
        let expected = [Label::new("dog"), bike()];
        let csv = "\u{feff}name,kind,definition,synonyms,threshold\ndog,,,,\n\
                   riding a bike,action,\"a person on a bicycle, moving\",cycling; biking,0.3\n";
        let json = r#"["dog", {"name": "riding a bike", "kind": "action", "definition": "a person on a bicycle, moving",
                       "synonyms": ["cycling", "biking"], "threshold": 0.3}]"#;
        let yaml = "- dog\n- name: riding a bike\n  kind: action\n  definition: a person on a bicycle, moving\n  \
                    synonyms: [cycling, biking]\n  threshold: 0.3\n";
        for (extension, text) in [(".csv", csv), (".json", json), (".yaml", yaml), (".YML", yaml)] {
            assert_eq!(&parsed(extension, text).unwrap()[..], expected, "{extension}");
        }
        assert_eq!(parsed(".txt", "# things\ndog\n\n guitar \r\n").unwrap().len(), 2);
        assert_eq!(parsed(".csv", "dog\nguitar\n").unwrap()[0].name, "dog");
        assert_eq!(LabelList::from_inline("dog, riding a bike,").unwrap()[1].name, "riding a bike");
    }

    #[test]
    fn mistakes_are_told_where_they_are() {
        let message = |extension, text| parsed(extension, text).unwrap_err().to_string();
        assert!(message(".csv", "name,kind\ndog,animal\n").contains("animal"));
        assert!(message(".csv", "label,kind\ndog,entity\n").contains("column `name`"));
        assert!(message(".json", "{\"name\": 3}").contains("line 1"));
        assert!(message(".json", "[3]").contains("list of names"));
        assert!(message(".yaml", "- name: dog\n  kind: beast\n").contains("list of names"));
        assert!(message(".pdf", "dog").contains(".txt, .csv"));
        assert!(message(".txt", "# nothing\n").contains("no labels"));
        assert!(LabelList::from_file(Path::new("missing.txt")).unwrap_err().to_string().starts_with("missing.txt: "));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,80}", extension in "\\.(txt|csv|json|yaml)") {
            let _ = parsed(&extension, &text);
        }
    }
}
