use super::Target;
use crate::{
    dataset::{Example, Truth, Vocabulary},
    expansion::{Proposal, Relation, ReviewFile},
    label::{Label, tidy_name},
    training::TrainingError,
};
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, path::PathBuf};

/// Labels that a language model proposed and a person kept (`lexivid labels expand`), as soft targets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyntheticConfig {
    /// The review file.
    pub review: PathBuf,
    /// What their share of the loss is multiplied by.
    #[serde(default = "one")]
    pub weight: f32,
}

fn one() -> f32 {
    1.0
}

/// The kept proposals.
#[derive(Debug)]
pub(super) struct Synthetic {
    /// Each once.
    pub labels: Vec<Label>,
    /// For each, the labels of the vocabulary that it was proposed for, and how much of it follows from one of them.
    sources: Vec<Vec<(u32, f32)>>,
    /// For a video and its segment, what was proposed for it: index into `labels`, and the frozen model's probability.
    videos: HashMap<Clip, Vec<(u32, f32)>>,
    weight: f32,
}

/// A video as the manifest names it, where its segment starts and where it ends, by their bits.
type Clip = (String, Option<u64>, Option<u64>);

impl Synthetic {
    /// Reads the kept proposals that are no labels of the vocabulary and were made for one of the labels `trained`: what is known of
    /// others may not be learned in a roundabout way.
    pub fn read(config: &SyntheticConfig, vocabulary: &Vocabulary, trained: &[u32]) -> Result<Self, TrainingError> {
        let bad = |reason: String| TrainingError::Config { path: config.review.clone(), reason };
        let proposals = ReviewFile::read(&config.review).map_err(|e| bad(e.to_string()))?;
        let known: HashMap<String, u32> =
            (vocabulary.labels().iter().zip(0..)).map(|(label, index)| (tidy_name(&label.name), index)).collect();
        let trained_index = |name: &str| known.get(&tidy_name(name)).copied().filter(|label| trained.contains(label));
        let mut synthetic =
            Self { labels: Vec::new(), sources: Vec::new(), videos: HashMap::new(), weight: config.weight };
        let mut index_of: HashMap<String, usize> = HashMap::new();
        for proposal in proposals.iter().filter(|proposal| proposal.keep && !proposal.name.trim().is_empty()) {
            let sources: Vec<u32> = proposal.labels.split("; ").filter_map(trained_index).collect();
            if sources.is_empty() || known.contains_key(&tidy_name(&proposal.name)) {
                continue;
            }
            let index = *index_of.entry(tidy_name(&proposal.name)).or_insert_with(|| {
                synthetic.labels.push(Label::new(&proposal.name));
                synthetic.sources.push(Vec::new());
                synthetic.labels.len() - 1
            });
            synthetic.add(index, proposal, &sources);
        }
        match synthetic.labels.is_empty() {
            true => Err(bad("expected a kept proposal for a label that is trained, found none".into())),
            false => Ok(synthetic),
        }
    }

    fn add(&mut self, index: usize, proposal: &Proposal, sources: &[u32]) {
        let follows: f32 = match proposal.relation {
            Relation::Parent | Relation::Paraphrase => 1.0,
            // Usually; not always.
            Relation::Part | Relation::Cooccurring => 0.5,
            // In that one video.
            Relation::Scene => 0.0,
        };
        for &source in sources {
            match self.sources[index].iter_mut().find(|(label, _)| *label == source) {
                Some((_, most)) => *most = follows.max(*most),
                None => self.sources[index].push((source, follows)),
            }
        }
        if !proposal.video.is_empty() {
            let clip = (proposal.video.clone(), proposal.start.map(f64::to_bits), proposal.end.map(f64::to_bits));
            self.videos.entry(clip).or_default().push((index as u32, proposal.score.unwrap_or(1.0)));
        }
    }

    /// What was proposed for an example: index into `labels`, and the frozen model's probability.
    pub fn proposed_for(&self, example: &Example) -> Vec<(u32, f32)> {
        let clip = (example.media.name().to_owned(), example.start.map(f64::to_bits), example.end.map(f64::to_bits));
        self.videos.get(&clip).cloned().unwrap_or_default()
    }

    /// How much synthetic label `index` counts in an example of which the vocabulary's truths `row` are known, and for which `proposed` was
    /// proposed: as a positive where it was proposed for it, or a label holds that it follows from; as a negative where none holds of all
    /// that it was proposed for.
    pub fn target(&self, index: usize, row: &[Truth], proposed: &[(u32, f32)]) -> Target {
        let sources = &self.sources[index];
        let here = proposed.iter().filter(|(label, _)| *label as usize == index).map(|(_, score)| *score);
        let followed = sources.iter().filter(|(label, _)| row[*label as usize] == Truth::Positive).map(|(_, w)| *w);
        let present = here.chain(followed).fold(0.0, f32::max);
        let none_holds = sources.iter().all(|(label, _)| row[*label as usize] == Truth::Negative);
        match none_holds && present == 0.0 {
            true => Target { present: 0.0, absent: self.weight },
            false => Target { present: self.weight * present, absent: 0.0 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const HEADER: &str = "keep,name,relation,labels,video,start,end,score,nearest,similarity,why,said,endpoint,model\n";

    fn read(dir: &Path, rows: &str) -> Result<Synthetic, TrainingError> {
        let labels = r#"[{"name": "dog"}, {"name": "cat"}, {"name": "bird", "seen": false}, {"name": "animal"}]"#;
        std::fs::write(dir.join("labels.json"), labels).unwrap();
        std::fs::write(dir.join("review.csv"), format!("{HEADER}{rows}")).unwrap();
        let vocabulary = Vocabulary::read(&dir.join("labels.json")).unwrap();
        Synthetic::read(&SyntheticConfig { review: dir.join("review.csv"), weight: 0.5 }, &vocabulary, &[0, 1])
    }

    #[test]
    fn kept_proposals_for_trained_labels_become_soft_targets() {
        use Truth::{Negative, Positive, Unknown};
        let dir = tempfile::tempdir().unwrap();
        let rows = "true,Pet,parent,dog,,,,,,,,,,\n\
                    true,pet,parent,cat,,,,,,,,,,\n\
                    true,tail,part,dog,,,,,,,,,,\n\
                    true,meadow,scene,dog; cat,a.mp4,1.5,,0.4,,,,,,\n\
                    false,hound,paraphrase,dog,,,,,,,,,,\n\
                    true,parrot,paraphrase,bird,,,,,,,,,,\n\
                    true,Animal,parent,dog,,,,,,,,,,\n";
        let synthetic = read(dir.path(), rows).unwrap();
        let names: Vec<&str> = synthetic.labels.iter().map(|label| label.name.as_str()).collect();
        assert_eq!(names, ["Pet", "tail", "meadow"], "not kept, of a label that is not trained, in the vocabulary");

        let target = |index, row: [Truth; 2]| {
            let Target { present, absent } = synthetic.target(index, &row, &[]);
            (present, absent)
        };
        assert_eq!(target(0, [Negative, Positive]), (0.5, 0.0), "either of its kinds");
        assert_eq!(target(0, [Negative, Negative]), (0.0, 0.5));
        assert_eq!(target(0, [Negative, Unknown]), (0.0, 0.0));
        assert_eq!(target(1, [Positive, Negative]), (0.25, 0.0), "usually seen");
        assert_eq!(target(2, [Positive, Negative]), (0.0, 0.0), "in one video only");
        assert_eq!(target(2, [Negative, Negative]), (0.0, 0.5));
        let line = r#"{"video": "a.mp4", "start": 1.5, "positives": ["dog"]}"#;
        let example: Example = serde_json::from_str(line).unwrap();
        let proposed = synthetic.proposed_for(&example);
        assert_eq!(proposed, [(2, 0.4)]);
        assert_eq!(synthetic.target(2, &[Positive, Negative], &proposed), Target { present: 0.2, absent: 0.0 });
        assert!(synthetic.proposed_for(&Example { start: None, ..example }).is_empty(), "another segment");
    }

    #[test]
    fn a_file_without_anything_to_use_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let error = read(dir.path(), "true,parrot,paraphrase,bird,,,,,,,,,,\n").unwrap_err().to_string();
        assert!(error.contains("review.csv") && error.contains("a label that is trained"), "{error}");
    }
}
