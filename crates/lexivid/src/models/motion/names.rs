/// What the list of names begins with in gluoncv's `data/kinetics400/classification.py`.
const LIST: &str = "self.classes = [";

/// The names of Kinetics' classes out of gluoncv's source, which is not run: the strings of one list. As they are published: `tying_knot_-not_on_a_tie-`
/// is "tying knot (not on a tie)".
///
/// # Errors
/// Says what was expected and what was found.
pub(super) fn class_names(source: &str, classes: usize) -> Result<Vec<String>, String> {
    let (_, list) = source.split_once(LIST).ok_or_else(|| format!("expected `{LIST}`, got none"))?;
    let names = strings(list)?;
    match names.len() {
        found if found == classes => Ok(names.into_iter().map(published).collect()),
        found => Err(format!("expected {classes} names, got {found}")),
    }
}

/// The strings of a Python list, from behind its bracket on. They have no escapes.
fn strings(mut list: &str) -> Result<Vec<&str>, String> {
    let mut strings = Vec::new();
    loop {
        list = list.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
        let end = match list.chars().next() {
            Some(']') => return Ok(strings),
            Some(quote @ ('\'' | '"')) => list[1..].find(quote),
            _ => None,
        };
        let string = end.map(|end| &list[1..=end]).filter(|string| !string.contains(['\\', '\n']));
        let Some(string) = string else {
            let got: String = list.chars().take(30).collect();
            return Err(format!("expected a string or the list's end, got {got:?}"));
        };
        strings.push(string);
        list = &list[string.len() + 2..];
    }
}

fn published(name: &str) -> String {
    let name = name.replace('_', " ");
    match name.strip_suffix('-').and_then(|name| name.split_once(" -")) {
        Some((name, remark)) => format!("{name} ({remark})"),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_read_and_counted() {
        let source =
            "x = ['no']\n    self.classes = ['air_drumming',\n   \"massaging_person's_head\", 'hurling_-sport-']\nrest";
        assert_eq!(class_names(source, 3).unwrap(), ["air drumming", "massaging person's head", "hurling (sport)"]);
        assert_eq!(class_names(source, 400).unwrap_err(), "expected 400 names, got 3");
    }

    #[test]
    fn other_things_than_strings_are_refused() {
        for list in ["names()]", "'a', 7]", "'a'", "'a', 'b", r"'a\'s']", "'a\nb']", ""] {
            assert!(class_names(&format!("{LIST}{list}"), 1).is_err(), "{list}");
        }
        assert!(class_names("classes = ['a']", 1).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(list in "[\\['\",\\] a_é\\\\-]{0,40}") {
            _ = class_names(&format!("{LIST}{list}"), 2);
        }
    }
}
