//! A server with OpenAI's chat completions API, as llama.cpp, vLLM, Ollama and others have it, too:
//! POST {endpoint}/chat/completions, GET {endpoint}/models. Schema: github.com/openai/openai-openapi, `CreateChatCompletionRequest`.

use super::{Proposer, ProposerError, Reply, Request};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    ops::ControlFlow,
    thread::sleep,
    time::{Duration, Instant},
};

/// Where the key is taken from. A name of its own: a key for one server is not to be sent to whatever other endpoint is named.
pub(super) const KEY_VARIABLE: &str = "LEXIVID_LLM_KEY";

/// Tries of one request.
const TRIES: u32 = 4;

/// Waiting time before the second try; it doubles with every further one.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The longest wait that a server can ask for with `Retry-After`.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Tokens of a reply: a list of short names needs fewer.
const MOST_TOKENS: u32 = 400;

/// Bytes of a reply that are read.
const MOST_BYTES: u64 = 1 << 20;

/// Bytes of a server's error message that are shown.
const SHOWN_BYTES: usize = 300;

/// One model of one server.
pub struct OpenAiServer {
    endpoint: String,
    model: String,
    key: Option<String>,
    agent: ureq::Agent,
}

/// What a try came to that may be made once more.
struct Again {
    error: ProposerError,
    wait: Option<Duration>,
}

impl OpenAiServer {
    /// `endpoint` is what comes before `/chat/completions`: `http://localhost:8080/v1`. Without a `model`, the only one that the
    /// server names is taken. The key, if there is one, comes from the environment variable `LEXIVID_LLM_KEY`. A request
    /// that takes longer than `timeout` has failed.
    ///
    /// # Errors
    /// When the server has to be asked for its model, and cannot be reached or names several.
    pub fn new(endpoint: &str, model: Option<&str>, timeout: Duration) -> Result<Self, ProposerError> {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(timeout))
            .timeout_connect(Some(Duration::from_secs(10)))
            // A redirected POST would become a GET, and the key would go elsewhere.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .build();
        let mut server = Self {
            endpoint: endpoint.trim_end_matches('/').trim_end_matches("/chat/completions").into(),
            model: String::new(),
            key: std::env::var(KEY_VARIABLE).ok().filter(|key| !key.is_empty()),
            agent: agent.into(),
        };
        server.model = match model {
            Some(model) => model.into(),
            None => server.only_model()?,
        };
        Ok(server)
    }

    fn only_model(&self) -> Result<String, ProposerError> {
        #[derive(Deserialize)]
        struct Models {
            data: Vec<Model>,
        }
        #[derive(Deserialize)]
        struct Model {
            id: String,
        }
        let mut get = self.agent.get(format!("{}/models", self.endpoint));
        if let Some(key) = &self.key {
            get = get.header("Authorization", format!("Bearer {key}"));
        }
        let models: Models = self.parsed(&self.body(get.call()).map_err(|again| again.error)?)?;
        let mut found: Vec<String> = models.data.into_iter().map(|model| model.id).collect();
        match found.len() {
            1 => Ok(found.remove(0)),
            _ => Err(ProposerError::WhichModel { endpoint: self.endpoint.clone(), found }),
        }
    }

    fn post(&self, body: &Value) -> Result<String, Again> {
        let mut post = self.agent.post(format!("{}/chat/completions", self.endpoint));
        if let Some(key) = &self.key {
            post = post.header("Authorization", format!("Bearer {key}"));
        }
        self.body(post.send_json(body))
    }

    /// The body of a response that went well.
    fn body(&self, response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<String, Again> {
        let endpoint = || self.endpoint.clone();
        let failed = |reason: String| ProposerError::Failed { endpoint: endpoint(), reason };
        let mut response = response.map_err(|error| {
            let reason = error.to_string();
            let error = match error {
                // This request may have been too much for it.
                ureq::Error::Timeout(timeout)
                    if !matches!(timeout, ureq::Timeout::Connect | ureq::Timeout::Resolve) =>
                {
                    failed(reason)
                }
                _ => ProposerError::Unreachable { endpoint: endpoint(), reason },
            };
            Again { error, wait: None }
        })?;
        let status = response.status();
        let wait = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        let body = response.body_mut().with_config().limit(MOST_BYTES).lossy_utf8(true).read_to_string();
        let body = body.map_err(|e| Again { error: failed(format!("the reply broke off: {e}")), wait: None })?;
        if status.is_success() {
            return Ok(body);
        }
        let (status, message) = (status.as_u16(), message(&body));
        let error = match status {
            301..=308 | 401 | 403 | 404 | 405 => ProposerError::Refused { endpoint: endpoint(), status, message },
            _ => failed(format!("status {status}: {message}")),
        };
        Err(Again { error, wait: wait.map(Duration::from_secs) })
    }

    fn parsed<T: serde::de::DeserializeOwned>(&self, body: &str) -> Result<T, ProposerError> {
        serde_json::from_str(body).map_err(|e| ProposerError::Failed {
            endpoint: self.endpoint.clone(),
            reason: format!("expected a reply by OpenAI's schema, got {:?}: {e}", shown(body)),
        })
    }
}

impl Proposer for OpenAiServer {
    fn ask(&self, request: &Request, control: &mut dyn FnMut() -> ControlFlow<()>) -> Result<Reply, ProposerError> {
        #[derive(Deserialize)]
        struct Completion {
            choices: Vec<Choice>,
        }
        #[derive(Deserialize)]
        struct Choice {
            message: Message,
            #[serde(default)]
            finish_reason: Option<String>,
        }
        #[derive(Deserialize)]
        struct Message {
            // Null where the model refuses.
            content: Option<String>,
        }
        let body = body(&self.model, request);
        let mut wait = FIRST_WAIT;
        let mut tries = 1;
        let reply = loop {
            if control().is_break() {
                return Err(ProposerError::Interrupted);
            }
            match self.post(&body) {
                Ok(reply) => break reply,
                Err(Again { error, .. }) if tries == TRIES || !is_passing(&error) => return Err(error),
                Err(Again { error, wait: asked }) => {
                    tracing::info!("{error}; trying again");
                    pause(asked.unwrap_or(wait).min(LONGEST_WAIT), control)?;
                }
            }
            tries += 1;
            wait *= 2;
        };
        let completion: Completion = self.parsed(&reply)?;
        let choice = completion.choices.into_iter().next().ok_or_else(|| ProposerError::Failed {
            endpoint: self.endpoint.clone(),
            reason: "expected a reply with one of `choices`, got none".into(),
        })?;
        Ok(Reply {
            text: choice.message.content.unwrap_or_default(),
            cut_off: choice.finish_reason.as_deref() == Some("length"),
        })
    }

    fn origin(&self) -> (&str, &str) {
        (&self.endpoint, &self.model)
    }
}

fn body(model: &str, request: &Request) -> Value {
    let content = match request.frames.as_slice() {
        [] => json!(request.question),
        frames => {
            let image = |jpeg: &Vec<u8>| {
                let url = format!("data:image/jpeg;base64,{}", BASE64_STANDARD.encode(jpeg));
                json!({"type": "image_url", "image_url": {"url": url}})
            };
            let text = json!({"type": "text", "text": request.question});
            Value::Array(std::iter::once(text).chain(frames.iter().map(image)).collect())
        }
    };
    let messages = json!([{"role": "system", "content": request.system}, {"role": "user", "content": content}]);
    json!({"model": model, "messages": messages, "temperature": 0, "max_tokens": MOST_TOKENS})
}

/// Whether the same request may go well a little later.
fn is_passing(error: &ProposerError) -> bool {
    match error {
        ProposerError::Unreachable { .. } => true,
        ProposerError::Failed { reason, .. } => ["status 408", "status 429", "status 5", "the reply broke off"]
            .iter()
            .any(|passing| reason.starts_with(passing)),
        _ => false,
    }
}

fn pause(wait: Duration, control: &mut dyn FnMut() -> ControlFlow<()>) -> Result<(), ProposerError> {
    let start = Instant::now();
    while start.elapsed() < wait {
        if control().is_break() {
            return Err(ProposerError::Interrupted);
        }
        sleep(Duration::from_millis(50).min(wait));
    }
    Ok(())
}

/// `error.message` of OpenAI's schema, or the beginning of whatever came.
fn message(body: &str) -> String {
    let said = serde_json::from_str::<Value>(body).ok();
    let said = said.as_ref().and_then(|value| value.pointer("/error/message")?.as_str());
    shown(said.unwrap_or(body))
}

fn shown(text: &str) -> String {
    let end = text.floor_char_boundary(SHOWN_BYTES);
    text[..end].trim().into()
}
