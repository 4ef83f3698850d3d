use super::Timing;
use anyhow::Context;
use candle_core::Tensor;
use lexivid::{
    features::{PatchWeights, Vit, VitConfig, VitPooling},
    nn::{Activation, EncoderConfig, Weights},
};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Tower {
    /// A CLIP in Hugging Face's layout
    #[arg(long)]
    model: PathBuf,
    /// Pixels, float32 [B, 3, H, W], at least a batch of them
    #[arg(long)]
    pixels: PathBuf,
    #[arg(long, default_value_t = 8)]
    batch: usize,
    /// Write the embeddings to this .npy file, float32 [B, D]
    #[arg(long)]
    check: Option<PathBuf>,
    #[command(flatten)]
    timing: Timing,
}

impl Tower {
    pub fn run(&self) -> anyhow::Result<()> {
        let compute = self.timing.compute()?;
        let vit = Vit::load(&Weights::open(&self.model, &compute)?.root(), &self.config()?)?;
        let pixels = Tensor::read_npy(&self.pixels)?.narrow(0, 0, self.batch)?.contiguous()?;
        self.timing.report("tower", || {
            vit.forward(&pixels, false)?;
            Ok(())
        })?;
        if let Some(path) = &self.check {
            vit.forward(&pixels, false)?.pooled.write_npy(path)?;
        }
        Ok(())
    }

    /// The tower's sizes, from `config.json`.
    fn config(&self) -> anyhow::Result<VitConfig> {
        let json: serde_json::Value = serde_json::from_slice(&std::fs::read(self.model.join("config.json"))?)?;
        let vision = &json["vision_config"];
        let size =
            |name: &str| anyhow::Ok(vision[name].as_u64().with_context(|| format!("vision_config.{name}"))? as usize);
        Ok(VitConfig {
            image_size: size("image_size")?,
            patch_size: size("patch_size")?,
            encoder: EncoderConfig {
                width: size("hidden_size")?,
                layers: size("num_hidden_layers")?,
                heads: size("num_attention_heads")?,
                mlp_width: size("intermediate_size")?,
                activation: Activation::QuickGelu,
                layer_norm_eps: 1e-5,
            },
            pooling: VitPooling::ClassToken { projection: size("projection_dim")? },
            patch_weights: PatchWeights::Convolution,
        })
    }
}
