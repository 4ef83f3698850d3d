//! Attributes as text, which a language model writes: the baseline that soft attributes are compared with.

use super::{Generator, LanguageModelError, Limits, before_a_repeated_line};
use crate::{
    label::{Kind, Label},
    nn::Compute,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    fs::{self, OpenOptions},
    io::Write,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// Attributes of labels as a language model writes them (Menon & Vondrick, arXiv 2210.07183), each label's once: they are kept in
/// a file, a JSON object a line, which a person can read.
pub struct TextAttributes {
    language_model: PathBuf,
    file: PathBuf,
    state: Mutex<State>,
}

struct State {
    /// By what was asked.
    kept: HashMap<String, Vec<String>>,
    /// Read when the first label comes that the file does not have.
    generator: Option<Generator>,
}

/// A line of the file.
#[derive(Serialize, Deserialize)]
struct Line {
    label: String,
    attributes: Vec<String>,
    /// The last of the text that the language model went on with: another question, another answer.
    asked: String,
}

/// Tokens that are written at most, as in the paper's code.
const MOST_TOKENS: usize = 100;
/// Attributes of a label.
const MOST_ATTRIBUTES: usize = 8;
/// Words of an attribute beyond which it is a story.
const MOST_WORDS: usize = 12;

/// The paper's form of question and answer, with examples of our own.
const EXAMPLES: &str = "\
Q: What are useful visual features for distinguishing a heron in a photo?
A: There are several useful visual features to tell there is a heron in a photo:
- a tall wading bird
- grey or white feathers
- long, curved neck
- sharp yellow beak
- long thin legs

Q: What are useful visual features for recognizing ironing a shirt in a video?
A: There are several useful visual features to tell that a video shows ironing a shirt:
- a flat board with a cloth on it
- a hand that moves back and forth
- hot metal iron with a handle
- steam that rises
- creases that become smooth

";

/// The question about a label, and the beginning of its answer.
fn question(label: &Label) -> String {
    let name = label.name.trim();
    let meaning = label.definition.as_deref().map(|d| d.trim().trim_end_matches('.')).filter(|d| !d.is_empty());
    let meaning = meaning.map(|meaning| format!(" ({meaning})")).unwrap_or_default();
    match label.likely_kind() {
        Some(Kind::Action) => format!(
            "Q: What are useful visual features for recognizing {name}{meaning} in a video?\n\
             A: There are several useful visual features to tell that a video shows {name}:\n-"
        ),
        Some(Kind::Entity) | None => format!(
            "Q: What are useful visual features for distinguishing a {name}{meaning} in a photo?\n\
             A: There are several useful visual features to tell there is a {name} in a photo:\n-"
        ),
    }
}

impl TextAttributes {
    /// `file` keeps what `language_model` wrote; it need not exist.
    ///
    /// # Errors
    /// When it exists and cannot be read, or a line of it is not as it should be.
    pub fn open(language_model: &Path, file: &Path) -> Result<Self, LanguageModelError> {
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(LanguageModelError::Io { path: file.to_owned(), source }),
        };
        // A last line without an end was cut off by a crash: what comes next shall not be joined to it.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        if whole < text.len() {
            let cut = OpenOptions::new().write(true).open(file).and_then(|file| file.set_len(whole as u64));
            cut.map_err(|source| LanguageModelError::Io { path: file.to_owned(), source })?;
        }
        let mut kept = HashMap::new();
        for (number, line) in text[..whole].lines().enumerate() {
            let line: Line = serde_json::from_str(line).map_err(|e| LanguageModelError::BadFile {
                path: file.to_owned(),
                expected: format!("a label with its attributes in line {}", number + 1),
                got: e.to_string(),
            })?;
            kept.insert(line.asked, line.attributes);
        }
        let state = Mutex::new(State { kept, generator: None });
        Ok(Self { language_model: language_model.to_owned(), file: file.to_owned(), state })
    }

    /// Attributes of a label, at most eight, from the file, or written now and kept there. None where the language model found
    /// none.
    ///
    /// # Errors
    /// When the language model cannot be read, the file cannot be written, or `control` says `Break`, which it is asked for before every
    /// token.
    pub fn of(
        &self,
        label: &Label,
        control: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Vec<String>, LanguageModelError> {
        let asked = question(label);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(attributes) = state.kept.get(&asked) {
            return Ok(attributes.clone());
        }
        let generator = match &mut state.generator {
            Some(generator) => generator,
            none => {
                // In f32, so that other machines write the same.
                let compute = Compute::exact().map_err(candle_core::Error::wrap)?;
                none.insert(Generator::open(&self.language_model, &compute)?)
            }
        };
        let limits = Limits { most: MOST_TOKENS, enough: &enough };
        let written = generator.complete(&format!("{EXAMPLES}{asked}"), limits, control)?;
        let attributes = attributes(&written.text, written.cut_off);
        tracing::info!("{}: {}", label.name, attributes.join("; "));
        self.keep(&Line { label: label.name.clone(), attributes: attributes.clone(), asked: asked.clone() })?;
        state.kept.insert(asked, attributes.clone());
        Ok(attributes)
    }

    fn keep(&self, line: &Line) -> Result<(), LanguageModelError> {
        let mut text = serde_json::to_string(line).expect("texts");
        text.push('\n');
        let directory = self.file.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(directory)
            .and_then(|()| OpenOptions::new().create(true).append(true).open(&self.file))
            // At once, since other runs may add to it at the same time.
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|source| LanguageModelError::Io { path: self.file.clone(), source })
    }
}

/// Once there are enough attributes, they repeat, or the model begins with something else.
fn enough(text: &str) -> Option<usize> {
    let end = text.find("\nQ:").or_else(|| text.find("\n\n")).or_else(|| before_a_repeated_line(text));
    end.or_else(|| text.match_indices('\n').nth(MOST_ATTRIBUTES - 1).map(|(at, _)| at))
}

/// The attributes in what was written after the first dash.
fn attributes(text: &str, cut_off: bool) -> Vec<String> {
    let mut lines: Vec<&str> = text.split('\n').collect();
    if cut_off {
        lines.pop();
    }
    let mut found: Vec<String> = Vec::new();
    for (number, line) in lines.into_iter().enumerate() {
        let item = if number == 0 { Some(line) } else { line.trim_start().strip_prefix('-') };
        let Some(item) = item else { continue };
        let item = item.trim_matches(|c: char| c.is_whitespace() || matches!(c, '-' | '.' | ',' | ';' | ':' | '"'));
        let is_new = found.iter().all(|known| !known.eq_ignore_ascii_case(item));
        let words = item.split_whitespace().count();
        if item.contains(char::is_alphabetic) && words <= MOST_WORDS && is_new && found.len() < MOST_ATTRIBUTES {
            found.push(item.into());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/language_models/qwen2");

    #[test]
    fn attributes_are_the_items_of_the_list() {
        let text = " four legs\n- a tail.\n-  Four legs\n- \n* a bark\n- 1\n- this one goes on and on and on and tells of a dog that it knew\n- \"wet nose\"";
        assert_eq!(attributes(text, false), ["four legs", "a tail", "wet nose"]);
        assert_eq!(attributes(text, true), ["four legs", "a tail"]);
        assert_eq!(attributes("", true), [""; 0]);
        let many: String = (0..20).map(|i| format!(" part {i}\n-")).collect();
        assert_eq!(attributes(&many[..enough(&many).unwrap()], false).len(), MOST_ATTRIBUTES);
        assert_eq!(enough(" a\n- b\nQ: What"), Some(6));
        assert_eq!(enough(" a\n- b\n- b"), None, "it may go on with a longer one");
        assert_eq!(enough(" a\n- b\n- b\n"), Some(6));
    }

    #[test]
    fn a_question_is_in_the_paper_s_form() {
        assert!(
            question(&Label::new("dog"))
                .starts_with("Q: What are useful visual features for distinguishing a dog in a photo?")
        );
        let riding = Label { definition: Some("on two wheels.".into()), ..Label::new("riding a bike") };
        assert!(question(&riding).contains("for recognizing riding a bike (on two wheels) in a video?"));
    }

    #[test]
    fn what_the_file_has_is_not_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("attributes/tiny.jsonl");
        let nowhere = dir.path().join("nowhere.gguf");
        let dog = Label::new("dog");
        let asked = question(&dog);
        fs::create_dir(dir.path().join("attributes")).unwrap();
        let line = serde_json::json!({"label": "dog", "attributes": ["four legs"], "asked": asked});
        fs::write(&file, format!("{line}\n{{\"label\": \"ca")).unwrap();
        let attributes = TextAttributes::open(&nowhere, &file).unwrap();
        let mut go_on = || ControlFlow::Continue(());
        assert_eq!(attributes.of(&dog, &mut go_on).unwrap(), ["four legs"]);
        assert_eq!(fs::read_to_string(&file).unwrap(), format!("{line}\n"), "what a crash left is gone");
        let error = attributes.of(&Label::new("cat"), &mut go_on).unwrap_err();
        assert!(matches!(error, LanguageModelError::Io { .. }), "{error}");
        fs::write(&file, "no JSON\n").unwrap();
        let error = TextAttributes::open(&nowhere, &file).err().unwrap().to_string();
        assert!(error.contains("expected a label with its attributes in line 1"), "{error}");
    }

    #[test]
    fn what_is_written_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("attributes/tiny.jsonl");
        let dog = Label::new("dog");
        let mut go_on = || ControlFlow::Continue(());
        let first = TextAttributes::open(Path::new(TINY), &file).unwrap();
        let error = first.of(&dog, &mut || ControlFlow::Break(())).unwrap_err();
        assert!(matches!(error, LanguageModelError::Interrupted) && !file.exists(), "{error}");
        let written = first.of(&dog, &mut go_on).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(text.lines().count(), 1);
        assert!(text.starts_with("{\"label\":\"dog\",\"attributes\":["), "{text}");
        // Another run finds it, and needs no language model.
        let second = TextAttributes::open(Path::new("nowhere.gguf"), &file).unwrap();
        assert_eq!(second.of(&dog, &mut go_on).unwrap(), written);
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
    }
}
