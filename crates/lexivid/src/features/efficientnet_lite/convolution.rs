//! The three convolutions of the tower, with bias and ReLU6 fused into one pass over the output.

use candle_core::{CpuStorage, CustomOp1, InplaceOp1, Layout, Result, Shape, Tensor, bail};
use candle_nn::VarBuilder;
use rayon::prelude::*;

/// TensorFlow's 'same' padding of one axis: output `ceil(size / stride)`, the odd element of padding at the end.
#[derive(Debug, Clone, Copy)]
struct SamePadding {
    size: usize,
    kernel: usize,
    stride: usize,
}

impl SamePadding {
    fn output(&self) -> usize {
        self.size.div_ceil(self.stride)
    }

    /// Kernel tap and input position for output position `at`, where the input exists.
    fn taps(self, at: usize) -> impl Iterator<Item = (usize, usize)> {
        let needed = (self.output().saturating_sub(1) * self.stride + self.kernel).saturating_sub(self.size);
        let before = needed / 2;
        (0..self.kernel).filter_map(move |tap| {
            let position = (at * self.stride + tap).checked_sub(before)?;
            (position < self.size).then_some((tap, position))
        })
    }
}

/// `x + bias`, then ReLU6 where asked for; along the last axis.
struct AddBias<'a> {
    bias: &'a [f32], // [C]
    relu6: bool,
}

impl InplaceOp1 for AddBias<'_> {
    fn name(&self) -> &'static str {
        "add-bias"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let (CpuStorage::F32(values), Some((start, end))) = (storage, layout.contiguous_offsets()) else {
            bail!("add-bias: expected contiguous f32")
        };
        values[start..end].par_chunks_mut(self.bias.len() * 64).for_each(|sites| {
            for site in sites.chunks_exact_mut(self.bias.len()) {
                for (x, bias) in site.iter_mut().zip(self.bias) {
                    *x = if self.relu6 { (*x + bias).clamp(0.0, 6.0) } else { *x + bias };
                }
            }
        });
        Ok(())
    }
}

/// A convolution of kernel 1: a matrix product over channels.
pub(super) struct Pointwise {
    weight: Tensor, // [C_in, C_out]
    bias: Vec<f32>, // [C_out]
    relu6: bool,
}

impl Pointwise {
    pub fn new(input: usize, output: usize, relu6: bool, vb: VarBuilder) -> Result<Self> {
        Ok(Self { weight: vb.get((input, output), "weight")?, bias: vb.get(output, "bias")?.to_vec1()?, relu6 })
    }

    /// `[B, H, W, C_in]` -> `[B, H, W, C_out]`
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (b, h, w, c) = x.dims4()?;
        let y = x.reshape((b * h * w, c))?.matmul(&self.weight)?;
        y.inplace_op1(&AddBias { bias: &self.bias, relu6: self.relu6 })?;
        y.reshape((b, h, w, self.bias.len()))
    }
}

/// The first convolution: kernel 3, stride 2, as patches times a matrix.
pub(super) struct Stem(Pointwise); // weight [3 * 3 * 3, C_out], rows in the order (y, x, channel)

const STEM_KERNEL: usize = 3;
const STEM_STRIDE: usize = 2;

impl Stem {
    pub fn new(output: usize, vb: VarBuilder) -> Result<Self> {
        Ok(Self(Pointwise::new(STEM_KERNEL * STEM_KERNEL * 3, output, true, vb)?))
    }

    /// `[B, H, W, 3]` -> `[B, ceil(H / 2), ceil(W / 2), C_out]`
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.0.forward(&x.contiguous()?.apply_op1_no_bwd(&StemPatches)?)
    }
}

/// `[B, H, W, 3]` -> `[B, ceil(H / 2), ceil(W / 2), 27]`: the pixels under the stem's kernel, zero outside.
struct StemPatches;

impl CustomOp1 for StemPatches {
    fn name(&self) -> &'static str {
        "stem-patches"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (b, h, w, c) = layout.shape().dims4()?;
        let pixels = contiguous_f32(storage, layout)?;
        let rows = SamePadding { size: h, kernel: STEM_KERNEL, stride: STEM_STRIDE };
        let columns = SamePadding { size: w, kernel: STEM_KERNEL, stride: STEM_STRIDE };
        let (oh, ow, patch) = (rows.output(), columns.output(), STEM_KERNEL * STEM_KERNEL * c);
        let mut patches = vec![0.0; b * oh * ow * patch];
        patches.par_chunks_mut(ow * patch).enumerate().for_each(|(row, out)| {
            let (image, y) = (row / oh, row % oh);
            for (x, out) in out.chunks_exact_mut(patch).enumerate() {
                for (ky, iy) in rows.taps(y) {
                    for (kx, ix) in columns.taps(x) {
                        let (to, from) = ((ky * STEM_KERNEL + kx) * c, ((image * h + iy) * w + ix) * c);
                        out[to..to + c].copy_from_slice(&pixels[from..from + c]);
                    }
                }
            }
        });
        Ok((CpuStorage::F32(patches), (b, oh, ow, patch).into()))
    }
}

/// A convolution of every channel with its own kernel, bias and ReLU6 included.
pub(super) struct Depthwise {
    weight: Vec<f32>, // [kernel * kernel, C]
    bias: Vec<f32>,   // [C]
    kernel: usize,
    stride: usize,
}

impl Depthwise {
    pub fn new(kernel: usize, stride: usize, channels: usize, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            weight: vb.get((kernel * kernel, channels), "weight")?.flatten_all()?.to_vec1()?,
            bias: vb.get(channels, "bias")?.to_vec1()?,
            kernel,
            stride,
        })
    }

    /// `[B, H, W, C]` -> `[B, ceil(H / stride), ceil(W / stride), C]`
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.apply_op1_no_bwd(self)
    }
}

impl CustomOp1 for Depthwise {
    fn name(&self) -> &'static str {
        "depthwise"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (b, h, w, c) = layout.shape().dims4()?;
        if c != self.bias.len() {
            bail!("depthwise: expected {} channels, got {c}", self.bias.len())
        }
        let input = contiguous_f32(storage, layout)?;
        let rows = SamePadding { size: h, kernel: self.kernel, stride: self.stride };
        let columns = SamePadding { size: w, kernel: self.kernel, stride: self.stride };
        let (oh, ow) = (rows.output(), columns.output());
        let mut output = vec![0.0; b * oh * ow * c];
        output.par_chunks_mut(ow * c).enumerate().for_each(|(row, out)| {
            let (image, y) = (row / oh, row % oh);
            for (x, out) in out.chunks_exact_mut(c).enumerate() {
                out.copy_from_slice(&self.bias);
                for (ky, iy) in rows.taps(y) {
                    for (kx, ix) in columns.taps(x) {
                        let from = ((image * h + iy) * w + ix) * c;
                        let weight = &self.weight[(ky * self.kernel + kx) * c..][..c];
                        // Innermost over the channels of one pixel: contiguous in all three, so it vectorises.
                        for ((out, x), weight) in out.iter_mut().zip(&input[from..from + c]).zip(weight) {
                            *out += x * weight;
                        }
                    }
                }
                out.iter_mut().for_each(|x| *x = x.clamp(0.0, 6.0));
            }
        });
        Ok((CpuStorage::F32(output), (b, oh, ow, c).into()))
    }
}

fn contiguous_f32<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&values[start..end]),
        _ => bail!("expected contiguous f32"),
    }
}
