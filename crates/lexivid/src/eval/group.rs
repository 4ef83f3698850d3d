use crate::{dataset::Vocabulary, label::Kind};
use serde::Serialize;
use std::collections::BTreeSet;

/// What vocabulary the labels of a group compete in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// All labels, seen and unseen together.
    Generalized,
    /// Unseen labels only, as if there were no others.
    ZeroShot,
}

/// Labels that are evaluated together.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// What vocabulary they compete in.
    pub protocol: Protocol,
    /// "all", "entities", "actions", "seen", "unseen", or "subset " and its name.
    pub name: String,
    /// The labels that are counted.
    pub labels: Vec<usize>,
    /// The labels that compete for the first places of an example: those counted, or for "seen", "unseen" and subsets the
    /// whole vocabulary.
    pub candidates: Vec<usize>,
}

/// The groups of a vocabulary that have labels.
pub(super) fn groups(vocabulary: &Vocabulary) -> Vec<Group> {
    let all: Vec<usize> = (0..vocabulary.labels().len()).collect();
    let of =
        |from: &[usize], keep: &dyn Fn(usize) -> bool| from.iter().copied().filter(|l| keep(*l)).collect::<Vec<_>>();
    let is_kind = |kind| move |label: usize| vocabulary.kind(label) == Some(kind);
    let is_seen = |seen| move |label: usize| vocabulary.seen(label) == Some(seen);

    let mut groups = Vec::new();
    let mut add = |protocol, name: &str, labels: Vec<usize>, candidates: Option<&Vec<usize>>| {
        if !labels.is_empty() {
            let candidates = candidates.unwrap_or(&labels).clone();
            groups.push(Group { protocol, name: name.into(), labels, candidates });
        }
    };
    let unseen = of(&all, &is_seen(false));
    for (protocol, vocabulary) in [(Protocol::Generalized, &all), (Protocol::ZeroShot, &unseen)] {
        add(protocol, "all", vocabulary.clone(), None);
        add(protocol, "entities", of(vocabulary, &is_kind(Kind::Entity)), None);
        add(protocol, "actions", of(vocabulary, &is_kind(Kind::Action)), None);
        if protocol == Protocol::Generalized {
            add(protocol, "seen", of(vocabulary, &is_seen(true)), Some(vocabulary));
            add(protocol, "unseen", unseen.clone(), Some(vocabulary));
        }
    }
    let subsets: BTreeSet<&str> = all.iter().filter_map(|label| vocabulary.subset(*label)).collect();
    for subset in subsets {
        let labels = of(&all, &|label| vocabulary.subset(label) == Some(subset));
        add(Protocol::Generalized, &format!("subset {subset}"), labels, Some(&all));
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::{Entry, Label};

    #[test]
    fn every_column_makes_its_groups() {
        let entry = |name: &str, kind, seen, subset: Option<&str>| Entry {
            label: Label { kind, ..Label::new(name) },
            seen,
            subset: subset.map(Into::into),
            opposite: None,
        };
        let vocabulary = Vocabulary::new([
            entry("dog", Some(Kind::Entity), Some(true), Some("A")),
            entry("cat", Some(Kind::Entity), Some(false), Some("B")),
            entry("running", Some(Kind::Action), Some(false), None),
            entry("blue", None, None, Some("B")),
        ])
        .unwrap();
        let found: Vec<_> = groups(&vocabulary)
            .into_iter()
            .map(|g| format!("{:?} {} {:?} of {}", g.protocol, g.name, g.labels, g.candidates.len()))
            .collect();
        assert_eq!(
            found,
            [
                "Generalized all [0, 1, 2, 3] of 4",
                "Generalized entities [0, 1] of 2",
                "Generalized actions [2] of 1",
                "Generalized seen [0] of 4",
                "Generalized unseen [1, 2] of 4",
                "ZeroShot all [1, 2] of 2",
                "ZeroShot entities [1] of 1",
                "ZeroShot actions [2] of 1",
                "Generalized subset A [0] of 4",
                "Generalized subset B [1, 3] of 4",
            ]
        );
        let plain = Vocabulary::new([Label::new("dog").into()]).unwrap();
        assert_eq!(groups(&plain).len(), 1);
    }
}
