//! The layers of the tower, channels last, with bias and ReLU6 inside of the kernels.

use candle_core::Result;
use candle_nn::VarBuilder;
use lexivid_kernels::{
    Activation, Convolution, Depthwise, Epilogue, Isa, Matrix, Operand, Out, Padding, Precision, Volume, Window, matmul,
};

/// Rows `[B, H, W, C]` of a buffer that only grows: fresh pages are dear.
#[derive(Default)]
pub(super) struct Rows {
    values: Vec<f32>,
    pub batch: usize,
    pub size: [usize; 2],
    pub channels: usize,
}

impl Rows {
    /// Sets the shape; values are whatever they were.
    pub fn reshape(&mut self, batch: usize, size: [usize; 2], channels: usize) -> &mut [f32] {
        (self.batch, self.size, self.channels) = (batch, size, channels);
        let len = batch * size[0] * size[1] * channels;
        if self.values.len() < len {
            self.values.resize(len, 0.0);
        }
        &mut self.values[..len]
    }

    pub fn values_mut(&mut self) -> &mut [f32] {
        self.reshape(self.batch, self.size, self.channels)
    }

    pub fn volume(&self) -> Volume<'_> {
        let [h, w] = self.size;
        Volume::pictures(&self.values[..self.batch * h * w * self.channels], self.batch, self.size, self.channels)
    }
}

/// `[H, W]` of what a window makes of these pictures.
fn output_size(window: &Window, [h, w]: [usize; 2]) -> [usize; 2] {
    let [_, h, w] = window.output([1, h, w]);
    [h, w]
}

/// Packed weights and bias of `[kernel * kernel * input, output]`.
fn weights(
    kernel: usize,
    input: usize,
    output: usize,
    precision: Precision,
    vb: VarBuilder,
) -> Result<(Matrix, Vec<f32>)> {
    let width = kernel * kernel * input;
    let weights = vb.get((width, output), "weight")?.flatten_all()?.to_vec1()?;
    Ok((Matrix::pack_transposed(&weights, output, width, precision), vb.get(output, "bias")?.to_vec1()?))
}

/// A convolution of all channels, and ReLU6: stem, expansion and head.
pub(super) struct Dense {
    convolution: Convolution,
    bias: Vec<f32>, // [C_out]
}

impl Dense {
    pub fn new(window: Window, input: usize, output: usize, precision: Precision, vb: VarBuilder) -> Result<Self> {
        let (weights, bias) = weights(window.kernel[2], input, output, precision, vb)?;
        Ok(Self { convolution: Convolution::new(weights, window), bias })
    }

    /// `[B, H, W, C_in]` -> `[B, ceil(H / stride), ceil(W / stride), C_out]`
    pub fn forward(&self, isa: Isa, x: &Volume, out: &mut Rows) {
        let size = output_size(self.convolution.window(), [x.size[1], x.size[2]]);
        let out = out.reshape(x.batch, size, self.bias.len());
        let epilogue = Epilogue { bias: Some(&self.bias), activation: Some(Activation::Relu6), ..Epilogue::default() };
        self.convolution.run(isa, x, &epilogue, Out::Rows(out));
    }
}

/// A convolution of every channel with its own kernel and ReLU6, then the channels' projection: between the two nothing is as large as
/// what lies before and is kept as the left operand of a product.
pub(super) struct Separable {
    depthwise: Depthwise,
    project: Matrix,
    bias: Vec<f32>, // [C_out]
}

impl Separable {
    pub fn new(
        kernel: usize,
        stride: usize,
        input: usize,
        output: usize,
        precision: Precision,
        vb: VarBuilder,
    ) -> Result<Self> {
        let depthwise = vb.pp("depthwise");
        let taps = depthwise.get((kernel * kernel, input), "weight")?.flatten_all()?.to_vec1()?;
        let taps_bias = depthwise.get(input, "bias")?.to_vec1()?;
        let (project, bias) = weights(1, input, output, precision, vb.pp("project"))?;
        let window = Window::flat(kernel, stride, Padding::Same);
        Ok(Self { depthwise: Depthwise::new(&taps, &taps_bias, window), project, bias })
    }

    /// `[B, H, W, C_in]` -> `[B, ceil(H / stride), ceil(W / stride), C_out]`, added to what is in `out` for a residual.
    pub fn forward(&self, isa: Isa, x: &Volume, operand: &mut Operand, out: &mut Rows, residual: bool) {
        self.depthwise.run(isa, x, Some(Activation::Relu6), Out::Operand(operand));
        let epilogue = Epilogue { bias: Some(&self.bias), ..Epilogue::default() };
        if residual {
            return matmul(isa, operand, &self.project, &epilogue, Out::Add(out.values_mut()));
        }
        let size = output_size(self.depthwise.window(), [x.size[1], x.size[2]]);
        matmul(isa, operand, &self.project, &epilogue, Out::Rows(out.reshape(x.batch, size, self.bias.len())));
    }
}
