/// Shape of an EfficientNet-Lite; the table and the rounding rules are those of `efficientnet_lite_builder.py`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EfficientNetLiteConfig {
    /// Factor on the channels of all blocks; stem and head keep theirs.
    pub width: f64,
    /// Factor on the repeats of all stages but the first and the last.
    pub depth: f64,
    /// Classes of the classifier.
    pub classes: usize,
}

/// One stage of the base network (Lite0).
struct Stage {
    repeats: usize,
    kernel: usize,
    stride: usize,
    expand_ratio: usize,
    output: usize,
}

const fn stage(repeats: usize, kernel: usize, stride: usize, expand_ratio: usize, output: usize) -> Stage {
    Stage { repeats, kernel, stride, expand_ratio, output }
}

const STAGES: [Stage; 7] = [
    stage(1, 3, 1, 1, 16),
    stage(2, 3, 2, 6, 24),
    stage(2, 5, 2, 6, 40),
    stage(3, 3, 2, 6, 80),
    stage(3, 5, 1, 6, 112),
    stage(4, 5, 2, 6, 192),
    stage(1, 3, 1, 6, 320),
];

/// One block, scaled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct BlockConfig {
    pub kernel: usize,
    pub stride: usize,
    pub expand_ratio: usize,
    pub input: usize,
    pub output: usize,
}

impl BlockConfig {
    /// Channels inside of the bottleneck.
    pub fn expanded(&self) -> usize {
        self.input * self.expand_ratio
    }
}

impl EfficientNetLiteConfig {
    /// Channels after the stem.
    pub(super) const STEM: usize = 32;
    /// Width D of the features.
    pub const HEAD: usize = 1280;

    /// EfficientNet-Lite2, for pixels of 260 x 260.
    pub fn lite2() -> Self {
        Self { width: 1.1, depth: 1.2, classes: 1000 }
    }

    pub(super) fn blocks(&self) -> Vec<BlockConfig> {
        let mut blocks = Vec::new();
        let mut input = Self::STEM;
        for (i, stage) in STAGES.iter().enumerate() {
            let ends = i == 0 || i == STAGES.len() - 1;
            let repeats = if ends { stage.repeats } else { (stage.repeats as f64 * self.depth).ceil() as usize };
            let output = round_channels(stage.output as f64 * self.width);
            for repeat in 0..repeats {
                let stride = if repeat == 0 { stage.stride } else { 1 };
                let Stage { kernel, expand_ratio, .. } = *stage;
                blocks.push(BlockConfig { kernel, stride, expand_ratio, input, output });
                input = output;
            }
        }
        blocks
    }
}

/// To the nearest multiple of 8, but never down by more than a tenth.
fn round_channels(channels: f64) -> usize {
    let nearest = ((channels + 4.0) / 8.0).floor() * 8.0;
    let nearest = nearest.max(8.0);
    if nearest < 0.9 * channels { nearest as usize + 8 } else { nearest as usize }
}
