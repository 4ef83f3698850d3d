//! EfficientNet-Lite: the starter's image tower.
//!
//! Pixels -> features, NHWC throughout, on the kernels of `lexivid-kernels`: one channel's neighbour is the next number, so
//! every convolution is a product or runs along the channels of one pixel. Structure and 'same' padding are those of the TensorFlow original
//! (`tensorflow/tpu`, `efficientnet/lite/efficientnet_lite_builder.py`) as ported by `efficientnet_lite_pytorch`.
//! Batch norms are folded into the convolutions ([`fold_batch_norms`]). Runs on the CPU.

mod config;
mod fold;
mod layers;

pub use config::EfficientNetLiteConfig;
pub use fold::fold_batch_norms;

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use config::BlockConfig;
use layers::{Dense, Rows, Separable};
use lexivid_kernels::{Isa, Operand, Padding, Precision, Volume, Window, average_pool};
use std::sync::{Mutex, PoisonError};

const POINTWISE: Window = Window { kernel: [1; 3], stride: [1; 3], padding: Padding::Same };

/// Mobile inverted bottleneck: expand, depthwise, project; a residual where the shapes allow it.
struct Block {
    expand: Option<Dense>,
    separable: Separable,
    residual: bool,
}

impl Block {
    fn new(config: &BlockConfig, precision: Precision, vb: VarBuilder) -> Result<Self> {
        let BlockConfig { kernel, stride, expand_ratio, input, output } = *config;
        let wide = config.expanded();
        let expand =
            (expand_ratio > 1).then(|| Dense::new(POINTWISE, input, wide, precision, vb.pp("expand"))).transpose()?;
        Ok(Self {
            expand,
            separable: Separable::new(kernel, stride, wide, output, precision, vb)?,
            residual: stride == 1 && input == output,
        })
    }

    /// `buffers.x`, `[B, H, W, C_in]` -> the same, `[B, ceil(H / stride), ceil(W / stride), C_out]`
    fn forward(&self, isa: Isa, buffers: &mut Buffers) {
        let Buffers { x, wide, operand } = buffers;
        match &self.expand {
            Some(expand) => expand.forward(isa, &x.volume(), wide),
            None => std::mem::swap(x, wide),
        }
        self.separable.forward(isa, &wide.volume(), operand, x, self.residual);
    }
}

/// Activations, kept from one call to the next.
struct Buffers {
    x: Rows,
    wide: Rows,
    operand: Operand,
}

/// The image tower, with its classifier.
pub struct EfficientNetLite {
    isa: Isa,
    precision: Precision,
    stem: Dense,
    blocks: Vec<Block>,
    head: Dense,
    classifier: Tensor,      // [classes, D]
    classifier_bias: Tensor, // [classes]
    /// None while a call has them.
    buffers: Mutex<Option<Buffers>>,
}

impl EfficientNetLite {
    /// From folded weights ([`fold_batch_norms`]), packed for products in f32 or bf16; sums and what lies between products are f32.
    pub fn new(config: &EfficientNetLiteConfig, vb: VarBuilder, isa: Isa, precision: Precision) -> Result<Self> {
        let blocks = config.blocks();
        let (stem, head) = (EfficientNetLiteConfig::STEM, EfficientNetLiteConfig::HEAD);
        let last = blocks.last().map_or(stem, |b| b.output);
        let halving = Window::flat(3, 2, Padding::Same);
        Ok(Self {
            isa,
            precision,
            stem: Dense::new(halving, 3, stem, precision, vb.pp("stem"))?,
            blocks: (blocks.iter().enumerate())
                .map(|(i, block)| Block::new(block, precision, vb.pp(format!("blocks.{i}"))))
                .collect::<Result<_>>()?,
            head: Dense::new(POINTWISE, last, head, precision, vb.pp("head"))?,
            classifier: vb.get((config.classes, head), "classifier.weight")?,
            classifier_bias: vb.get(config.classes, "classifier.bias")?,
            buffers: Mutex::new(None),
        })
    }

    /// Normalised pixels `[B, H, W, 3]` -> features averaged over sites, `[B, D]`, D = 1280; not normalised.
    pub fn features(&self, pixels: &Tensor) -> Result<Tensor> {
        let (batch, h, w, channels) = pixels.dims4()?;
        let values: Vec<f32> = pixels.flatten_all()?.to_vec1()?;
        // The lock is not held while it computes: waiting for tasks, this thread might take up another call of this.
        let kept = self.kept_buffers().take();
        let mut buffers = kept.unwrap_or_else(|| Buffers {
            x: Rows::default(),
            wide: Rows::default(),
            operand: Operand::new(self.precision),
        });
        self.stem.forward(self.isa, &Volume::pictures(&values, batch, [h, w], channels), &mut buffers.x);
        for block in &self.blocks {
            block.forward(self.isa, &mut buffers);
        }
        self.head.forward(self.isa, &buffers.x.volume(), &mut buffers.wide);
        let mut features = vec![0.0; batch * EfficientNetLiteConfig::HEAD];
        average_pool(self.isa, &buffers.wide.volume(), &mut features);
        *self.kept_buffers() = Some(buffers);
        Tensor::from_vec(features, (batch, EfficientNetLiteConfig::HEAD), self.classifier.device())
    }

    fn kept_buffers(&self) -> std::sync::MutexGuard<'_, Option<Buffers>> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Features `[B, D]` -> class logits `[B, classes]`.
    pub fn logits(&self, features: &Tensor) -> Result<Tensor> {
        features.matmul(&self.classifier.t()?)?.broadcast_add(&self.classifier_bias)
    }

    /// The classifier's rows, `[classes, D]`: the image-space anchor of every class.
    pub fn class_rows(&self) -> &Tensor {
        &self.classifier
    }
}

#[cfg(test)]
mod tests;
