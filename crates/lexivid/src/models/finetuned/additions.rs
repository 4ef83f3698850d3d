use super::LabelSide;
use crate::{
    features::FrameFeatures,
    label_embedding::{LabelEncoder, LabelEncoderConfig, Prompts},
    models::{Model, ModelError, Precision},
    nn::{Residual, ResidualConfig, Scope},
    video_embedding::{TemporalBranch, TemporalConfig},
};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// What is trained on top of a frozen model.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct AdditionsConfig {
    /// Which embeddings have a residual head.
    #[serde(default)]
    pub heads: HeadsConfig,
    /// The temporal branch, if there is one: windows are embedded as the base does otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temporal: Option<TemporalConfig>,
    /// How the text encoder embeds a label by itself.
    #[serde(default, skip_serializing_if = "Prompts::are_own")]
    pub prompts: Prompts,
    /// The label encoder, if there is one: labels are embedded by the plain prompt otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_encoder: Option<LabelEncoderConfig>,
}

/// Which embeddings have a residual head.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadsConfig {
    /// Of videos.
    pub video: Option<ResidualConfig>,
    /// Of labels.
    pub label: Option<ResidualConfig>,
}

/// What is trained on top of a frozen model of width D.
pub struct Additions {
    video: Option<Residual>,
    label: Option<Residual>,
    /// f_v before its head.
    pub temporal: Option<TemporalBranch>,
    /// f_t before its head.
    pub label_encoder: Option<LabelEncoder>,
    /// ln(1 / tau), `[]`.
    pub log_scale: Tensor,
    /// b, `[]`.
    pub bias: Tensor,
}

impl Additions {
    /// Reads `video.*`, `label.*`, `temporal.*`, `label_encoder.*`, `log_scale` and `bias`.
    ///
    /// # Errors
    /// When a weight is missing or has another shape, or `base` has no towers that a label encoder or a temporal branch could stand on.
    pub fn load(
        scope: &Scope,
        base: &dyn Model,
        label_side: &LabelSide,
        config: &AdditionsConfig,
    ) -> Result<Self, ModelError> {
        let width = base.dimension();
        let head = |name, config: Option<ResidualConfig>| {
            config.map(|config| Residual::load(&scope.enter(name), width, config)).transpose()
        };
        let temporal = |config: &TemporalConfig| -> Result<TemporalBranch, ModelError> {
            let precision = match base.about().precision {
                // Of frozen towers only.
                Precision::Int8 => Precision::F32,
                precision => precision,
            };
            let scope = scope.enter("temporal").in_precision(precision);
            Ok(TemporalBranch::load(&scope, config, base.towers()?.image_tower().config())?)
        };
        let label_encoder = |config: &LabelEncoderConfig| -> Result<LabelEncoder, ModelError> {
            let text = base.towers()?.text_tower()?;
            Ok(LabelEncoder::load(&scope.enter("label_encoder"), config, text, label_side.language_model())?)
        };
        Ok(Self {
            video: head("video", config.heads.video)?,
            label: head("label", config.heads.label)?,
            temporal: config.temporal.as_ref().map(temporal).transpose()?,
            label_encoder: config.label_encoder.as_ref().map(label_encoder).transpose()?,
            log_scale: scope.tensor("log_scale", &[])?,
            bias: scope.tensor("bias", &[])?,
        })
    }

    /// Windows as the frozen model `base` embeds them, `[B, D]` L2-normalised, and their frames, which only a temporal branch looks at ->
    /// embeddings of this model, not normalised. `shares`: of the branch, see [`TemporalBranch::forward`].
    pub fn videos(
        &self,
        base: &dyn Model,
        means: &Tensor,
        windows: &[Vec<&FrameFeatures>],
        shares: Option<&[f32]>,
    ) -> Result<Tensor, ModelError> {
        let seen = match &self.temporal {
            Some(branch) => branch.forward(base.towers()?.image_tower(), windows, means, shares)?,
            None => means.clone(),
        };
        Ok(self.video.as_ref().map_or(Ok(seen.clone()), |head| head.forward(&seen))?)
    }

    /// Label embeddings `[L, D]` -> those of this model, not normalised.
    pub fn label(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        self.label.as_ref().map_or(Ok(x.clone()), |head| head.forward(x))
    }
}
