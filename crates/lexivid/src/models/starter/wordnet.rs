//! WordNet 3.0: what a name may mean, and what is a kind of what.
//!
//! Reads the database files `data.noun` and `index.noun`, or those of verbs; format: the manual page `wndb(5WN)`.

use std::collections::{BTreeSet, HashMap};

/// Byte offset of a synset in `data.noun`: its identity. ImageNet's `n01440764` is offset 1440764.
pub type Offset = u32;

/// A set of synonymous words.
#[derive(Debug, Clone, PartialEq)]
pub struct Synset {
    /// Number of the lexicographer's file: the field that it is from (`lexnames(5WN)`).
    pub field: u8,
    /// The synonyms, most usual first; blanks instead of WordNet's underscores.
    pub words: Vec<String>,
    /// What this is a kind of, or an instance of.
    pub hypernyms: Vec<Offset>,
    /// It is one of a kind, not a kind: Newton, the Nile.
    pub individual: bool,
    /// Definition and examples.
    pub gloss: String,
}

impl Synset {
    /// The gloss without examples.
    pub fn definition(&self) -> &str {
        let example = self.gloss.match_indices(';').find(|(at, _)| self.gloss[at + 1..].trim_start().starts_with('"'));
        self.gloss[..example.map_or(self.gloss.len(), |(at, _)| at)].trim()
    }
}

/// All nouns, or all verbs.
#[derive(Debug, Clone, Default)]
pub struct WordNet {
    synsets: HashMap<Offset, Synset>,
    senses: HashMap<String, Vec<Offset>>,
}

impl WordNet {
    /// From the texts of `data.noun` and `index.noun`. The error names the line that does not follow the format.
    pub fn parse(data: &str, index: &str) -> Result<Self, String> {
        Self::read("noun", data, index)
    }

    /// From the texts of `data.verb` and `index.verb`; hypernyms of verbs are left out.
    pub fn parse_verbs(data: &str, index: &str) -> Result<Self, String> {
        Self::read("verb", data, index)
    }

    fn read(part: &str, data: &str, index: &str) -> Result<Self, String> {
        let mut wordnet = Self::default();
        // The licence stands at the head of both files, on lines that start with a blank.
        let entries = |text| str::lines(text).enumerate().filter(|(_, line)| !line.starts_with(' '));
        for (i, line) in entries(data) {
            let (offset, synset) = synset(line).ok_or_else(|| format!("data.{part}: line {} is no synset", i + 1))?;
            wordnet.synsets.insert(offset, synset);
        }
        for (i, line) in entries(index) {
            let (lemma, senses) = senses(line).ok_or_else(|| format!("index.{part}: line {} is no entry", i + 1))?;
            wordnet.senses.insert(lemma, senses);
        }
        Ok(wordnet)
    }

    /// All synsets.
    pub fn synsets(&self) -> impl Iterator<Item = &Synset> {
        self.synsets.values()
    }

    /// The synset at `offset`.
    pub fn synset(&self, offset: Offset) -> Option<&Synset> {
        self.synsets.get(&offset)
    }

    /// The synsets that a name may mean, most frequent first. `name` in lower case.
    pub fn senses(&self, name: &str) -> &[Offset] {
        self.senses.get(name).map_or(&[], Vec::as_slice)
    }

    /// All synsets above `offset`, itself not included.
    pub fn ancestors(&self, offset: Offset) -> BTreeSet<Offset> {
        let mut found = BTreeSet::new();
        let mut open = vec![offset];
        while let Some(synset) = open.pop().and_then(|o| self.synset(o)) {
            open.extend(synset.hypernyms.iter().filter(|h| found.insert(**h)));
        }
        found
    }
}

/// `offset file type count (word id)* pointers (symbol offset pos source/target)* | gloss`
fn synset(line: &str) -> Option<(Offset, Synset)> {
    let (fields, gloss) = line.split_once('|')?;
    let mut fields = fields.split_whitespace();
    let offset = fields.next()?.parse().ok()?;
    let field = fields.next()?.parse().ok()?;
    let count = usize::from_str_radix(fields.nth(1)?, 16).ok()?;
    let mut words = Vec::new();
    for _ in 0..count {
        words.push(fields.next()?.replace('_', " "));
        fields.next()?;
    }
    let pointers: usize = fields.next()?.parse().ok()?;
    let mut hypernyms = Vec::new();
    let mut individual = false;
    for _ in 0..pointers {
        let (symbol, target, part_of_speech) = (fields.next()?, fields.next()?, fields.next()?);
        fields.next()?;
        individual |= symbol == "@i";
        if matches!(symbol, "@" | "@i") && part_of_speech == "n" {
            hypernyms.push(target.parse().ok()?);
        }
    }
    Some((offset, Synset { field, words, hypernyms, individual, gloss: gloss.trim().to_owned() }))
}

/// `lemma pos senses pointers symbol* senses tagged offset*`
fn senses(line: &str) -> Option<(String, Vec<Offset>)> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let count: usize = fields.get(2)?.parse().ok()?;
    let offsets = fields.get(fields.len().checked_sub(count)?..)?;
    let offsets = offsets.iter().map(|o| o.parse().ok()).collect::<Option<_>>()?;
    Some((fields[0].replace('_', " "), offsets))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATA: &str = "  1 This software and database is being provided
00001740 03 n 01 entity 0 000 | that which is perceived  
02084071 05 n 03 dog 0 domestic_dog 0 Canis_familiaris 0 002 @ 00001740 n 0000 ~ 02110341 n 0000 | a member  
02110341 05 n 01 dalmatian 1 001 @ 02084071 n 0000 | a large breed  
09213565 17 n 01 Rover 0 001 @i 02110341 n 0000 | a \"dog\"  
";
    const INDEX: &str = "  1 This software and database is being provided
dog n 2 3 @ ~ #m 2 1 02084071 02110341
domestic_dog n 1 1 @ 1 0 02084071
";

    #[test]
    fn reads_synsets_senses_and_ancestors() {
        let wordnet = WordNet::parse(DATA, INDEX).expect("well-formed");
        let dog = wordnet.synset(2084071).expect("a synset");
        assert_eq!(dog.words, ["dog", "domestic dog", "Canis familiaris"]);
        assert_eq!(dog.gloss, "a member");
        assert_eq!((dog.field, dog.individual), (5, false));
        assert!(wordnet.synset(9213565).expect("a synset").individual);
        assert_eq!(wordnet.senses("dog"), [2084071, 2110341]);
        assert_eq!(wordnet.senses("domestic dog"), [2084071]);
        assert_eq!(wordnet.senses("cat"), [0; 0]);
        let above: Vec<_> = wordnet.ancestors(9213565).into_iter().collect();
        assert_eq!(above, [1740, 2084071, 2110341]);
    }

    #[test]
    fn a_definition_has_no_examples() {
        for (gloss, definition) in [
            ("a man; \"he is a man\"", "a man"),
            ("a \"quoted\" word; and more; \"as here; or here\"", "a \"quoted\" word; and more"),
            ("plain", "plain"),
        ] {
            let synset = Synset { field: 3, words: vec![], hypernyms: vec![], individual: false, gloss: gloss.into() };
            assert_eq!(synset.definition(), definition);
        }
    }

    #[test]
    fn a_circle_ends() {
        let data = "00000001 03 n 01 a 0 001 @ 00000002 n 0000 | x\n00000002 03 n 01 b 0 001 @ 00000001 n 0000 | y\n";
        let wordnet = WordNet::parse(data, "").expect("well-formed");
        assert_eq!(wordnet.ancestors(1).len(), 2);
    }

    #[test]
    fn names_the_broken_line() {
        let broken = DATA.replace("@ 02084071", "@ dog");
        assert_eq!(WordNet::parse(&broken, "").expect_err("broken"), "data.noun: line 4 is no synset");
        assert_eq!(WordNet::parse("", "dog n 9\n").expect_err("broken"), "index.noun: line 1 is no entry");
    }
}
