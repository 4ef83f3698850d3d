//! Stage as files: videos, manifest, vocabulary, and a description of the whole.

use crate::{
    Assets, Role, StageError, World,
    casting::{reserved, scenes},
    film,
    labels::{called, holds},
    render::{Wardrobe, frames},
    scene::{RATE, SIDE, Scene, Split},
    vocabulary::{StageLabel, labels, vocabulary},
};
use lexivid::{
    dataset::{Example, Manifest, Negatives, Truth, Vocabulary},
    label::{Entry, Kind, Label},
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    ops::ControlFlow,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

/// Counts up whenever the same seed gives other videos or labels.
const VERSION: u32 = 1;

/// What a language model proposed for seen labels and a person kept (docs/STAGE.md).
const SYNTHETIC: &str = include_str!("../synthetic.csv");

/// What actors are drawn with, and by which licence.
const LICENCES: [(&str, &str); 6] = [
    ("Noto Color Emoji, Google (train)", "OFL-1.1"),
    ("Fluent Emoji, Microsoft (train; flat: val)", "MIT"),
    ("Emoji One 2 (train)", "CC-BY-4.0"),
    ("Firefox OS Emoji, Mozilla (train)", "Apache-2.0"),
    ("Twemoji, Twitter and others (test)", "CC-BY-4.0"),
    ("names and keywords of Unicode's CLDR, by emojibase-data", "MIT, Unicode-3.0"),
];

/// How many videos.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Size {
    /// For tests: 60 for training, 24 for choosing, 80 for judging.
    Small,
    /// For claims: 4,000, 400 and 1,200.
    Full,
}

impl Size {
    /// Videos of a split.
    pub fn videos(self, split: Split) -> usize {
        match (self, split) {
            (Size::Small, Split::Train) => 60,
            (Size::Small, Split::Val) => 24,
            (Size::Small, Split::Test) => 80,
            (Size::Full, Split::Train) => 4000,
            (Size::Full, Split::Val) => 400,
            (Size::Full, Split::Test) => 1200,
        }
    }
}

/// A whole stage, planned: nothing of it is drawn yet.
pub struct Stage<'a> {
    /// Where pictures come from.
    assets: &'a Assets,
    world: World,
    size: Size,
    seed: u64,
    /// All splits, one after the other.
    pub scenes: Vec<Scene>,
    /// The vocabulary, with what its labels mean.
    pub labels: Vec<StageLabel>,
    /// What each concept is to each label.
    called: Vec<Vec<Truth>>,
}

/// What `stage.json` says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// What this is, for whoever finds the directory.
    pub what: String,
    /// Of the recipe.
    pub version: u32,
    /// What chance was seeded with.
    pub seed: u64,
    /// How many videos.
    pub size: Size,
    /// Frames a second.
    pub frame_rate: u32,
    /// Width and height of the videos, in pixels.
    pub side: u32,
    /// By split.
    pub splits: BTreeMap<Split, SplitSummary>,
    /// By part of the vocabulary, and by kind.
    pub labels: Vec<LabelsSummary>,
    /// What the videos are made of, and its licence.
    pub licences: BTreeMap<String, String>,
}

impl Summary {
    /// Reads `stage.json` of what [`Stage::write`] made.
    ///
    /// # Errors
    /// When `dir` holds no stage.
    pub fn read(dir: &Path) -> Result<Self, StageError> {
        let path = dir.join("stage.json");
        let text = fs::read_to_string(&path).map_err(|source| StageError::Io { path: path.clone(), source })?;
        serde_json::from_str(&text).map_err(|e| StageError::Io { path, source: e.into() })
    }
}

/// One split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SplitSummary {
    /// How many.
    pub videos: usize,
    /// Their length together.
    pub seconds: f64,
}

/// A part of the vocabulary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelsSummary {
    /// "seen", "U1", "U2", "P" or "C".
    pub subset: String,
    /// Things or actions.
    pub kind: Kind,
    /// How many.
    pub labels: usize,
    /// Labels with at least one positive in the test split.
    pub tested: usize,
    /// Fewest positives in the test split that one of those has.
    pub fewest: usize,
    /// Positives by split, all labels together.
    pub positives: BTreeMap<Split, usize>,
}

impl<'a> Stage<'a> {
    /// Plans all videos; the same for the same seed.
    pub fn new(assets: &'a Assets, size: Size, seed: u64) -> Self {
        let world = World::new(assets);
        let reserved = reserved(&world);
        let scenes = Split::ALL
            .into_iter()
            .flat_map(|split| scenes(&world, assets, &reserved, split, size.videos(split), seed))
            .collect();
        let labels = labels(&world, &reserved);
        let called_so = |label: &StageLabel| {
            let of = |concept| called(&label.meaning, &label.entry.label.name, concept, &world);
            (0..world.concepts.len()).map(of).collect()
        };
        let called = labels.iter().map(called_so).collect();
        Self { assets, world, size, seed, scenes, labels, called }
    }

    /// What is known of a scene, one a label. For training and choosing, labels that are not seen are never positive: where
    /// they hold, nothing is said.
    pub fn truths(&self, scene: &Scene) -> Vec<Truth> {
        let known = |(label, called): (&StageLabel, &Vec<Truth>)| match (
            holds(&label.meaning, &|concept| called[concept], scene),
            scene.split,
            label.entry.seen,
        ) {
            (Truth::Positive, Split::Train | Split::Val, Some(false)) => Truth::Unknown,
            (truth, ..) => truth,
        };
        self.labels.iter().zip(&self.called).map(known).collect()
    }

    /// The manifest's line for a scene.
    pub fn example(&self, scene: &Scene) -> Example {
        let truths = self.truths(scene);
        let named = |wanted: Truth| {
            let with = self.labels.iter().zip(&truths).filter(|(_, truth)| **truth == wanted);
            with.map(|(label, _)| label.entry.label.name.clone()).collect()
        };
        Example {
            positives: named(Truth::Positive),
            negatives: Negatives::Rest,
            unknown: named(Truth::Unknown),
            split: Some(scene.split.name().into()),
            ..Example::of_video(scene.path())
        }
    }

    /// Writes `stage.json`, the videos, `vocabulary.json` and `manifest.jsonl` into `dir`; the manifest last, so that it stands for
    /// the whole. Videos that are there already are kept. `observe` is told after each video how many there are, of how many, and
    /// may stop the work.
    ///
    /// # Errors
    /// When something cannot be drawn, encoded or written, and when `dir` holds another stage.
    pub fn write(
        &self,
        dir: &Path,
        observe: &(dyn Fn(usize, usize) -> ControlFlow<()> + Sync),
    ) -> Result<Summary, StageError> {
        let io = |path: &Path, source| StageError::Io { path: path.into(), source };
        for split in Split::ALL {
            let videos = dir.join("videos").join(split.name());
            fs::create_dir_all(&videos).map_err(|e| io(&videos, e))?;
        }
        let summary = self.summary();
        self.describe(&dir.join("stage.json"), &summary)?;

        let wardrobe = Wardrobe::new(self.assets, &self.world);
        let done = AtomicUsize::new(0);
        self.scenes.par_iter().try_for_each(|scene| {
            let path = dir.join(scene.path());
            if !path.exists() {
                film::write(&path, &frames(scene, &wardrobe)?)?;
            }
            match observe(done.fetch_add(1, Ordering::Relaxed) + 1, self.scenes.len()) {
                ControlFlow::Continue(()) => Ok(()),
                ControlFlow::Break(()) => Err(StageError::Interrupted),
            }
        })?;

        vocabulary(&self.labels)?.write(&dir.join("vocabulary.json"))?;
        self.words()?.write(&dir.join("words.json"))?;
        let synthetic = dir.join("synthetic.csv");
        fs::write(&synthetic, SYNTHETIC).map_err(|e| io(&synthetic, e))?;
        let examples: Vec<Example> = self.scenes.iter().map(|scene| self.example(scene)).collect();
        Manifest::write(&dir.join("manifest.jsonl"), &examples)?;
        Ok(summary)
    }

    /// Things that a pretrained model may know and a training may name: those that are seen, and those that Stage never shows, with
    /// their keywords. No label of another subset is among them.
    fn words(&self) -> Result<Vocabulary, StageError> {
        let forbidden = |word: &str| {
            let label = self.labels.iter().find(|label| label.entry.label.name == word);
            label.is_some_and(|label| label.entry.seen == Some(false))
        };
        let known = self.world.concepts.iter().filter(|concept| concept.role == Role::Known);
        let seen = self.world.concepts.iter().filter(|concept| concept.role == Role::Seen);
        let words: BTreeSet<&str> = known
            .flat_map(|concept| concept.phrases().take(1 + concept.keywords.len()))
            .chain(seen.map(|concept| concept.name.name.as_str()))
            .filter(|word| !forbidden(word))
            .collect();
        let entry = |word| Entry::from(Label { kind: Some(Kind::Entity), ..Label::new(word) });
        Ok(Vocabulary::new(words.into_iter().map(entry))?)
    }

    /// Writes the description, unless one of the same stage is there.
    fn describe(&self, path: &Path, summary: &Summary) -> Result<(), StageError> {
        let io = |source| StageError::Io { path: path.into(), source };
        let of = |version: u32, size: Size, seed: u64| format!("stage {size:?}, version {version}, seed {seed}");
        if path.exists() {
            let found: Option<Summary> = serde_json::from_slice(&fs::read(path).map_err(io)?).ok();
            let got = found.map_or("no description of a stage".into(), |s| of(s.version, s.size, s.seed));
            let expected = of(VERSION, self.size, self.seed);
            return match got == expected {
                true => Ok(()),
                false => Err(StageError::OtherStage { path: path.into(), expected, got }),
            };
        }
        let text = serde_json::to_string_pretty(summary).map_err(|e| io(e.into()))?;
        fs::write(path, text + "\n").map_err(io)
    }

    fn summary(&self) -> Summary {
        let of = |split: Split| self.scenes.iter().filter(move |scene| scene.split == split);
        let splits = Split::ALL.into_iter().map(|split| {
            let frames: usize = of(split).map(Scene::frames).sum();
            (split, SplitSummary { videos: of(split).count(), seconds: frames as f64 / f64::from(RATE) })
        });
        let mut positives: BTreeMap<Split, Vec<usize>> = BTreeMap::new();
        for scene in &self.scenes {
            let counts = positives.entry(scene.split).or_insert_with(|| vec![0; self.labels.len()]);
            for (count, truth) in counts.iter_mut().zip(self.truths(scene)) {
                *count += usize::from(truth == Truth::Positive);
            }
        }
        let mut labels = Vec::new();
        for (subset, kind) in
            ["seen", "U1", "U2", "P", "C"].into_iter().flat_map(|s| [(s, Kind::Entity), (s, Kind::Action)])
        {
            let is = |label: &StageLabel| {
                label.entry.subset.as_deref() == Some(subset) && label.entry.label.kind == Some(kind)
            };
            let those: Vec<usize> = (0..self.labels.len()).filter(|&i| is(&self.labels[i])).collect();
            let tests: Vec<usize> = those.iter().map(|&i| positives[&Split::Test][i]).filter(|n| *n > 0).collect();
            if !those.is_empty() {
                labels.push(LabelsSummary {
                    subset: subset.into(),
                    kind,
                    labels: those.len(),
                    tested: tests.len(),
                    fewest: tests.iter().copied().min().unwrap_or(0),
                    positives: positives.iter().map(|(s, n)| (*s, those.iter().map(|&i| n[i]).sum())).collect(),
                });
            }
        }
        Summary {
            what: "Stage, a controlled synthetic benchmark; made by `lexivid stage render`".into(),
            version: VERSION,
            seed: self.seed,
            size: self.size,
            frame_rate: RATE,
            side: SIDE,
            splits: splits.collect(),
            labels,
            licences: LICENCES.map(|(what, licence)| (what.to_owned(), licence.to_owned())).into(),
        }
    }
}
