//! `config.json` of a CLIP or SigLIP directory -> sizes of both towers.

use crate::{
    features::{PatchWeights, VitConfig, VitPooling},
    label_embedding::{TextConfig, TextPooling},
    nn::{Activation, EncoderConfig},
};
use serde::Deserialize;

/// Which family a model is of: what its files are named, and what its numbers default to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// OpenAI's CLIP, and OpenCLIP exports in its layout.
    Clip,
    /// SigLIP, and SigLIP 2 of fixed resolution.
    Siglip,
    /// SigLIP 2 NaFlex, run at the square resolution of its position embeddings.
    Siglip2,
}

/// Both towers' sizes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DualEncoderConfig {
    pub(crate) family: Family,
    pub(crate) vision: VitConfig,
    pub(crate) text: TextConfig,
    /// `text_config.pad_token_id`, for tokenizers that do not say themselves.
    pub(crate) pad_token: u32,
}

/// The file, as far as it is read. What is left out has transformers' default of the family.
#[derive(Deserialize)]
struct ConfigFile {
    model_type: String,
    #[serde(default)]
    text_config: Tower,
    #[serde(default)]
    vision_config: Tower,
    // Older files carry a second copy, and where it is set it wins (transformers `CLIPConfig.__post_init__`).
    text_config_dict: Option<Tower>,
    vision_config_dict: Option<Tower>,
    projection_dim: Option<usize>,
}

#[derive(Deserialize, Default)]
struct Tower {
    hidden_size: Option<usize>,
    intermediate_size: Option<usize>,
    num_hidden_layers: Option<usize>,
    num_attention_heads: Option<usize>,
    hidden_act: Option<Activation>,
    layer_norm_eps: Option<f64>,
    vocab_size: Option<usize>,
    max_position_embeddings: Option<usize>,
    eos_token_id: Option<u32>,
    pad_token_id: Option<u32>,
    projection_size: Option<usize>,
    image_size: Option<usize>,
    patch_size: Option<usize>,
    num_patches: Option<usize>,
    num_channels: Option<usize>,
    vision_use_head: Option<bool>,
}

/// What transformers assumes of a tower.
struct Defaults {
    width: usize,
    heads: usize,
    activation: Activation,
    layer_norm_eps: f64,
}

impl Tower {
    fn encoder(&self, d: Defaults) -> EncoderConfig {
        EncoderConfig {
            width: self.hidden_size.unwrap_or(d.width),
            layers: self.num_hidden_layers.unwrap_or(12),
            heads: self.num_attention_heads.unwrap_or(d.heads),
            // 2048 and 3072: four times the width in every family's default.
            mlp_width: self.intermediate_size.unwrap_or(4 * d.width),
            activation: self.hidden_act.unwrap_or(d.activation),
            layer_norm_eps: self.layer_norm_eps.unwrap_or(d.layer_norm_eps),
        }
    }
}

impl DualEncoderConfig {
    /// Reads the text of a `config.json`.
    ///
    /// # Errors
    /// What was expected and what was found, in words.
    pub(crate) fn parse(json: &str) -> Result<Self, String> {
        let file: ConfigFile = serde_json::from_str(json).map_err(|e| e.to_string())?;
        let text = file.text_config_dict.unwrap_or(file.text_config);
        let vision = file.vision_config_dict.unwrap_or(file.vision_config);
        let config = match file.model_type.as_str() {
            "clip" => Self::clip(&text, &vision, file.projection_dim.unwrap_or(512)),
            "siglip" => Self::siglip(&text, &vision),
            "siglip2" => Self::siglip2(&text, &vision),
            other => return Err(format!("expected model_type clip, siglip or siglip2, got {other:?}")),
        };
        if let Some(channels) = vision.num_channels.filter(|&c| c != 3) {
            return Err(format!("expected 3 image channels, got {channels}"));
        }
        if config.family != Family::Clip && vision.vision_use_head == Some(false) {
            return Err("expected a SigLIP image tower with its attention-pooling head, got one without".into());
        }
        config.check()?;
        Ok(config)
    }

    fn clip(text: &Tower, vision: &Tower, projection: usize) -> Self {
        let defaults =
            |width, heads| Defaults { width, heads, activation: Activation::QuickGelu, layer_norm_eps: 1e-5 };
        Self {
            family: Family::Clip,
            vision: VitConfig {
                image_size: vision.image_size.unwrap_or(224),
                patch_size: vision.patch_size.unwrap_or(32),
                encoder: vision.encoder(defaults(768, 12)),
                pooling: VitPooling::ClassToken { projection },
                patch_weights: PatchWeights::Convolution,
            },
            text: TextConfig {
                vocabulary: text.vocab_size.unwrap_or(49408),
                context: text.max_position_embeddings.unwrap_or(77),
                encoder: text.encoder(defaults(512, 8)),
                pooling: match text.eos_token_id.unwrap_or(49407) {
                    2 => TextPooling::HighestId,
                    id => TextPooling::EndOfSequence { id },
                },
                projection,
            },
            pad_token: text.pad_token_id.unwrap_or(1),
        }
    }

    fn siglip(text: &Tower, vision: &Tower) -> Self {
        let defaults =
            || Defaults { width: 768, heads: 12, activation: Activation::GeluPytorchTanh, layer_norm_eps: 1e-6 };
        let encoder = text.encoder(defaults());
        Self {
            family: Family::Siglip,
            vision: VitConfig {
                image_size: vision.image_size.unwrap_or(224),
                patch_size: vision.patch_size.unwrap_or(16),
                encoder: vision.encoder(defaults()),
                pooling: VitPooling::Attention,
                patch_weights: PatchWeights::Convolution,
            },
            text: TextConfig {
                vocabulary: text.vocab_size.unwrap_or(32000),
                context: text.max_position_embeddings.unwrap_or(64),
                encoder,
                pooling: TextPooling::Last,
                projection: text.projection_size.unwrap_or(encoder.width),
            },
            pad_token: text.pad_token_id.unwrap_or(1),
        }
    }

    fn siglip2(text: &Tower, vision: &Tower) -> Self {
        let mut config = Self::siglip(text, vision);
        config.family = Family::Siglip2;
        config.vision.patch_weights = PatchWeights::Linear;
        config.vision.image_size = vision.num_patches.unwrap_or(256).isqrt().saturating_mul(config.vision.patch_size);
        config
    }

    /// Refuses numbers that no tower can have, before they are divided by.
    fn check(&self) -> Result<(), String> {
        for (tower, e) in [("vision", &self.vision.encoder), ("text", &self.text.encoder)] {
            if e.width == 0 || e.heads == 0 || e.width % e.heads != 0 {
                return Err(format!(
                    "{tower}_config: expected a hidden_size that is a multiple of num_attention_heads, got {} and {}",
                    e.width, e.heads
                ));
            }
        }
        let VitConfig { image_size, patch_size, .. } = self.vision;
        if patch_size == 0 || image_size < patch_size || image_size > 1 << 14 {
            return Err(format!(
                "vision_config: expected an image_size between patch_size and 16384, got {image_size} and {patch_size}"
            ));
        }
        if self.text.context < 2 {
            return Err(format!("text_config: expected max_position_embeddings over 1, got {}", self.text.context));
        }
        if self.vision.dimension() != self.text.projection {
            return Err(format!(
                "expected embeddings of one width, got {} for images and {} for text",
                self.vision.dimension(),
                self.text.projection
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_has_the_familys_default() {
        let clip = DualEncoderConfig::parse(r#"{"model_type": "clip"}"#).unwrap();
        assert_eq!((clip.vision.patch_size, clip.vision.encoder.width, clip.vision.dimension()), (32, 768, 512));
        assert_eq!((clip.text.context, clip.text.encoder.heads), (77, 8));
        assert_eq!(clip.text.pooling, TextPooling::EndOfSequence { id: 49407 });
        let siglip = DualEncoderConfig::parse(r#"{"model_type": "siglip"}"#).unwrap();
        assert_eq!((siglip.vision.patch_size, siglip.text.context, siglip.text.projection), (16, 64, 768));
        assert_eq!(siglip.text.encoder.activation, Activation::GeluPytorchTanh);
    }

    #[test]
    fn the_second_copy_of_older_files_wins() {
        let json = r#"{"model_type": "clip", "projection_dim": 768,
            "text_config": {"hidden_size": 512, "eos_token_id": 2},
            "text_config_dict": {"hidden_size": 768, "num_attention_heads": 12}, "vision_config_dict": null}"#;
        let config = DualEncoderConfig::parse(json).unwrap();
        assert_eq!(config.text.encoder.width, 768);
        assert_eq!(config.text.pooling, TextPooling::EndOfSequence { id: 49407 });
    }

    #[test]
    fn impossible_numbers_are_refused() {
        for (json, said) in [
            (r#"{"model_type": "bert"}"#, "bert"),
            (r#"{"model_type": "clip", "vision_config": {"patch_size": 0}}"#, "patch_size"),
            (r#"{"model_type": "clip", "text_config": {"num_attention_heads": 7}}"#, "multiple"),
            (r#"{"model_type": "clip", "text_config": {"hidden_act": "relu"}}"#, "relu"),
            (r#"{"model_type": "clip", "vision_config": {"num_channels": 1}}"#, "channels"),
            (r#"{"model_type": "siglip", "vision_config": {"vision_use_head": false}}"#, "head"),
            (r#"{"model_type": "siglip", "text_config": {"projection_size": 5}}"#, "one width"),
            ("{", "EOF"),
        ] {
            let error = DualEncoderConfig::parse(json).unwrap_err();
            assert!(error.contains(said), "{json}: {error}");
        }
    }
}
