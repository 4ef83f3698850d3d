use minijinja::{Environment, Error, ErrorKind, context, syntax::SyntaxConfig};

/// What a language model is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chat<'a> {
    /// What it is asked to be.
    pub system: &'a str,
    /// Questions with the answers that are wished for, as if they had been given before.
    pub examples: &'a [(&'a str, &'a str)],
    /// The question.
    pub question: &'a str,
}

/// How a language model is spoken to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChatFormat {
    /// Jinja; none where the model only completes texts.
    pub template: Option<String>,
    /// The token that the template calls `bos_token`.
    pub begin: String,
    /// The token that the template calls `eos_token`.
    pub end: String,
    /// Ids of the tokens that end what the model says.
    pub ends: Vec<u32>,
}

impl ChatFormat {
    /// What the model is given to answer the question of `chat`, as transformers' `apply_chat_template` writes it, without thinking where the
    /// model lets that be chosen. Models that take no word of the system's get it before the first question. A model without a template gets
    /// it all to go on with.
    ///
    /// # Errors
    /// What the template says.
    pub fn prompt(&self, chat: &Chat) -> Result<String, Error> {
        let Chat { system, examples, question } = *chat;
        let Some(template) = &self.template else {
            let examples: String = examples.iter().map(|(asked, answer)| format!("{asked}\n{answer}\n\n")).collect();
            return Ok(format!("{system}\n\n{examples}{question}\n"));
        };
        let message = |role: &str, content: &str| context! { role, content };
        let turns = |first: &str| -> Vec<minijinja::Value> {
            let turn = |(asked, answer): &(&str, &str)| [message("user", asked), message("assistant", answer)];
            let mut turns: Vec<_> = examples.iter().flat_map(turn).chain([message("user", question)]).collect();
            if !first.is_empty() {
                let asked = examples.first().map_or(question, |(asked, _)| asked);
                turns[0] = message("user", &format!("{first}\n\n{asked}"));
            }
            turns
        };
        let with_system = [vec![message("system", system)], turns("")].concat();
        self.render(template, with_system).or_else(|_| self.render(template, turns(system)))
    }

    fn render(&self, template: &str, messages: Vec<minijinja::Value>) -> Result<String, Error> {
        let mut environment = Environment::new();
        // As in transformers' `chat_template_utils.py`.
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?;
        environment.set_syntax(syntax);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", |message: String| -> Result<String, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        });
        environment.render_str(
            template,
            context! {
                messages, add_generation_prompt => true, enable_thinking => false,
                bos_token => self.begin.as_str(), eos_token => self.end.as_str(),
            },
        )
    }
}
