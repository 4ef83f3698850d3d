//! A frozen stack of SmolLM2-135M's shape with random weights, and a learned prefix before its input; sizes as in
//! `contestants/grad_torch.py`.

use super::Timing;
use candle_core::{DType, Device, Tensor, Var};
use lexivid::{
    models::Compute,
    nn::{
        SelfMask,
        frozen::{AttentionSizes, AttentionSublayer, Block, Linear, Mlp, MlpSublayer, Norm, Rotary, Stack},
    },
};
use lexivid_kernels::Matrix;
use std::sync::Arc;

const LAYERS: usize = 30;
const WIDTH: usize = 576;
const ATTENTION: AttentionSizes = AttentionSizes { heads: 9, kv_heads: 3, head_width: 64 };
const HIDDEN: usize = 1536;
const BATCH: usize = 8;
const TOKENS: usize = 64;
const PREFIX: usize = 16;

pub fn run(timing: &Timing) -> anyhow::Result<()> {
    let compute = timing.compute()?;
    let stack = Stack::new((0..LAYERS).map(|_| block(&compute)).collect::<anyhow::Result<_>>()?, compute.precision);
    let rotary = Arc::new(Rotary::new(TOKENS, ATTENTION.head_width, 100_000.0));
    let prefix = Var::randn(0f32, 1.0, (1, PREFIX, WIDTH), &Device::Cpu)?;
    let body = Tensor::randn(0f32, 1.0, (BATCH, TOKENS - PREFIX, WIDTH), &Device::Cpu)?;
    let loss = |prefix: &Tensor| -> anyhow::Result<Tensor> {
        let prefix = prefix.broadcast_as((BATCH, PREFIX, WIDTH))?.contiguous()?;
        let x = Tensor::cat(&[&prefix, &body], 1)?;
        let y = stack.forward_tensor(x, SelfMask::Causal, Some(rotary.clone()), None)?;
        Ok(y.sqr()?.mean_all()?)
    };
    timing.report("forward", || {
        loss(&prefix.as_tensor().detach())?;
        Ok(())
    })?;
    timing.report("forward_backward", || {
        let gradients = loss(prefix.as_tensor())?.backward()?;
        anyhow::ensure!(gradients.get(&prefix).is_some(), "no gradient reached the prefix");
        Ok(())
    })
}

fn block(compute: &Compute) -> anyhow::Result<Block> {
    let weight = |output: usize, input: usize| -> anyhow::Result<Vec<f32>> {
        let deviation = (input as f64).powf(-0.5);
        Ok((Tensor::randn(0f32, 1.0, output * input, &Device::Cpu)? * deviation)?.to_dtype(DType::F32)?.to_vec1()?)
    };
    let linear = |output, input| -> anyhow::Result<Linear> {
        let matrix = Matrix::pack(&weight(output, input)?, output, input, compute.precision);
        Ok(Linear::packed(matrix, None, compute.isa))
    };
    let norm = || Norm::Rms { gain: vec![1.0; WIDTH], eps: 1e-5 };
    let mlp = Mlp::gated(weight(HIDDEN, WIDTH)?, weight(HIDDEN, WIDTH)?, &weight(WIDTH, HIDDEN)?, HIDDEN, compute);
    Ok(Block {
        attention: AttentionSublayer {
            isa: compute.isa,
            norm: norm(),
            qkv: linear(ATTENTION.stacked(), WIDTH)?,
            sizes: ATTENTION,
            out: linear(WIDTH, ATTENTION.heads * ATTENTION.head_width)?,
        },
        mlp: MlpSublayer { isa: compute.isa, norm: norm(), mlp },
    })
}
