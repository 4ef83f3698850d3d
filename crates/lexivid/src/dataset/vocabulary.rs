use super::DatasetError;
use crate::label::{Entry, Kind, LabelList, tidy_name};
use std::{collections::HashMap, io::Write, path::Path};

/// Labels of a data set, each with what is known of it beyond its meaning.
#[derive(Debug, Clone, PartialEq)]
pub struct Vocabulary {
    labels: LabelList,
    /// One a label.
    facts: Vec<Facts>,
    /// Tidy names and synonyms -> the label; `None`: two labels share the synonym.
    by_name: HashMap<String, Option<usize>>,
    warnings: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Default)]
struct Facts {
    seen: Option<bool>,
    subset: Option<String>,
    opposite: Option<usize>,
}

impl Vocabulary {
    /// A labels file as [`LabelList::from_file`] reads it, with the further columns of an [`Entry`].
    pub fn read(path: &Path) -> Result<Self, DatasetError> {
        Self::new(Entry::read_all(path)?)
    }

    /// Writes the vocabulary as JSON to `path`, which should end so: [`Vocabulary::read`] goes by that. The file appears
    /// whole or not at all.
    pub fn write(&self, path: &Path) -> Result<(), DatasetError> {
        let write = || -> std::io::Result<()> {
            let mut file = crate::atomic::File::create(path)?;
            serde_json::to_writer_pretty(&mut file, &self.entries())?;
            file.write_all(b"\n")?;
            file.commit()
        };
        write().map_err(|source| DatasetError::Io { path: path.into(), source })
    }

    /// Tidies and merges the labels as [`LabelList::new`] does; of what is said of a label twice, the first counts.
    ///
    /// # Errors
    /// Where [`LabelList::new`] has some, and when a label's opposite is not mutual.
    pub fn new(entries: impl IntoIterator<Item = Entry>) -> Result<Self, DatasetError> {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let labels = LabelList::new(entries.iter().map(|entry| entry.label.clone()))?;
        let mut warnings = labels.warnings().to_vec();
        let mut by_name: HashMap<String, Option<usize>> =
            labels.iter().enumerate().map(|(index, label)| (tidy_name(&label.name), Some(index))).collect();
        let named = by_name.clone();
        for (index, synonym) in labels.iter().enumerate().flat_map(|(i, l)| l.synonyms.iter().map(move |s| (i, s))) {
            let name = tidy_name(synonym);
            if named.contains_key(&name) {
                continue;
            }
            let label = by_name.entry(name).or_insert(Some(index));
            if label.is_some_and(|other| other != index) {
                warnings.push(format!("more than one label has the synonym {synonym:?}: it names none of them"));
                *label = None;
            }
        }

        let mut facts = vec![Facts::default(); labels.len()];
        let mut opposites: Vec<Option<String>> = vec![None; labels.len()];
        for entry in entries {
            let Some(index) = named.get(&tidy_name(&entry.label.name)).copied().flatten() else { continue };
            let known = &mut facts[index];
            known.seen = known.seen.or(entry.seen);
            known.subset = known.subset.take().or(entry.subset);
            opposites[index] = opposites[index].take().or(entry.opposite);
        }
        let vocabulary = Self { labels, facts, by_name, warnings };
        vocabulary.with_opposites(&opposites)
    }

    fn with_opposites(mut self, opposites: &[Option<String>]) -> Result<Self, DatasetError> {
        let found: Vec<_> = opposites.iter().map(|name| self.find(name.as_deref()?)).collect();
        for (index, name) in opposites.iter().enumerate() {
            let Some(name) = name else { continue };
            let reason = match found[index] {
                None => "which is not in the vocabulary".into(),
                Some(other) if other == index => "which is the label itself".into(),
                Some(other) if found[other] != Some(index) => match &opposites[other] {
                    Some(third) => format!("whose opposite is {third:?}"),
                    None => "which names none".into(),
                },
                Some(_) => continue,
            };
            return Err(DatasetError::Opposite {
                label: self.labels[index].name.clone(),
                opposite: name.clone(),
                reason,
            });
        }
        self.facts.iter_mut().zip(found).for_each(|(facts, opposite)| facts.opposite = opposite);
        Ok(self)
    }

    /// The labels, in the file's order.
    pub fn labels(&self) -> &LabelList {
        &self.labels
    }

    /// The label of this name or synonym; case and surplus white space do not matter.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(&tidy_name(name)).copied().flatten()
    }

    /// Thing or action, as said, or else as the name suggests.
    pub fn kind(&self, label: usize) -> Option<Kind> {
        self.labels[label].likely_kind()
    }

    /// Whether the label, or a synonym of it, was trained on; `None`: not said.
    pub fn seen(&self, label: usize) -> Option<bool> {
        self.facts[label].seen
    }

    /// The part of the vocabulary that the label belongs to, by whatever name.
    pub fn subset(&self, label: usize) -> Option<&str> {
        self.facts[label].subset.as_deref()
    }

    /// The label that is this one reversed in time: "moving right" of "moving left".
    pub fn opposite(&self, label: usize) -> Option<usize> {
        self.facts[label].opposite
    }

    /// What was mended, for the user to know.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    fn entries(&self) -> Vec<Entry> {
        let entry = |(label, facts): (&crate::label::Label, &Facts)| Entry {
            label: label.clone(),
            seen: facts.seen,
            subset: facts.subset.clone(),
            opposite: facts.opposite.map(|other| self.labels[other].name.clone()),
        };
        self.labels.iter().zip(&self.facts).map(entry).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::Label;

    fn read(extension: &str, text: &str) -> Result<Vocabulary, DatasetError> {
        let file = tempfile::Builder::new().suffix(extension).tempfile().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Vocabulary::read(file.path())
    }

    const CSV: &str = "name,kind,synonyms,seen,subset,opposite\n\
                       dog,entity,hound; canine,true,seen,\n\
                       moving left,action,,false,U1,moving  RIGHT\n\
                       moving right,action,,false,U1,moving left\n\
                       canine,,,,P,\n";

    #[test]
    fn every_format_says_the_same() {
        let json = r#"[{"name": "dog", "kind": "entity", "synonyms": ["hound", "canine"], "seen": true, "subset": "seen"},
            {"name": "moving left", "kind": "action", "seen": false, "subset": "U1", "opposite": "moving  RIGHT"},
            {"name": "moving right", "kind": "action", "seen": false, "subset": "U1", "opposite": "moving left"},
            {"name": "canine", "subset": "P"}]"#;
        let csv = read(".csv", CSV).unwrap();
        assert_eq!(csv, read(".json", json).unwrap());
        assert_eq!(csv.labels().len(), 4);
        assert_eq!((csv.seen(0), csv.seen(1), csv.seen(3)), (Some(true), Some(false), None));
        assert_eq!((csv.subset(0), csv.subset(3)), (Some("seen"), Some("P")));
        assert_eq!((0..4).map(|l| csv.opposite(l)).collect::<Vec<_>>(), [None, Some(2), Some(1), None]);
        assert_eq!((csv.kind(0), csv.kind(3)), (Some(Kind::Entity), None));

        let dir = tempfile::tempdir().unwrap();
        csv.write(&dir.path().join("v.json")).unwrap();
        assert_eq!(Vocabulary::read(&dir.path().join("v.json")).unwrap(), csv);
        assert_eq!(read(".txt", "dog\ncat\n").unwrap().seen(1), None);
    }

    #[test]
    fn names_go_before_synonyms_and_shared_synonyms_name_nobody() {
        let vocabulary = read(".csv", CSV).unwrap();
        assert_eq!(vocabulary.find(" Moving LEFT"), Some(1));
        assert_eq!(vocabulary.find("Hound"), Some(0));
        assert_eq!(vocabulary.find("canine"), Some(3));
        assert_eq!(vocabulary.find("cat"), None);
        let crane = |name: &str| Entry::from(Label { synonyms: vec!["crane".into()], ..Label::new(name) });
        let shared = Vocabulary::new([crane("bird"), crane("machine")]).unwrap();
        assert_eq!(shared.find("crane"), None);
        assert!(shared.warnings()[0].contains("synonym \"crane\""), "{:?}", shared.warnings());
    }

    #[test]
    fn duplicates_fill_each_others_gaps() {
        let vocabulary = read(".csv", "name,seen,subset\ndog,,U1\nDog,true,U2\n").unwrap();
        assert_eq!((vocabulary.seen(0), vocabulary.subset(0)), (Some(true), Some("U1")));
        assert_eq!(vocabulary.warnings().len(), 1);
    }

    #[test]
    fn opposites_are_mutual() {
        for (text, expected) in [
            ("a,b\n", "not in the vocabulary"),
            ("a,a\n", "the label itself"),
            ("a,b\nb,\n", "names none"),
            ("a,b\nb,c\nc,b\n", "whose opposite is \"c\""),
        ] {
            let error = read(".csv", &format!("name,opposite\n{text}")).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("\"a\""), "{text}: {error}");
        }
    }
}
