use super::Timing;
use candle_core::{DType, Device, Tensor, safetensors};
use candle_nn::VarBuilder;
use lexivid::features::i3d::{I3d, I3dConfig};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Clip {
    /// Folded weights: i3d.safetensors of the installed model
    #[arg(long)]
    weights: PathBuf,
    /// Pixels, float32 [B, T, H, W, 3]
    #[arg(long)]
    clips: PathBuf,
    /// Write the features to this .npy file, float32 [B, D]
    #[arg(long)]
    check: Option<PathBuf>,
    #[command(flatten)]
    timing: Timing,
}

impl Clip {
    pub fn run(&self) -> anyhow::Result<()> {
        let compute = self.timing.compute()?;
        let weights = safetensors::load(&self.weights, &Device::Cpu)?;
        let weights = VarBuilder::from_tensors(weights, DType::F32, &Device::Cpu);
        let network = I3d::new(&I3dConfig::kinetics_400(), weights, compute.isa, compute.precision)?;
        let clips = Tensor::read_npy(&self.clips)?;
        let mut features = None;
        self.timing.report("clip", || {
            features = Some(network.features(&clips)?);
            Ok(())
        })?;
        if let (Some(path), Some(features)) = (&self.check, &features) {
            features.write_npy(path)?;
        }
        Ok(())
    }
}
