use crate::soft_attributes::LanguageModelError;
use std::ops::ControlFlow;

/// What a proposer is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// What it is asked to be.
    pub system: String,
    /// The question.
    pub question: String,
    /// Frames of the video in question, JPEG files, in order of time; none where only text is sent.
    pub frames: Vec<Vec<u8>>,
}

/// What a proposer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The text, as it came.
    pub text: String,
    /// Whether it was cut off at the longest reply that was asked for.
    pub cut_off: bool,
}

/// Whatever proposes labels.
pub trait Proposer {
    /// Asks once. `control` is called while there is nothing to do but wait; `Break` ends it with
    /// [`ProposerError::Interrupted`].
    fn ask(&self, request: &Request, control: &mut dyn FnMut() -> ControlFlow<()>) -> Result<Reply, ProposerError>;

    /// Where it is and which model it has, as the review file names its origin.
    fn origin(&self) -> (&str, &str);
}

/// Why a proposer said nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProposerError {
    /// There is no connection, after some tries.
    #[error("{endpoint}: {reason}")]
    Unreachable {
        /// The address.
        endpoint: String,
        /// What the last try met.
        reason: String,
    },
    /// The server does not serve this user, or not at this address.
    #[error("{endpoint}: the server refuses with status {status}: {message}")]
    Refused {
        /// The address.
        endpoint: String,
        /// HTTP status.
        status: u16,
        /// What the server says.
        message: String,
    },
    /// The server could not answer this request.
    #[error("{endpoint}: {reason}")]
    Failed {
        /// The address.
        endpoint: String,
        /// What was expected and what came.
        reason: String,
    },
    /// The server has more than one model, or none.
    #[error("{endpoint}: expected the name of one of its models {found:?}")]
    WhichModel {
        /// The address.
        endpoint: String,
        /// The models that it names.
        found: Vec<String>,
    },
    /// The language model on this machine cannot be asked.
    #[error(transparent)]
    Local(#[from] LanguageModelError),
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
}

impl ProposerError {
    /// Whether other requests will fare no better.
    pub fn is_final(&self) -> bool {
        !matches!(self, ProposerError::Failed { .. })
    }

    /// What the user may try, when there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            ProposerError::Unreachable { .. } => {
                Some("is the server running? what is in the review file is not asked again".into())
            }
            ProposerError::Refused { status: 401 | 403, .. } => {
                Some(format!("the key is taken from the environment variable {}", super::openai::KEY_VARIABLE))
            }
            ProposerError::Refused { .. } => {
                Some("the endpoint is what comes before /chat/completions, mostly ending in /v1".into())
            }
            ProposerError::WhichModel { .. } => Some("name it with --llm".into()),
            ProposerError::Failed { .. } | ProposerError::Local(_) | ProposerError::Interrupted => None,
        }
    }
}
