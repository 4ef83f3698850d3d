use crate::nn::Linear;
use candle_core::{CpuStorage, Result, Storage, Tensor};
use lexivid_kernels::{Operand, Out};

/// Pixels `[B, 3, H, W]` -> embeddings `[B, grid * grid, W]` of their patches of `side` x `side` pixels. A convolution whose stride is
/// its size is one matrix product over cut-out patches.
pub(super) fn embed(pixels: &Tensor, linear: &Linear, grid: usize, side: usize) -> Result<Tensor> {
    let batch = pixels.dim(0)?;
    if let Some(frozen) = linear.frozen()
        && !pixels.track_op()
    {
        let pixels = pixels.contiguous()?;
        let (storage, layout) = pixels.storage_and_layout();
        if let (Storage::Cpu(CpuStorage::F32(values)), Some((start, end))) = (&*storage, layout.contiguous_offsets()) {
            let (_, channels, height, width) = pixels.dims4()?;
            let picture = Picture { channels, height, width, grid, side };
            let mut cut = Operand::new(frozen.precision());
            let values = &values[start..end];
            cut.write_rows(frozen.isa(), batch * grid * grid, channels * side * side, |row, to| {
                picture.cut(values, row, to);
            });
            let mut embedded = vec![0.0; batch * grid * grid * frozen.weight.columns()];
            frozen.apply(&cut, None, Out::Rows(&mut embedded));
            return Tensor::from_vec(embedded, (batch, grid * grid, ()), pixels.device());
        }
    }
    let cut = pixels
        .narrow(2, 0, grid * side)?
        .narrow(3, 0, grid * side)?
        .reshape((batch, 3, grid, side, grid, side))?
        .permute((0, 2, 4, 1, 3, 5))? // [B, gh, gw, 3, P, P]
        .reshape((batch, grid * grid, 3 * side * side))?;
    linear.forward(&cut)
}

/// Sizes of pictures `[B, C, H, W]` and their patches.
struct Picture {
    channels: usize,
    height: usize,
    width: usize,
    grid: usize,
    side: usize,
}

impl Picture {
    /// Patch number `row` of all pictures -> `[C, P, P]`.
    fn cut(&self, pixels: &[f32], row: usize, to: &mut [f32]) {
        let &Self { channels, height, width, grid, side } = self;
        let (picture, patch) = (row / (grid * grid), row % (grid * grid));
        let (top, left) = (patch / grid * side, patch % grid * side);
        for (i, to) in to.chunks_exact_mut(side).enumerate() {
            let (channel, y) = (i / side, i % side);
            let from = ((picture * channels + channel) * height + top + y) * width + left;
            to.copy_from_slice(&pixels[from..from + side]);
        }
    }
}
