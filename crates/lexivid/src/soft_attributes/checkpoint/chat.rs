use minijinja::{Environment, Error, ErrorKind, context, syntax::SyntaxConfig};

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
    /// What the model is given to answer `question`, being told `system` before, as transformers' `apply_chat_template` writes it, without thinking
    /// where the model lets that be chosen. Models that take no word of the system's get both in one. A model without a template gets both to
    /// go on with.
    ///
    /// # Errors
    /// What the template says.
    pub fn prompt(&self, system: &str, question: &str) -> Result<String, Error> {
        let both = format!("{system}\n\n{question}");
        let Some(template) = &self.template else { return Ok(format!("{both}\n")) };
        let message = |role: &str, content: &str| context! { role, content };
        self.render(template, vec![message("system", system), message("user", question)])
            .or_else(|_| self.render(template, vec![message("user", &both)]))
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
