/// Shape of an I3D: Inception-V1 with its kernels inflated over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct I3dConfig {
    /// Channels are those of the paper divided by this; 8 at most leaves whole numbers.
    pub divide: usize,
    /// Classes of the classifier.
    pub classes: usize,
}

/// A layer of the paper's figure 3; kernels and strides over time, height and width.
pub(super) enum Layer {
    /// Convolution, batch norm, ReLU: Unit3D.
    Convolution {
        kernel: [usize; 3],
        stride: [usize; 3],
        output: usize,
    },
    MaxPool {
        kernel: [usize; 3],
        stride: [usize; 3],
    },
    /// The Inception module.
    Mixed(Branches),
}

/// Output channels of an Inception module's branches, in the order in which they are concatenated.
#[derive(Clone, Copy)]
pub(super) struct Branches {
    /// 1x1x1.
    pub plain: usize,
    /// 1x1x1, then 3x3x3.
    pub spatiotemporal: [[usize; 2]; 2],
    /// A max pool of 3x3x3 and stride 1, then 1x1x1.
    pub pooled: usize,
}

impl Branches {
    /// Channels of all of them.
    pub fn output(&self) -> usize {
        let [[_, first], [_, second]] = self.spatiotemporal;
        self.plain + first + second + self.pooled
    }

    fn divided(self, by: usize) -> Self {
        Self {
            plain: self.plain / by,
            spatiotemporal: self.spatiotemporal.map(|channels| channels.map(|c| c / by)),
            pooled: self.pooled / by,
        }
    }
}

const fn convolution(kernel: usize, stride: usize, output: usize) -> Layer {
    Layer::Convolution { kernel: [kernel; 3], stride: [stride; 3], output }
}

/// The numbers in the order of DeepMind's `i3d.py`.
const fn mixed([b0, b1a, b1b, b2a, b2b, b3]: [usize; 6]) -> Layer {
    Layer::Mixed(Branches { plain: b0, spatiotemporal: [[b1a, b1b], [b2a, b2b]], pooled: b3 })
}

/// Name, layer. Sizes are those of a clip of 32 frames of 224 px: time x height x width x channels of the output.
const LAYERS: [(&str, Layer); 16] = [
    ("Conv3d_1a_7x7", convolution(7, 2, 64)), // 16 x 112 x 112 x 64
    ("MaxPool3d_2a_3x3", Layer::MaxPool { kernel: [1, 3, 3], stride: [1, 2, 2] }), // 16 x 56 x 56 x 64
    ("Conv3d_2b_1x1", convolution(1, 1, 64)),
    ("Conv3d_2c_3x3", convolution(3, 1, 192)), // 16 x 56 x 56 x 192
    ("MaxPool3d_3a_3x3", Layer::MaxPool { kernel: [1, 3, 3], stride: [1, 2, 2] }), // 16 x 28 x 28 x 192
    ("Mixed_3b", mixed([64, 96, 128, 16, 32, 32])), // 16 x 28 x 28 x 256
    ("Mixed_3c", mixed([128, 128, 192, 32, 96, 64])), // 16 x 28 x 28 x 480
    ("MaxPool3d_4a_3x3", Layer::MaxPool { kernel: [3; 3], stride: [2; 3] }), // 8 x 14 x 14 x 480
    ("Mixed_4b", mixed([192, 96, 208, 16, 48, 64])), // 8 x 14 x 14 x 512
    ("Mixed_4c", mixed([160, 112, 224, 24, 64, 64])),
    ("Mixed_4d", mixed([128, 128, 256, 24, 64, 64])),
    ("Mixed_4e", mixed([112, 144, 288, 32, 64, 64])), // 8 x 14 x 14 x 528
    ("Mixed_4f", mixed([256, 160, 320, 32, 128, 128])), // 8 x 14 x 14 x 832
    ("MaxPool3d_5a_2x2", Layer::MaxPool { kernel: [2; 3], stride: [2; 3] }), // 4 x 7 x 7 x 832
    ("Mixed_5b", mixed([256, 160, 320, 32, 128, 128])),
    ("Mixed_5c", mixed([384, 192, 384, 48, 128, 128])), // 4 x 7 x 7 x 1024
];

/// The classifier, in the checkpoint.
pub(super) const CLASSIFIER: &str = "Logits/Conv3d_0c_1x1";

/// Branches of an Inception module, in the checkpoint.
pub(super) const PLAIN: &str = "Branch_0/Conv3d_0a_1x1";
pub(super) const SPATIOTEMPORAL: [[&str; 2]; 2] =
    [["Branch_1/Conv3d_0a_1x1", "Branch_1/Conv3d_0b_3x3"], ["Branch_2/Conv3d_0a_1x1", "Branch_2/Conv3d_0b_3x3"]];
pub(super) const POOLED: &str = "Branch_3/Conv3d_0b_1x1";

/// One convolution: `[kernel, input, output]` are the sizes of its weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    /// In the checkpoint.
    pub name: String,
    pub kernel: [usize; 3],
    pub input: usize,
    pub output: usize,
}

impl I3dConfig {
    /// RGB, Kinetics-400.
    pub fn kinetics_400() -> Self {
        Self { divide: 1, classes: 400 }
    }

    /// Width D of the features: 1024.
    pub fn width(&self) -> usize {
        1024 / self.divide
    }

    /// The layers, with their names.
    pub(super) fn layers(&self) -> impl Iterator<Item = (&'static str, Layer)> {
        let by = self.divide;
        LAYERS.iter().map(move |(name, layer)| {
            let layer = match *layer {
                Layer::Convolution { kernel, stride, output } => {
                    Layer::Convolution { kernel, stride, output: output / by }
                }
                Layer::MaxPool { kernel, stride } => Layer::MaxPool { kernel, stride },
                Layer::Mixed(branches) => Layer::Mixed(branches.divided(by)),
            };
            (*name, layer)
        })
    }

    /// All convolutions but the classifier.
    pub(super) fn units(&self) -> Vec<Unit> {
        let mut units = Vec::new();
        let mut channels = 3;
        for (layer, shape) in self.layers() {
            match shape {
                Layer::Convolution { kernel, output, .. } => {
                    units.push(Unit { name: layer.into(), kernel, input: channels, output });
                    channels = output;
                }
                Layer::MaxPool { .. } => {}
                Layer::Mixed(branches) => {
                    units.extend(branches.units(layer, channels));
                    channels = branches.output();
                }
            }
        }
        units
    }
}

impl Branches {
    /// The six convolutions of a module with `input` channels before it.
    fn units(&self, module: &str, input: usize) -> Vec<Unit> {
        let unit = |name: &str, kernel: usize, input, output| Unit {
            name: format!("{module}/{name}"),
            kernel: [kernel; 3],
            input,
            output,
        };
        let mut units = vec![unit(PLAIN, 1, input, self.plain)];
        for (names, [reduced, output]) in SPATIOTEMPORAL.iter().zip(self.spatiotemporal) {
            units.extend([unit(names[0], 1, input, reduced), unit(names[1], 3, reduced, output)]);
        }
        units.push(unit(POOLED, 1, input, self.pooled));
        units
    }
}
