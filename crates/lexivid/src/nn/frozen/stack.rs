use super::{Block, Rotary, Workspace, op::BlockOp};
use crate::nn::{SelfMask, values};
use candle_core::{Result, Tensor};
use lexivid_kernels::{Mask, Precision};
use std::sync::{Arc, Mutex, PoisonError};

/// Blocks one after the other.
#[derive(Debug)]
pub struct Stack {
    blocks: Vec<Arc<Block>>,
    precision: Precision,
    /// Kept between calls: fresh pages are dear.
    workspace: Mutex<Option<Workspace>>,
}

impl Stack {
    /// From the input on.
    pub fn new(blocks: Vec<Block>, precision: Precision) -> Self {
        Self { blocks: blocks.into_iter().map(Arc::new).collect(), precision, workspace: Mutex::new(None) }
    }

    /// `x`, the residual stream: `[B * S, W]`, sequences of S = `length`; becomes the last block's output. Every block's
    /// output goes to `each`.
    pub fn forward(
        &self,
        x: &mut [f32],
        length: usize,
        mask: Mask,
        rotary: Option<&Rotary>,
        mut each: impl FnMut(&[f32]),
    ) {
        let kept = self.workspace.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut workspace = kept.unwrap_or_else(|| Workspace::new(self.precision));
        for block in &self.blocks {
            block.forward(x, length, mask, rotary, &mut workspace);
            each(x);
        }
        *self.workspace.lock().unwrap_or_else(PoisonError::into_inner) = Some(workspace);
    }

    /// [`Stack::forward`] of `[B, S, W]`; every block's output is added to `keep`. Gradients pass through to `x` where it has
    /// any.
    pub fn forward_tensor(
        &self,
        mut x: Tensor,
        mask: SelfMask,
        rotary: Option<Arc<Rotary>>,
        mut keep: Option<&mut Vec<Tensor>>,
    ) -> Result<Tensor> {
        if x.track_op() {
            for block in &self.blocks {
                let op = BlockOp { block: block.clone(), mask, rotary: rotary.clone(), kept: Mutex::default() };
                x = x.contiguous()?.apply_op1(op)?;
                if let Some(keep) = &mut keep {
                    keep.push(x.clone());
                }
            }
            return Ok(x);
        }
        let (shape, device) = (x.shape().clone(), x.device().clone());
        let length = x.dim(1)?;
        let mut rows = values(&x)?;
        let mut failed = Ok(());
        self.forward(&mut rows, length, mask.kernel(), rotary.as_deref(), |x| {
            if let (Some(keep), Ok(())) = (&mut keep, &failed) {
                match Tensor::from_slice(x, &shape, &device) {
                    Ok(x) => keep.push(x),
                    Err(e) => failed = Err(e),
                }
            }
        });
        failed?;
        Tensor::from_vec(rows, shape, &device)
    }
}
