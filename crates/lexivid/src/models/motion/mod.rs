//! Motion: I3D as ordinary packages ship it, with the names of its classes, to look at clips beside a model that looks at frames.
//!
//! Its card is `MODEL.md`, beside this file and beside the weights. Runs on the CPU.

mod assemble;
mod names;

pub(super) use assemble::VERSION;
pub use assemble::pull;

use super::{
    ModelError,
    assembly::{check_version, read_json, read_weights},
};
use crate::{
    features::i3d::{I3d, I3dConfig},
    frames::{Filter, FramePixels, Preprocessing, View},
    nn::Compute,
};
use assemble::{NAMES, NETWORK};
use candle_core::{Device, Tensor};
use lexivid_kernels::Precision;
use std::path::Path;

/// What users call it.
pub const NAME: &str = "i3d";
/// The `model_type` of its `config.json`.
const MODEL_TYPE: &str = "i3d";

/// Length of a picture's shorter side before it is cropped.
const SHORTEST_EDGE: u32 = 256;

/// I3D, loaded.
pub struct Motion {
    network: I3d,
    classes: Vec<String>,
    preprocessing: Preprocessing,
}

/// Loads what [`pull`] has put into `dir`.
///
/// # Errors
/// When a file is missing or does not fit, and for int8.
pub fn load(dir: &Path, compute: &Compute) -> Result<Motion, ModelError> {
    check_version(dir, VERSION)?;
    let Compute { isa, precision, .. } = *compute;
    if precision == Precision::Int8 {
        return Err(ModelError::Precision { model: NAME.into(), expected: "f32 or bf16", got: precision });
    }
    let config = I3dConfig::kinetics_400();
    let classes: Vec<String> = read_json(&dir.join(NAMES))?;
    if classes.len() != config.classes {
        let reason = format!("expected {} classes, got {}", config.classes, classes.len());
        return Err(ModelError::BadFile { path: dir.join(NAMES), reason });
    }
    let network = I3d::new(&config, read_weights(&dir.join(NETWORK))?, isa, precision)?;
    let preprocessing = Preprocessing {
        size: (I3d::SIZE, I3d::SIZE),
        // Actions happen beside the middle, too.
        views: vec![
            View::FirstCrop { shortest_edge: SHORTEST_EDGE },
            View::CentreCrop { shortest_edge: SHORTEST_EDGE },
            View::LastCrop { shortest_edge: SHORTEST_EDGE },
        ],
        filter: Filter::Bilinear,
        mean: [0.5; 3],
        std: [0.5; 3],
    };
    Ok(Motion { network, classes, preprocessing })
}

impl Motion {
    /// How a frame becomes pixels: three crops.
    pub fn preprocessing(&self) -> &Preprocessing {
        &self.preprocessing
    }

    /// The network, with its classifier.
    pub fn network(&self) -> &I3d {
        &self.network
    }

    /// Names of the classes, in the order of the classifier's rows.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// One clip, frame by frame, at [`I3d::FRAME_RATE`] -> features of its views, `[views, D]`; not normalised.
    ///
    /// # Errors
    /// When frames have other views than [`Motion::preprocessing`] says, or are fewer than 9.
    pub fn encode_clip(&self, frames: &[FramePixels]) -> Result<Tensor, ModelError> {
        let Preprocessing { size: (height, width), ref views, .. } = self.preprocessing;
        let bytes = (height * width * 3) as usize;
        if let Some(frame) =
            frames.iter().find(|f| f.views.len() != views.len() || f.views.iter().any(|v| v.len() != bytes))
        {
            let got: Vec<usize> = frame.views.iter().map(Vec::len).collect();
            return Err(candle_core::Error::msg(format!(
                "expected {} views of {bytes} bytes, got {got:?}",
                views.len()
            ))
            .into());
        }
        let mut pixels = Vec::with_capacity(views.len() * frames.len() * bytes);
        for view in 0..views.len() {
            for frame in frames {
                pixels.extend(frame.views[view].iter().map(|byte| f32::from(*byte) / 127.5 - 1.0));
            }
        }
        let shape = (views.len(), frames.len(), height as usize, width as usize, 3);
        Ok(self.network.features(&Tensor::from_vec(pixels, shape, &Device::Cpu)?)?)
    }
}

#[cfg(test)]
mod tests;
