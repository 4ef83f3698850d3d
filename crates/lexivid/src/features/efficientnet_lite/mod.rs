//! EfficientNet-Lite: the starter's image tower.
//!
//! Pixels -> features, NHWC throughout: pointwise convolutions are matrix products, and a depthwise convolution runs
//! along the channels of one pixel. Structure and 'same' padding are those of the TensorFlow original
//! (`tensorflow/tpu`, `efficientnet/lite/efficientnet_lite_builder.py`) as ported by `efficientnet_lite_pytorch`.
//! Batch norms are folded into the convolutions ([`fold_batch_norms`]). Runs on the CPU.

mod config;
mod convolution;
mod fold;

pub use config::EfficientNetLiteConfig;
pub use fold::fold_batch_norms;

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use config::BlockConfig;
use convolution::{Depthwise, Pointwise, Stem};

/// Mobile inverted bottleneck: expand, depthwise, project; a residual where the shapes allow it.
struct Block {
    expand: Option<Pointwise>,
    depthwise: Depthwise,
    project: Pointwise,
    residual: bool,
}

impl Block {
    fn new(config: &BlockConfig, vb: VarBuilder) -> Result<Self> {
        let wide = config.expanded();
        let expand =
            (config.expand_ratio > 1).then(|| Pointwise::new(config.input, wide, true, vb.pp("expand"))).transpose()?;
        Ok(Self {
            expand,
            depthwise: Depthwise::new(config.kernel, config.stride, wide, vb.pp("depthwise"))?,
            project: Pointwise::new(wide, config.output, false, vb.pp("project"))?,
            residual: config.stride == 1 && config.input == config.output,
        })
    }

    /// `[B, H, W, C_in]` -> `[B, ceil(H / stride), ceil(W / stride), C_out]`
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let wide = match &self.expand {
            Some(expand) => &expand.forward(x)?,
            None => x,
        };
        let y = self.project.forward(&self.depthwise.forward(wide)?)?;
        if self.residual { y + x } else { Ok(y) }
    }
}

/// The image tower, with its classifier.
pub struct EfficientNetLite {
    stem: Stem,
    blocks: Vec<Block>,
    head: Pointwise,
    classifier: Tensor,      // [classes, D]
    classifier_bias: Tensor, // [classes]
}

impl EfficientNetLite {
    /// From folded weights ([`fold_batch_norms`]), on the CPU, f32.
    pub fn new(config: &EfficientNetLiteConfig, vb: VarBuilder) -> Result<Self> {
        let blocks = config.blocks();
        let last = blocks.last().map_or(EfficientNetLiteConfig::STEM, |b| b.output);
        Ok(Self {
            stem: Stem::new(EfficientNetLiteConfig::STEM, vb.pp("stem"))?,
            blocks: (blocks.iter().enumerate())
                .map(|(i, block)| Block::new(block, vb.pp(format!("blocks.{i}"))))
                .collect::<Result<_>>()?,
            head: Pointwise::new(last, EfficientNetLiteConfig::HEAD, true, vb.pp("head"))?,
            classifier: vb.get((config.classes, EfficientNetLiteConfig::HEAD), "classifier.weight")?,
            classifier_bias: vb.get(config.classes, "classifier.bias")?,
        })
    }

    /// Normalised pixels `[B, H, W, 3]` -> features averaged over sites, `[B, D]`, D = 1280; not normalised.
    pub fn features(&self, pixels: &Tensor) -> Result<Tensor> {
        let mut x = self.stem.forward(pixels)?;
        for block in &self.blocks {
            x = block.forward(&x)?;
        }
        self.head.forward(&x)?.mean((1, 2))
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
