//! The starter's label encoder: soft attributes out of a language model's states, for towers that have no text encoder to give them to.
//!
//! A prompting transformer reads the states of a thing's name and definition. Its soft attributes are places among the image tower's classes; f_t(l) is their
//! mean [ours: the paper gives them to the text encoder]. Trained by scripts/training/starter_label_encoder.py, where a thing is to be nearest to
//! the classifier's rows of the classes that it names.

use crate::{
    features::efficientnet_lite::EfficientNetLiteConfig,
    models::ModelError,
    nn::{Compute, Weights, unit_rows},
    soft_attributes::{PromptingConfig, PromptingTransformer},
};
use candle_core::{DType, Device, Result, Tensor, safetensors};

pub(super) const WEIGHTS: &[u8] = include_bytes!("label_encoder.safetensors");

/// k.
const ATTRIBUTES: usize = 8;
const SIZES: PromptingConfig = PromptingConfig { blocks: 2, width: 128, heads: 4 };

/// Loaded.
pub(super) struct LabelEncoder {
    /// What is added to every reading's states, so that they can be told apart: `[R, E]`.
    readings: Tensor,
    transformer: PromptingTransformer,
}

impl LabelEncoder {
    /// From the weights in the program.
    pub fn load() -> std::result::Result<Self, ModelError> {
        let tensors = safetensors::load_buffer(WEIGHTS, &Device::Cpu)?;
        let readings = tensors["readings"].to_dtype(DType::F32)?;
        let states = readings.dim(1)?;
        let weights = Weights::start(
            Box::new(move |name, _| Ok(tensors[name].to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)),
            &Compute::exact()?,
        );
        let rows = EfficientNetLiteConfig::HEAD;
        let transformer = PromptingTransformer::load(&weights.root(), SIZES, ATTRIBUTES, states, rows)?;
        Ok(Self { readings, transformer })
    }

    /// Standardised readings, those of the definition last or left out, `[B, R, E]` -> `[B, D]`, L2-normalised.
    pub fn place(&self, states: &Tensor) -> Result<Tensor> {
        let (batch, readings, _) = states.dims3()?;
        let states = states.broadcast_add(&self.readings.narrow(0, 0, readings)?)?;
        let all = Tensor::zeros((batch, 1, 1, readings), DType::F32, &Device::Cpu)?;
        let attributes = self.transformer.forward(&states, &all)?; // A(l): [B, k, D]
        unit_rows(&attributes.mean(1)?)
    }
}
