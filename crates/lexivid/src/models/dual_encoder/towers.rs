use super::config::{DualEncoderConfig, Family};
use crate::{
    features::Vit,
    label_embedding::TextTransformer,
    nn::{Scope, WeightsError},
};
use candle_core::Tensor;

/// What a model with two towers is made of, frozen or to be trained.
pub(crate) struct Towers {
    /// Pictures -> image embeddings.
    pub vision: Vit,
    /// Sentences -> text embeddings.
    pub text: TextTransformer,
    /// ln(1 / tau); CLIP stores it without dimensions, SigLIP as a list of one.
    pub logit_scale: Tensor,
}

impl Towers {
    /// Reads both towers and `logit_scale` from the top of the names.
    pub fn load(root: &Scope, config: &DualEncoderConfig) -> Result<Self, WeightsError> {
        Ok(Self {
            vision: Vit::load(root, &config.vision)?,
            text: TextTransformer::load(root, &config.text)?,
            logit_scale: Self::logit_scale(root, config.family)?,
        })
    }

    /// The scale alone.
    pub fn logit_scale(root: &Scope, family: Family) -> Result<Tensor, WeightsError> {
        let shape: &[usize] = match family {
            Family::Clip => &[],
            Family::Siglip | Family::Siglip2 => &[1],
        };
        root.tensor("logit_scale", shape)
    }
}
