//! A list of labels, checked, with duplicates merged.

use super::{Label, LabelError};
use std::{collections::HashMap, ops::Deref};

/// Labels that are ready for use: at least one, every name once, thresholds in 0..=1.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelList {
    labels: Vec<Label>,
    warnings: Vec<String>,
}

impl LabelList {
    /// Tidies white space, drops nameless entries and merges labels whose names differ only in case or white space:
    /// the first one's fields win, the others' fill its gaps and add their synonyms.
    pub fn new(labels: impl IntoIterator<Item = Label>) -> Result<Self, LabelError> {
        let mut list = Self { labels: Vec::new(), warnings: Vec::new() };
        let mut index_of_name = HashMap::new();
        for label in labels {
            let label = tidy(label);
            if label.name.is_empty() {
                continue;
            }
            if let Some(threshold) = label.threshold.filter(|t| !(0.0..=1.0).contains(t)) {
                return Err(LabelError::BadThreshold { label: label.name, threshold });
            }
            match index_of_name.get(&tidy_name(&label.name)) {
                Some(&index) => {
                    list.warnings.push(format!("label {:?} is given more than once: merged", label.name));
                    merge(&mut list.labels[index], label);
                }
                None => {
                    index_of_name.insert(tidy_name(&label.name), list.labels.len());
                    list.labels.push(label);
                }
            }
        }
        if list.labels.is_empty() { Err(LabelError::Empty) } else { Ok(list) }
    }

    /// What was mended, for the user to know.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

impl Deref for LabelList {
    type Target = [Label];

    fn deref(&self) -> &[Label] {
        &self.labels
    }
}

/// What of a name counts when names are compared: its words, in lower case.
pub fn tidy_name(name: &str) -> String {
    words(name.to_lowercase())
}

fn words(text: String) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn tidy(label: Label) -> Label {
    Label {
        name: words(label.name),
        kind: label.kind,
        definition: label.definition.map(words).filter(|d| !d.is_empty()),
        synonyms: label.synonyms.into_iter().map(words).filter(|s| !s.is_empty()).collect(),
        threshold: label.threshold,
    }
}

fn merge(kept: &mut Label, other: Label) {
    kept.kind = kept.kind.or(other.kind);
    kept.definition = kept.definition.take().or(other.definition);
    kept.threshold = kept.threshold.or(other.threshold);
    for synonym in other.synonyms {
        if !kept.synonyms.contains(&synonym) {
            kept.synonyms.push(synonym);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::Kind;
    use proptest::prelude::*;

    #[test]
    fn duplicates_are_merged_and_told() {
        let second = Label {
            kind: Some(Kind::Entity),
            synonyms: vec!["hound".into()],
            threshold: Some(0.7),
            ..Label::new("  DOG ")
        };
        let list = LabelList::new([Label::new("dog"), Label::new("riding  a\tbike"), second]).unwrap();
        assert_eq!(list.iter().map(|l| l.name.as_str()).collect::<Vec<_>>(), ["dog", "riding a bike"]);
        assert_eq!(list[0].kind, Some(Kind::Entity));
        assert_eq!(list[0].threshold, Some(0.7));
        assert_eq!(list[0].synonyms, ["hound"]);
        assert_eq!(list.warnings(), ["label \"DOG\" is given more than once: merged"]);
    }

    #[test]
    fn an_empty_list_and_bad_thresholds_are_errors() {
        assert!(matches!(LabelList::new([]), Err(LabelError::Empty)));
        assert!(matches!(LabelList::new([Label::new(" \t")]), Err(LabelError::Empty)));
        for threshold in [-0.1, 1.5, f32::NAN] {
            let label = Label { threshold: Some(threshold), ..Label::new("dog") };
            assert!(matches!(LabelList::new([label]), Err(LabelError::BadThreshold { .. })), "{threshold}");
        }
    }

    proptest! {
        #[test]
        fn names_are_unique_and_tidy(names in prop::collection::vec("[ aAbB]{0,4}", 1..20)) {
            let Ok(list) = LabelList::new(names.iter().map(Label::new)) else {
                prop_assert!(names.iter().all(|n| n.trim().is_empty()));
                return Ok(());
            };
            let mut lower: Vec<_> = list.iter().map(|l| l.name.to_lowercase()).collect();
            lower.sort();
            lower.dedup();
            prop_assert_eq!(lower.len(), list.len());
            let named = names.iter().filter(|n| !n.trim().is_empty()).count();
            prop_assert_eq!(list.len() + list.warnings().len(), named);
        }
    }
}
