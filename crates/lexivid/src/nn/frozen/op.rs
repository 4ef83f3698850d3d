//! Frozen layers as operations of candle's autodiff, with gradients for their inputs only.

use super::{Block, Kept, Linear, Rotary};
use crate::nn::{SelfMask, values};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use lexivid_kernels::{Operand, Out, Precision};
use std::sync::{Arc, Mutex, PoisonError};

/// One block of `[B, S, W]`.
pub(super) struct BlockOp {
    pub block: Arc<Block>,
    pub mask: SelfMask,
    pub rotary: Option<Arc<Rotary>>,
    /// From the way forward to the way back.
    pub kept: Mutex<Option<Kept>>,
}

impl CustomOp1 for BlockOp {
    fn name(&self) -> &'static str {
        "frozen-block"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, length, _) = layout.shape().dims3()?;
        differentiable(self.block.attention.qkv.precision())?;
        let mut x = contiguous(storage, layout)?.to_vec();
        let kept = self.block.forward_keeping(&mut x, length, self.mask.kernel(), self.rotary.as_deref());
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
        Ok((CpuStorage::F32(x), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let (_, length, _) = x.dims3()?;
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(kept) = &*kept else { bail!("frozen-block: a gradient before the way forward") };
        let dx = self.block.gradient(kept, &values(dy)?, length, self.mask.kernel(), self.rotary.as_deref());
        Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
    }
}

/// One linear layer of `[.., in]`.
pub(super) struct LinearOp(pub Arc<Linear>);

impl CustomOp1 for LinearOp {
    fn name(&self) -> &'static str {
        "frozen-linear"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        differentiable(self.0.precision())?;
        let y = self.0.rows(contiguous(storage, layout)?);
        let mut shape = layout.shape().dims().to_vec();
        *shape.last_mut().expect("at least one dimension") = self.0.weight.columns();
        Ok((CpuStorage::F32(y), shape.into()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let mut a = Operand::new(self.0.precision());
        a.fill(self.0.isa(), &values(dy)?, self.0.weight.columns());
        let mut dx = vec![0.0; x.elem_count()];
        self.0.gradient(&a, Out::Rows(&mut dx));
        Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
    }
}

fn contiguous<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&values[start..end]),
        _ => bail!("a frozen layer: expected contiguous f32"),
    }
}

fn differentiable(precision: Precision) -> Result<()> {
    if precision == Precision::Int8 {
        bail!("gradients: expected f32 or bf16 weights, got int8");
    }
    Ok(())
}
