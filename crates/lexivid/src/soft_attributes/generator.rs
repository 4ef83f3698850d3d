use super::{
    Decoder, LanguageModelError,
    checkpoint::{self, Chat, ChatFormat, DecoderConfig},
};
use crate::nn::{Compute, frozen};
use candle_core::Device;
use lexivid_kernels::{Matrix, Operand, Out};
use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
};
use tokenizers::Tokenizer;

/// A language model that writes: always the likeliest next token, so that the same prompt gives the same text. It runs on the CPU.
pub struct Generator {
    path: PathBuf,
    decoder: Decoder,
    /// Before the output head.
    norm: frozen::Norm,
    /// `[vocabulary, E]`.
    head: frozen::Linear,
    tokenizer: Tokenizer,
    chat: ChatFormat,
}

/// When writing ends, besides at the model's own end.
#[derive(Clone, Copy)]
pub struct Limits<'a> {
    /// Tokens.
    pub most: usize,
    /// What was written so far -> how many bytes of it count, if it is enough.
    pub enough: &'a dyn Fn(&str) -> Option<usize>,
}

impl Limits<'_> {
    /// So many tokens.
    pub fn tokens(most: usize) -> Self {
        Self { most, enough: &|_| None }
    }
}

/// Where the first line ends before one that was there already: small models that found no end go round in circles.
pub(crate) fn before_a_repeated_line(text: &str) -> Option<usize> {
    let (whole, _) = text.rsplit_once('\n')?;
    let (before, last) = whole.rsplit_once('\n')?;
    before.lines().any(|line| line == last).then_some(before.len())
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// As text, without tokens that are no words.
    pub text: String,
    /// As tokens, without the one that ends it.
    pub tokens: Vec<u32>,
    /// Whether it ended for its length.
    pub cut_off: bool,
}

impl Generator {
    /// Reads a whole language model, of which [`checkpoint::open`] tells the forms.
    pub fn open(path: &Path, compute: &Compute) -> Result<Self, LanguageModelError> {
        let compute = Compute { device: Device::Cpu, ..compute.clone() };
        let checkpoint = checkpoint::open(path)?;
        let decoder = Decoder::load(checkpoint.as_ref(), None, &compute)?;
        let &DecoderConfig { vocabulary, width, rms_epsilon: eps, tied, .. } = decoder.config();
        let head = match tied {
            true => decoder.embeddings().flatten_all()?.to_vec1()?,
            false => checkpoint.values("lm_head.weight", &[vocabulary, width])?,
        };
        let head = Matrix::pack(&head, vocabulary, width, compute.precision);
        Ok(Self {
            path: path.to_owned(),
            norm: frozen::Norm::Rms { gain: checkpoint.values("norm.weight", &[width])?, eps },
            head: frozen::Linear::packed(head, None, compute.isa),
            tokenizer: checkpoint.tokenizer()?,
            chat: checkpoint.chat()?,
            decoder,
        })
    }

    /// Answers a question.
    ///
    /// # Errors
    /// When the chat template refuses both, question and answer are longer than the context, or `control` says `Break`, which
    /// it is asked for before every token.
    pub fn answer(
        &self,
        chat: &Chat,
        limits: Limits,
        control: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Written, LanguageModelError> {
        let bad =
            |e: minijinja::Error| LanguageModelError::ChatTemplate { path: self.path.clone(), reason: e.to_string() };
        let prompt = self.chat.prompt(chat).map_err(bad)?;
        // A template has all special tokens already.
        let has_template = self.chat.template.is_some();
        self.write(&self.encode(&prompt, !has_template)?, limits, control)
    }

    /// Goes on with `text`; otherwise as [`Generator::answer`].
    pub fn complete(
        &self,
        text: &str,
        limits: Limits,
        control: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Written, LanguageModelError> {
        self.write(&self.encode(text, true)?, limits, control)
    }

    fn encode(&self, text: &str, special: bool) -> Result<Vec<u32>, LanguageModelError> {
        let encoding = self.tokenizer.encode(text, special).map_err(candle_core::Error::wrap)?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Goes on with tokens.
    fn write(
        &self,
        prompt: &[u32],
        limits: Limits,
        control: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Written, LanguageModelError> {
        let mut reading = self.decoder.begin()?;
        let mut states = reading.read(prompt)?; // [T, E]
        let room = self.decoder.config().context - prompt.len();
        let mut tokens = Vec::new();
        while tokens.len() < limits.most.min(room) {
            if control().is_break() {
                return Err(LanguageModelError::Interrupted);
            }
            let last = &states[states.len() - self.decoder.config().width..];
            let next = self.likeliest(last);
            if self.chat.ends.contains(&next) {
                return Ok(Written { text: self.decode(&tokens)?, tokens, cut_off: false });
            }
            tokens.push(next);
            let text = self.decode(&tokens)?;
            if let Some(length) = (limits.enough)(&text) {
                return Ok(Written { text: text[..length].into(), tokens, cut_off: false });
            }
            if tokens.len() < room {
                states = reading.read(&[next])?; // [1, E]
            }
        }
        Ok(Written { text: self.decode(&tokens)?, tokens, cut_off: true })
    }

    /// The token with the greatest logit after a state `[E]`.
    fn likeliest(&self, state: &[f32]) -> u32 {
        let mut normed = Operand::new(self.head.precision());
        self.norm.apply(self.head.isa(), state, &mut normed);
        let mut logits = vec![0.0; self.head.weight.columns()];
        self.head.apply(&normed, None, Out::Rows(&mut logits));
        let greatest = logits.iter().enumerate().max_by(|(i, a), (j, b)| a.total_cmp(b).then(j.cmp(i)));
        greatest.map_or(0, |(id, _)| id as u32)
    }

    fn decode(&self, tokens: &[u32]) -> Result<String, LanguageModelError> {
        Ok(self.tokenizer.decode(tokens, true).map_err(candle_core::Error::wrap)?)
    }
}
