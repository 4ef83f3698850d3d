use candle_core::{Result, Tensor};
use candle_nn::ops::sigmoid;

/// Activation of an MLP, by the names that Hugging Face configurations use (`hidden_act`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// x * sigmoid(1.702 x): OpenAI's CLIP.
    QuickGelu,
    /// x * Phi(x) by the error function: most OpenCLIP models.
    Gelu,
    /// GELU by its tanh approximation: SigLIP.
    #[serde(alias = "gelu_new")]
    GeluPytorchTanh,
}

impl Activation {
    /// The same, of the kernels.
    pub fn kernel(self) -> lexivid_kernels::Activation {
        match self {
            Activation::QuickGelu => lexivid_kernels::Activation::QuickGelu,
            Activation::Gelu => lexivid_kernels::Activation::Gelu,
            Activation::GeluPytorchTanh => lexivid_kernels::Activation::GeluTanh,
        }
    }

    /// Element-wise; any shape.
    pub fn forward(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Activation::QuickGelu => x * sigmoid(&(x * 1.702)?)?,
            Activation::Gelu => x.gelu_erf(),
            Activation::GeluPytorchTanh => x.gelu(),
        }
    }
}
