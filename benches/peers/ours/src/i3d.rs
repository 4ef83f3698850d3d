use super::Timing;
use lexivid::models::Compute;
use lexivid_kernels::{
    Activation, Convolution, Epilogue, Isa, Matrix, Out, Padding, Precision, Values, Volume, Window,
};
use serde::Deserialize;
use serde_json::json;
use std::{path::PathBuf, time::Instant};

#[derive(clap::Args)]
pub struct I3d {
    /// The convolutions, as in i3d_layers.json
    #[arg(long)]
    layers: PathBuf,
    #[command(flatten)]
    timing: Timing,
}

#[derive(Deserialize)]
struct Layer {
    name: String,
    in_channels: usize,
    out_channels: usize,
    kernel: [usize; 3],
    stride: [usize; 3],
    input_size: [usize; 3],
}

/// One convolution with bias and ReLU, ready to run as lexivid's I3D has it; input and output in the precision of its products.
struct Ready {
    layer: Layer,
    convolution: Convolution,
    bias: Vec<f32>,
    input: Numbers,
    output: Numbers,
}

enum Numbers {
    F32(Vec<f32>),
    Bf16(Vec<half::bf16>),
}

impl I3d {
    pub fn run(&self) -> anyhow::Result<()> {
        let compute = self.timing.compute()?;
        let layers: Vec<Layer> = serde_json::from_slice(&std::fs::read(&self.layers)?)?;
        let mut layers: Vec<Ready> = layers.into_iter().map(|layer| Ready::new(layer, &compute)).collect();
        let mut stack = vec![0.0; self.timing.runs];
        for ready in &mut layers {
            let mut ms = Vec::new();
            for _ in 0..self.timing.runs + 2 {
                let start = Instant::now();
                ready.run(compute.isa);
                ms.push(start.elapsed().as_secs_f64() * 1e3);
            }
            ms.drain(..2);
            stack.iter_mut().zip(&ms).for_each(|(sum, ms)| *sum += ms);
            println!("{}", json!({"name": ready.layer.name, "ms": ms}));
        }
        println!("{}", json!({"name": "stack", "ms": stack, "isa": compute.isa.to_string()}));
        Ok(())
    }
}

impl Ready {
    fn new(layer: Layer, compute: &Compute) -> Self {
        let Compute { isa, precision, .. } = *compute;
        let width = layer.kernel.iter().product::<usize>() * layer.in_channels;
        // Values do not change how long a dense product takes.
        let numbers = |count: usize| -> Vec<f32> { (0..count).map(|i| (i % 1009) as f32 / 1009.0 - 0.5).collect() };
        let weights = numbers(layer.out_channels * width);
        let window = Window { kernel: layer.kernel, stride: layer.stride, padding: Padding::Same };
        let minimal = precision == Precision::F32 || !isa.multiplies_bf16();
        let convolution = if minimal && layer.kernel[1] > 1 && layer.input_size[1] > 7 {
            Convolution::minimal(&weights, layer.out_channels, window)
        } else {
            Convolution::new(Matrix::pack(&weights, layer.out_channels, width, precision), window)
        };
        let input = numbers(layer.input_size.iter().product::<usize>() * layer.in_channels);
        let outputs = window.output(layer.input_size).iter().product::<usize>() * layer.out_channels;
        let (input, output) = match precision {
            Precision::F32 => (Numbers::F32(input), Numbers::F32(vec![0.0; outputs])),
            _ => {
                let input = input.into_iter().map(half::bf16::from_f32).collect();
                (Numbers::Bf16(input), Numbers::Bf16(vec![half::bf16::ZERO; outputs]))
            }
        };
        Self { bias: numbers(layer.out_channels), convolution, layer, input, output }
    }

    fn run(&mut self, isa: Isa) {
        let values = match &self.input {
            Numbers::F32(values) => Values::F32(values),
            Numbers::Bf16(values) => Values::Bf16(values),
        };
        let volume = Volume { values, batch: 1, size: self.layer.input_size, channels: self.layer.in_channels };
        let out = match &mut self.output {
            Numbers::F32(values) => Out::Rows(values),
            Numbers::Bf16(values) => Out::Bf16(values),
        };
        let epilogue = Epilogue { bias: Some(&self.bias), activation: Some(Activation::Relu), scale: None };
        self.convolution.run(isa, &volume, &epilogue, out);
    }
}
