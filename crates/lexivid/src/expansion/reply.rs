//! A language model's reply -> the names in it, whatever form it chose.

use super::Reply;
use crate::label::tidy_name;
use serde_json::Value;
use std::collections::HashSet;

/// Words of a name beyond which it is taken for a sentence.
const MOST_WORDS: usize = 6;

/// Letters of a name beyond which it is no name.
const MOST_CHARS: usize = 60;

/// The names in a reply, in order, at most `most` of them, each once: from JSON (a list of names or of objects with `name` or
/// `label`, or an object of such lists), fenced or amid prose; or else from lines, of which only the numbered or bulleted ones
/// count where there are any; or from one line with commas. Explanations after a colon or a dash are dropped, and so are sentences.
pub fn names(reply: &Reply, most: usize) -> Vec<String> {
    let mut said = match json(&reply.text) {
        Some(value) => {
            let mut said = Vec::new();
            collect(&value, &mut said);
            said
        }
        None => lines(&reply.text),
    };
    if reply.cut_off && said.len() > 1 {
        // Half a name may be another name.
        said.pop();
    }
    let mut known = HashSet::new();
    said.retain_mut(|name| {
        *name = tidied(name);
        is_name(name) && known.insert(tidy_name(name))
    });
    said.truncate(most);
    said
}

/// The text itself, or what stands between the outermost brackets of it.
fn json(text: &str) -> Option<Value> {
    let between = |open: char, close: char| text.get(text.find(open)?..=text.rfind(close)?);
    let candidates = [Some(text.trim()), between('[', ']'), between('{', '}')];
    let parsed = candidates.into_iter().flatten().filter_map(|text| serde_json::from_str::<Value>(text).ok());
    parsed.into_iter().find(|value| value.is_array() || value.is_object())
}

fn collect(value: &Value, said: &mut Vec<String>) {
    match value {
        Value::String(name) => said.push(name.clone()),
        Value::Array(values) => values.iter().for_each(|value| collect(value, said)),
        Value::Object(fields) => match fields.get("name").or(fields.get("label")) {
            Some(name) => collect(name, said),
            None => fields.values().filter(|value| value.is_array()).for_each(|value| collect(value, said)),
        },
        _ => {}
    }
}

fn lines(text: &str) -> Vec<String> {
    let lines: Vec<&str> =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("```")).collect();
    let items = lines.iter().filter_map(|line| item(line)).filter(|rest| rest.contains(char::is_alphabetic));
    let listed: Vec<String> = items.map(String::from).collect();
    match (listed.is_empty(), lines.as_slice()) {
        (false, _) => listed,
        (true, [line]) => sequence(line),
        (true, lines) => lines.iter().filter(|line| !line.ends_with(':')).map(|line| line.to_string()).collect(),
    }
}

/// `a, b and c`; nothing where a part is no name, since then it is prose.
fn sequence(line: &str) -> Vec<String> {
    let parts = line.split([',', ';']).map(str::trim).filter(|part| !part.is_empty());
    let parts: Vec<String> = parts.map(|part| part.strip_prefix("and ").unwrap_or(part).into()).collect();
    if parts.iter().all(|part| is_name(&tidied(part))) { parts } else { Vec::new() }
}

/// What follows `-`, `*`, `•`, `3.`, `3)`, `(3)` at the beginning of a line.
fn item(line: &str) -> Option<&str> {
    if let Some(rest) = line.strip_prefix(['-', '•', '–', '·']) {
        return Some(rest);
    }
    // Two of them would be bold text.
    if let Some(rest) = line.strip_prefix('*').filter(|rest| !rest.starts_with('*')) {
        return Some(rest);
    }
    let rest = line.strip_prefix('(').unwrap_or(line);
    let unnumbered = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    (unnumbered.len() < rest.len()).then(|| unnumbered.strip_prefix(['.', ')', ':'])).flatten()
}

/// Without explanations, quotes, emphasis, closing points and article.
fn tidied(name: &str) -> String {
    let plain = name.replace(['*', '`', '"', '“', '”', '_'], " ");
    let ends = [":", " - ", " – ", " — ", " ("].iter().filter_map(|end| plain.trim_start().find(end));
    let plain = plain.trim_start();
    let plain = &plain[..ends.min().unwrap_or(plain.len())];
    let plain = plain.trim_matches(|c: char| c.is_whitespace() || matches!(c, '\'' | '.' | ',' | ';' | '!' | '?'));
    let lower = plain.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let bare = ["a ", "an ", "the "].iter().find_map(|article| lower.strip_prefix(article));
    bare.map(String::from).unwrap_or(lower)
}

fn is_name(name: &str) -> bool {
    name.chars().any(char::is_alphabetic)
        && name.split(' ').count() <= MOST_WORDS
        && name.chars().count() <= MOST_CHARS
        && !name.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(text: &str) -> Vec<String> {
        names(&Reply { text: text.into(), cut_off: false }, 10)
    }

    #[test]
    fn every_form_of_a_list_is_read() {
        let expected = ["animal", "front wheel", "riding a bike"];
        for text in [
            "animal\nfront wheel\nriding a bike",
            "Here are three:\n\n1. Animal\n2) **Front wheel**: it turns\n(3) riding a bike.\n\nThese three parts serve as one.",
            "- an animal\n* The front wheel - at the front\n• \"riding a bike\"",
            "animal, front  wheel, and riding a bike.",
            r#"["animal", "front wheel", "riding a bike", "ANIMAL", 3]"#,
            "Sure!\n```json\n[\"animal\", \"front wheel\", \"riding a bike\"]\n```\nAnything else?",
            r#"{"labels": [{"name": "animal"}, {"label": "front wheel"}], "actions": ["riding a bike"], "count": 3}"#,
        ] {
            assert_eq!(of(text), expected, "{text}");
        }
    }

    #[test]
    fn sentences_and_what_was_cut_off_are_dropped() {
        assert_eq!(of("I am sorry, but as a language model that cannot see I cannot list them"), [""; 0]);
        assert_eq!(of("dog\nthis line goes on for much longer than a name does\n42\n--"), ["dog"]);
        let cut_off = Reply { text: "1. saddle\n2. handle".into(), cut_off: true };
        assert_eq!(names(&cut_off, 10), ["saddle"]);
        assert_eq!(names(&Reply { text: "a\nb\nc".into(), cut_off: false }, 2), ["a", "b"]);
        assert_eq!(of(""), [""; 0]);
    }

    proptest! {
        #[test]
        fn whatever_is_said_gives_tidy_names(text in "(\\PC|[\n\\[\\]{}\",*:.1-]){0,120}", cut_off: bool) {
            for name in names(&Reply { text, cut_off }, 10) {
                prop_assert!(is_name(&name), "{:?}", name);
                prop_assert_eq!(tidy_name(&name), name);
            }
        }
    }
}
