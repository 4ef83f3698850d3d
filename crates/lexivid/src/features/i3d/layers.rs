//! The layers, channels last, with bias and ReLU inside of the kernels.

use super::config::{Branches, PLAIN, POOLED, SPATIOTEMPORAL};
use candle_core::Result;
use candle_nn::VarBuilder;
use half::bf16;
use lexivid_kernels::{
    Activation, Columns, Convolution, Epilogue, Isa, Matrix, Out, Padding, Precision, Values, Volume, Window, max_pool,
};

/// A window with TensorFlow's 'same' padding, as all of I3D's.
pub(super) fn window(kernel: [usize; 3], stride: [usize; 3]) -> Window {
    Window { kernel, stride, padding: Padding::Same }
}

/// Activations `[B, T, H, W, C]` in the precision of the products, in a buffer that only grows: fresh pages are dear.
pub(super) struct Activations {
    numbers: Numbers,
    pub batch: usize,
    /// T, H, W.
    pub size: [usize; 3],
    pub channels: usize,
}

enum Numbers {
    F32(Vec<f32>),
    Bf16(Vec<bf16>),
}

impl Activations {
    pub fn new(precision: Precision) -> Self {
        let numbers = match precision {
            Precision::F32 => Numbers::F32(Vec::new()),
            _ => Numbers::Bf16(Vec::new()),
        };
        Self { numbers, batch: 0, size: [0; 3], channels: 0 }
    }

    /// Sets the shape; values are whatever they were.
    pub fn reshape(&mut self, batch: usize, size: [usize; 3], channels: usize) {
        (self.batch, self.size, self.channels) = (batch, size, channels);
        let len = self.len();
        match &mut self.numbers {
            Numbers::F32(values) if values.len() < len => values.resize(len, 0.0),
            Numbers::Bf16(values) if values.len() < len => values.resize(len, bf16::ZERO),
            _ => {}
        }
    }

    fn len(&self) -> usize {
        self.batch * self.size.iter().product::<usize>() * self.channels
    }

    pub fn volume(&self) -> Volume<'_> {
        let len = self.len();
        let values = match &self.numbers {
            Numbers::F32(values) => Values::F32(&values[..len]),
            Numbers::Bf16(values) => Values::Bf16(&values[..len]),
        };
        Volume { values, batch: self.batch, size: self.size, channels: self.channels }
    }

    pub fn to_f32(&self) -> Vec<f32> {
        match self.volume().values {
            Values::F32(values) => values.to_vec(),
            Values::Bf16(values) => values.iter().map(|x| x.to_f32()).collect(),
        }
    }

    /// Where a layer writes channels from `first` on.
    pub fn columns(&mut self, first: usize) -> Out<'_> {
        let (len, width) = (self.len(), self.channels);
        match &mut self.numbers {
            Numbers::F32(values) => Out::Columns(Columns { rows: &mut values[..len], width, first }),
            Numbers::Bf16(values) => Out::Bf16Columns(Columns { rows: &mut values[..len], width, first }),
        }
    }
}

/// A convolution, its batch norm and ReLU.
pub(super) struct Unit3d {
    convolution: Convolution,
    bias: Vec<f32>, // [C_out]
}

/// What layers have in common.
#[derive(Clone, Copy)]
pub(super) struct Terms {
    /// Of products.
    pub precision: Precision,
    /// Whether minimal filtering is faster where it can be: height and width of the input are large, as its tiles are 4 x 4, and no instruction
    /// multiplies bf16 as fast.
    pub minimal: bool,
}

impl Unit3d {
    pub fn new(window: Window, input: usize, output: usize, terms: Terms, vb: VarBuilder) -> Result<Self> {
        let width = window.kernel.iter().product::<usize>() * input;
        let weights = vb.get((width, output), "weight")?;
        let convolution = if terms.minimal && window.kernel[1] > 1 {
            Convolution::minimal(&weights.t()?.flatten_all()?.to_vec1()?, output, window)
        } else {
            let weights = weights.flatten_all()?.to_vec1()?;
            Convolution::new(Matrix::pack_transposed(&weights, output, width, terms.precision), window)
        };
        Ok(Self { convolution, bias: vb.get(output, "bias")?.to_vec1()? })
    }

    /// `[B, T, H, W, C_in]` -> `[B, T / stride, H / stride, W / stride, C_out]`, sizes rounded up.
    pub fn forward(&self, isa: Isa, x: &Volume, out: &mut Activations) {
        out.reshape(x.batch, self.convolution.window().output(x.size), self.bias.len());
        self.forward_to(isa, x, out.columns(0));
    }

    fn forward_to(&self, isa: Isa, x: &Volume, out: Out) {
        let epilogue = Epilogue { bias: Some(&self.bias), activation: Some(Activation::Relu), ..Epilogue::default() };
        self.convolution.run(isa, x, &epilogue, out);
    }
}

/// The Inception module: four branches side by side in the channels of one output.
pub(super) struct Mixed {
    plain: Unit3d,
    spatiotemporal: [[Unit3d; 2]; 2],
    pooled: Unit3d,
    channels: Branches,
}

impl Mixed {
    pub fn new(channels: Branches, input: usize, terms: Terms, vb: VarBuilder) -> Result<Self> {
        let unit = |name: &str, kernel: usize, input, output| {
            Unit3d::new(window([kernel; 3], [1; 3]), input, output, terms, vb.pp(name.replace('/', ".")))
        };
        let branch = |i: usize| -> Result<[Unit3d; 2]> {
            let ([first, second], [reduced, output]) = (SPATIOTEMPORAL[i], channels.spatiotemporal[i]);
            Ok([unit(first, 1, input, reduced)?, unit(second, 3, reduced, output)?])
        };
        Ok(Self {
            plain: unit(PLAIN, 1, input, channels.plain)?,
            spatiotemporal: [branch(0)?, branch(1)?],
            pooled: unit(POOLED, 1, input, channels.pooled)?,
            channels,
        })
    }

    /// `[B, T, H, W, C_in]` -> `[B, T, H, W, C_out]`; `between` is scratch.
    pub fn forward(&self, isa: Isa, x: &Volume, between: &mut Activations, out: &mut Activations) {
        out.reshape(x.batch, x.size, self.channels.output());
        self.plain.forward_to(isa, x, out.columns(0));
        let mut first = self.channels.plain;
        for ([reduce, convolve], [_, output]) in self.spatiotemporal.iter().zip(self.channels.spatiotemporal) {
            reduce.forward(isa, x, between);
            convolve.forward_to(isa, &between.volume(), out.columns(first));
            first += output;
        }
        pool(isa, x, &window([3; 3], [1; 3]), between);
        self.pooled.forward_to(isa, &between.volume(), out.columns(first));
    }
}

/// `[B, T, H, W, C]` -> the greatest of each window.
pub(super) fn pool(isa: Isa, x: &Volume, window: &Window, out: &mut Activations) {
    out.reshape(x.batch, window.output(x.size), x.channels);
    max_pool(isa, x, window, out.columns(0));
}
