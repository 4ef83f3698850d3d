//! Bags of words: what a name has in common with known ones, word by word.

use candle_core::{Device, Result, Tensor};
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::kernel_regression::median;

/// Words that say nothing about what a thing is, in names and in definitions.
const STOP: &str = "a an the of or and in for with to by used that is are from on as at having its which it other who when usually any one into made \
                    especially very often be not has being such but than their also can some large small";

/// The stems of a text's words, in order, without words that say nothing; suffixes are cut off roughly, by rule.
pub fn stems(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_lowercase());
    words.filter(|word| word.len() > 1 && !STOP.split_whitespace().any(|stop| stop == *word)).map(stem).collect()
}

fn stem(word: &str) -> String {
    /// What must be left of a word.
    const SHORTEST: usize = 3;
    for (ending, instead) in [("ing", ""), ("ies", "y"), ("es", ""), ("s", ""), ("ed", "")] {
        if let Some(stem) = word.strip_suffix(ending).filter(|stem| stem.len() >= SHORTEST) {
            return format!("{stem}{instead}");
        }
    }
    word.into()
}

/// Stems with weights.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bag(pub BTreeMap<String, f32>);

impl Bag {
    /// Adds the stems of a text; a stem that is there already keeps the greater weight.
    pub fn add(&mut self, text: &str, weight: f32) {
        for stem in stems(text) {
            let present = self.0.entry(stem).or_default();
            *present = present.max(weight);
        }
    }
}

/// How many texts of a collection have a stem.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Frequencies {
    texts: usize,
    of: HashMap<String, u32>,
}

impl Frequencies {
    /// Counts.
    pub fn count<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        let mut frequencies = Self::default();
        for text in texts {
            frequencies.texts += 1;
            for stem in stems(text).into_iter().collect::<BTreeSet<_>>() {
                *frequencies.of.entry(stem).or_default() += 1;
            }
        }
        frequencies
    }

    /// A bag as a vector of length 1: weights times log(texts / (1 + texts with the stem)). None for an empty bag.
    fn vector(&self, bag: &Bag) -> Option<Vec<(String, f32)>> {
        let rarity = |stem: &str| (self.texts as f32 / (1 + self.of.get(stem).copied().unwrap_or(0)) as f32).ln();
        let weighted: Vec<(String, f32)> = bag.0.iter().map(|(stem, w)| (stem.clone(), w * rarity(stem))).collect();
        let length = weighted.iter().map(|(_, w)| w * w).sum::<f32>().sqrt();
        (length > 0.0).then(|| weighted.into_iter().map(|(stem, w)| (stem, w / length)).collect())
    }
}

/// k(x, y) = exp(-|x - y|^2 / m) of bags as vectors of length 1, m being the median of |x - y|^2 over pairs of known names.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct BagKernel {
    known: usize,
    median: f32,
    /// Which known names have a stem, and how much of it.
    having: HashMap<String, Vec<(u32, f32)>>,
}

impl BagKernel {
    /// From the bags of the known names.
    pub fn fit(bags: &[Bag], frequencies: &Frequencies) -> Self {
        let mut kernel = Self { known: bags.len(), median: 1.0, having: HashMap::new() };
        for (name, bag) in bags.iter().enumerate() {
            for (stem, weight) in frequencies.vector(bag).unwrap_or_default() {
                kernel.having.entry(stem).or_default().push((name as u32, weight));
            }
        }
        kernel.median = median(bags.iter().flat_map(|bag| kernel.distances(bag, frequencies)).collect());
        kernel
    }

    /// |x - y|^2 of a bag and every known name.
    fn distances(&self, bag: &Bag, frequencies: &Frequencies) -> Vec<f32> {
        let mut distances = vec![2.0; self.known];
        for (stem, weight) in frequencies.vector(bag).unwrap_or_default() {
            for &(name, other) in self.having.get(&stem).into_iter().flatten() {
                distances[name as usize] -= 2.0 * weight * other;
            }
        }
        distances
    }

    /// B bags -> `[B, N]`. An empty bag has nothing in common with any.
    pub fn with(&self, bags: &[Bag], frequencies: &Frequencies) -> Result<Tensor> {
        let distances = bags.iter().flat_map(|bag| self.distances(bag, frequencies));
        let kernel = distances.map(|distance| (-distance.max(0.0) / self.median).exp()).collect();
        Tensor::from_vec(kernel, (bags.len(), self.known), &Device::Cpu)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bag(text: &str) -> Bag {
        let mut bag = Bag::default();
        bag.add(text, 1.0);
        bag
    }

    #[test]
    fn words_lose_their_endings_and_small_words_are_left_out() {
        assert_eq!(stems("The ponies, riding bikes"), ["pony", "rid", "bik"]);
        assert_eq!(stems("a bus used for gas; x"), ["bus", "gas"], "what is left must be a word");
    }

    #[test]
    fn the_greater_weight_of_a_stem_counts() {
        let mut bag = Bag::default();
        bag.add("horse", 0.5);
        bag.add("horses and riders", 0.25);
        assert_eq!(bag.0, BTreeMap::from([("hors".into(), 0.25), ("horse".into(), 0.5), ("rider".into(), 0.25)]));
    }

    #[test]
    fn what_shares_rare_words_is_nearer() {
        let texts =
            ["string instrument", "wind instrument", "instrument of wood", "kind of animal", "animal", "violin"];
        let frequencies = Frequencies::count(texts.into_iter());
        let known = [bag("string instrument"), bag("animal"), bag("wind instrument")];
        let kernel = BagKernel::fit(&known, &frequencies);
        let row = |text: &str| kernel.with(&[bag(text)], &frequencies).unwrap().to_vec2::<f32>().unwrap().remove(0);
        let cello = row("a string instrument");
        assert!((cello[0] - 1.0).abs() < 1e-5, "{cello:?}");
        assert!(cello[0] > cello[2] && cello[2] > cello[1], "{cello:?}");
        let nothing = row("");
        assert!(nothing.iter().all(|k| *k == nothing[0] && *k < cello[2]), "{nothing:?}");
    }

    proptest! {
        #[test]
        fn any_text_has_a_kernel(text in "\\PC{0,60}", known in prop::collection::vec("\\PC{0,30}", 1..6)) {
            let frequencies = Frequencies::count(known.iter().map(String::as_str));
            let bags: Vec<Bag> = known.iter().map(|text| bag(text)).collect();
            let row = BagKernel::fit(&bags, &frequencies).with(&[bag(&text)], &frequencies).unwrap();
            prop_assert!(row.flatten_all().unwrap().to_vec1::<f32>().unwrap().iter().all(|k| (0.0..=1.0).contains(k)));
        }
    }
}
