use super::{Proposer, ProposerError, Reply, Request};
use crate::soft_attributes::{Chat, Generator, LanguageModelError, Limits, before_a_repeated_line};
use std::ops::ControlFlow;

/// Tokens of a reply: a list of eight short names needs half of them.
const MOST_TOKENS: usize = 160;

/// Small models do not answer in form unless they have seen it: one for each relation.
const EXAMPLES: [(&str, &str); 4] = [
    ("List 4 parts of \"bicycle\" that can be seen in a video.", "wheel\npedal\nsaddle\nhandlebar"),
    ("List 3 more general names for what \"sparrow\" is a kind of.", "songbird\nbird\nanimal"),
    (
        "List 4 other things or actions that are usually seen in a video of \"slicing bread\".",
        "bread knife\ncutting board\nspreading butter\nkitchen",
    ),
    ("List 3 other ways to say \"jogging\".", "running slowly\ngoing for a run\ntrotting"),
];

/// A language model on this machine. It takes words alone.
pub struct LocalModel {
    name: String,
    generator: Generator,
}

impl LocalModel {
    /// What review files name as the place.
    pub const PLACE: &str = "local";

    /// `name`, as review files name it.
    pub fn new(name: &str, generator: Generator) -> Self {
        Self { name: name.into(), generator }
    }
}

impl Proposer for LocalModel {
    fn ask(&self, request: &Request, control: &mut dyn FnMut() -> ControlFlow<()>) -> Result<Reply, ProposerError> {
        let failed = |reason: String| ProposerError::Failed { endpoint: self.name.clone(), reason };
        if !request.frames.is_empty() {
            return Err(failed(format!("expected words alone, got {} frames, too", request.frames.len())));
        }
        let chat = Chat { system: &request.system, examples: &EXAMPLES, question: &request.question };
        let limits = Limits { most: MOST_TOKENS, enough: &before_a_repeated_line };
        match self.generator.answer(&chat, limits, control) {
            Ok(written) => Ok(Reply { text: written.text, cut_off: written.cut_off }),
            Err(LanguageModelError::Interrupted) => Err(ProposerError::Interrupted),
            // This question may be too long.
            Err(LanguageModelError::Tensor(error)) => Err(failed(error.to_string())),
            Err(error) => Err(error.into()),
        }
    }

    fn origin(&self) -> (&str, &str) {
        (Self::PLACE, &self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Compute;
    use std::path::Path;

    #[test]
    fn it_answers_in_words_and_takes_no_pictures() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/language_models/qwen2");
        let generator = Generator::open(&path, &Compute::exact().unwrap()).unwrap();
        let model = LocalModel::new("tiny", generator);
        assert_eq!(model.origin(), ("local", "tiny"));
        let mut request = Request { system: "Be brief. ".into(), question: "Name a dog.".into(), frames: Vec::new() };
        let reply = model.ask(&request, &mut || ControlFlow::Continue(())).unwrap();
        assert!(!reply.text.is_empty(), "{reply:?}");
        let error = model.ask(&request, &mut || ControlFlow::Break(())).unwrap_err();
        assert!(matches!(error, ProposerError::Interrupted), "{error}");
        request.frames.push(vec![0xff]);
        let error = model.ask(&request, &mut || ControlFlow::Continue(())).unwrap_err();
        assert_eq!(error.to_string(), "tiny: expected words alone, got 1 frames, too");
        request = Request { question: "dog ".repeat(4000), frames: Vec::new(), ..request };
        let error = model.ask(&request, &mut || ControlFlow::Continue(())).unwrap_err();
        assert!(error.to_string().contains("at most 4096 tokens") && !error.is_final(), "{error}");
    }
}
