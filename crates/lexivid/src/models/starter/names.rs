//! Names of what the image tower was trained on: a label that is one of them needs no guess.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::wordnet::{Offset, WordNet};

/// A point of image space whose name is known: a class of the classifier, or a hypernym of classes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Anchor {
    /// The WordNet synset.
    pub synset: Offset,
    /// The name that text features are taken of.
    pub name: String,
    /// The classes under it, by their index; the class itself for a class.
    pub classes: Vec<usize>,
}

/// Hypernyms of more classes than this ("whole", "artifact") name nothing that can be seen.
const MOST_CLASSES: usize = 450;

/// The classes (`wnids` and `names` in their order), then the hypernyms of at least two classes.
pub(super) fn anchors(wordnet: &WordNet, wnids: &[Offset], names: &[Vec<String>]) -> Vec<Anchor> {
    let classes = wnids.iter().zip(names).enumerate();
    let mut anchors: Vec<Anchor> = classes
        .map(|(class, (synset, names))| Anchor { synset: *synset, name: names[0].clone(), classes: vec![class] })
        .collect();
    let mut below: BTreeMap<Offset, Vec<usize>> = BTreeMap::new();
    for (class, synset) in wnids.iter().enumerate() {
        for ancestor in wordnet.ancestors(*synset) {
            below.entry(ancestor).or_default().push(class);
        }
    }
    for (synset, classes) in below {
        // A class can be above another one (ImageNet has few such pairs): it keeps its own row.
        if (2..=MOST_CLASSES).contains(&classes.len()) && !wnids.contains(&synset) {
            let name = wordnet.synset(synset).and_then(|s| s.words.first()).cloned().unwrap_or_default();
            anchors.push(Anchor { synset, name, classes });
        }
    }
    anchors
}

/// Name -> anchor, for looking labels up. Names are folded ([`fold`]).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Names {
    /// Name of every anchor, as shown.
    pub anchors: Vec<String>,
    known: BTreeMap<String, usize>,
}

/// Synonyms count only where they are among the most usual meanings of the word: "plant" is a living thing, but "horse"
/// is no gymnastics apparatus.
const USUAL_SENSES: usize = 2;

impl Names {
    /// From the anchors, the classes' own names (first in `anchors`), and WordNet's irregular plurals (`noun.exc`).
    pub fn new(wordnet: &WordNet, anchors: &[Anchor], class_names: &[Vec<String>], plurals: &str) -> Self {
        let mut known = BTreeMap::new();
        let of_synset: HashMap<Offset, usize> = anchors.iter().enumerate().rev().map(|(i, a)| (a.synset, i)).collect();
        // Usual meanings first, by WordNet's order of senses; then the names that the classifier gives its classes.
        for word in anchors.iter().filter_map(|a| wordnet.synset(a.synset)).flat_map(|s| &s.words) {
            let word = fold(word);
            let senses = wordnet.senses(&word.replace('-', " "));
            if let Some(anchor) = senses.iter().take(USUAL_SENSES).find_map(|sense| of_synset.get(sense)) {
                known.insert(word, *anchor);
            }
        }
        for (class, names) in class_names.iter().enumerate() {
            for name in names {
                known.entry(fold(name)).or_insert(class);
            }
        }
        for line in plurals.lines() {
            let mut words = line.split_whitespace().map(|word| fold(&word.replace('_', " ")));
            if let (Some(plural), Some(singular)) = (words.next(), words.next())
                && let Some(anchor) = known.get(&singular).copied()
            {
                known.entry(plural).or_insert(anchor);
            }
        }
        Self { anchors: anchors.iter().map(|a| a.name.clone()).collect(), known }
    }

    /// The anchor that `label` names, in singular or plural.
    pub fn find(&self, label: &str) -> Option<usize> {
        let label = fold(label);
        let endings = [("", ""), ("s", ""), ("es", ""), ("ies", "y"), ("men", "man")]; // as morphy(7WN)
        endings.iter().find_map(|(plural, singular)| {
            let stem = label.strip_suffix(plural)?;
            self.known.get(&format!("{stem}{singular}")).copied()
        })
    }
}

/// Lower case, single blanks, no article in front.
pub(super) fn fold(name: &str) -> String {
    let lower = name.to_lowercase();
    let words: Vec<&str> = lower.split_whitespace().collect();
    match words.as_slice() {
        ["a" | "an" | "the", rest @ ..] if !rest.is_empty() => rest.join(" "),
        words => words.join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// entity > (animal > (dog > poodle, beagle), cat) and tool > (crane (machine), hammer).
    fn wordnet() -> WordNet {
        let entries = [
            (1, "entity", 0),
            (2, "animal", 1),
            (3, "dog", 2),
            (4, "poodle", 3),
            (5, "beagle", 3),
            (6, "cat", 2),
            (7, "tool", 1),
            (8, "crane", 7),
            (9, "hammer", 7),
            (10, "crane", 2),
        ];
        let data: String = entries
            .iter()
            .map(|(offset, word, above)| match above {
                0 => format!("{offset:08} 03 n 01 {word} 0 000 | x\n"),
                above => format!("{offset:08} 03 n 01 {word} 0 001 @ {above:08} n 0000 | x\n"),
            })
            .collect();
        let index = "crane n 2 0 2 0 00000010 00000008\ndog n 3 0 3 0 00000003 00000099 00000098\n\
                     cat n 3 0 3 0 00000099 00000098 00000006\nanimal n 1 0 1 0 00000002\n";
        WordNet::parse(&data, index).expect("well-formed")
    }

    fn names() -> (Vec<Anchor>, Names) {
        let wordnet = wordnet();
        let class_names: Vec<Vec<String>> = ["poodle,poodle dog", "beagle", "cat", "crane", "crane", "hammer"]
            .map(|names| names.split(',').map(Into::into).collect())
            .into();
        let anchors = anchors(&wordnet, &[4, 5, 6, 8, 10, 9], &class_names);
        let names = Names::new(&wordnet, &anchors, &class_names, "oxen ox\nkine cat\n");
        (anchors, names)
    }

    #[test]
    fn classes_come_first_then_hypernyms_of_two_or_more() {
        let (anchors, _) = names();
        let found: Vec<_> = anchors.iter().skip(6).map(|a| (a.name.as_str(), a.classes.clone())).collect();
        let expected: [(&str, Vec<usize>); 4] = [
            ("entity", vec![0, 1, 2, 3, 4, 5]),
            ("animal", vec![0, 1, 2, 4]),
            ("dog", vec![0, 1]),
            ("tool", vec![3, 5]),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn finds_names_in_any_dress() {
        let (anchors, names) = names();
        let find = |label: &str| names.find(label).map(|i| anchors[i].synset);
        assert_eq!(find("Poodle"), Some(4));
        assert_eq!(find("the  poodle dog"), Some(4));
        assert_eq!(find("beagles"), Some(5));
        assert_eq!(find("dogs"), Some(3));
        assert_eq!(find("kine"), Some(6), "irregular plurals");
        assert_eq!(find("a"), None);
        assert_eq!(find(""), None);
        assert_eq!(find("oxen"), None);
    }

    #[test]
    fn the_usual_meaning_wins_and_class_names_always_count() {
        let (anchors, names) = names();
        assert_eq!(names.find("crane").map(|i| anchors[i].synset), Some(10), "the first sense");
        assert_eq!(names.find("cat").map(|i| anchors[i].synset), Some(6), "third sense, but a class's own name");
    }
}
