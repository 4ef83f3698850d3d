use super::Request;
use crate::label::{Kind, Label};
use serde::{Deserialize, Serialize};

/// How proposed labels relate to what was asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Relation {
    /// More general names.
    Parent,
    /// What it consists of.
    Part,
    /// What is usually seen together with it.
    Cooccurring,
    /// Other ways to say it.
    Paraphrase,
    /// Whatever else holds in the video.
    Scene,
}

impl Relation {
    /// Those that labels are asked about.
    pub const OF_LABELS: [Self; 4] = [Self::Parent, Self::Part, Self::Cooccurring, Self::Paraphrase];
}

/// What one request is about.
#[derive(Debug, Clone, PartialEq)]
pub enum Subject<'a> {
    /// A label.
    Label(&'a Label, Relation),
    /// A video in which these labels hold; [`Relation::Scene`].
    Video(Vec<&'a str>),
}

const SYSTEM: &str = "You extend the vocabulary of a video classifier. Reply with a plain list: one short name a line, \
                      in lower case, of one to four words, and nothing else.";

impl Subject<'_> {
    /// How the labels that are asked for relate to the subject.
    pub fn relation(&self) -> Relation {
        match self {
            Subject::Label(_, relation) => *relation,
            Subject::Video(_) => Relation::Scene,
        }
    }

    /// The labels that the subject is made of.
    pub fn labels(&self) -> Vec<&str> {
        match self {
            Subject::Label(label, _) => vec![&label.name],
            Subject::Video(labels) => labels.clone(),
        }
    }

    /// The question for `count` names; `frames` are of the video.
    pub fn request(&self, count: usize, frames: Vec<Vec<u8>>) -> Request {
        let question = match self {
            Subject::Label(label, relation) => about_label(label, *relation, count),
            Subject::Video(labels) => {
                let known = match (frames.is_empty(), labels.is_empty()) {
                    (true, _) => format!("A video shows: {}.", labels.join(", ")),
                    (false, true) => "These are frames of a video.".into(),
                    (false, false) => format!("These are frames of a video that shows: {}.", labels.join(", ")),
                };
                format!(
                    "{known} List {count} further labels that hold in it: more general names, visible parts, other things \
                     and actions that are seen, other ways to say the same."
                )
            }
        };
        Request { system: SYSTEM.into(), question, frames }
    }
}

fn about_label(label: &Label, relation: Relation, count: usize) -> String {
    let name = match &label.definition {
        Some(definition) => format!("\"{}\" ({definition})", label.name),
        None => format!("\"{}\"", label.name),
    };
    match relation {
        Relation::Parent => format!("List {count} more general names for what {name} is a kind of."),
        Relation::Part if label.likely_kind() == Some(Kind::Action) => {
            format!("List {count} movements or things that {name} consists of and that can be seen in a video.")
        }
        Relation::Part => format!("List {count} parts of {name} that can be seen in a video."),
        Relation::Cooccurring | Relation::Scene => {
            format!("List {count} other things or actions that are usually seen in a video of {name}.")
        }
        Relation::Paraphrase => format!("List {count} other ways to say {name}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_name_what_is_known() {
        let crane = Label { definition: Some("a wading bird".into()), ..Label::new("crane") };
        let asked = Subject::Label(&crane, Relation::Part).request(5, Vec::new());
        assert_eq!(asked.question, "List 5 parts of \"crane\" (a wading bird) that can be seen in a video.");
        let riding = Label::new("riding a bike");
        let asked = Subject::Label(&riding, Relation::Part).request(5, Vec::new());
        assert!(asked.question.starts_with("List 5 movements or things that \"riding a bike\""));
        let video = Subject::Video(vec!["dog", "riding a bike"]);
        let text = video.request(8, Vec::new()).question;
        assert!(text.starts_with("A video shows: dog, riding a bike. List 8 further labels"), "{text}");
        let seen = video.request(8, vec![vec![0xff]]);
        assert!(seen.question.starts_with("These are frames of a video that shows: dog, riding a bike."));
        assert_eq!(seen.frames.len(), 1);
        assert!(
            Subject::Video(Vec::new())
                .request(8, vec![vec![0xff]])
                .question
                .starts_with("These are frames of a video. L")
        );
    }
}
