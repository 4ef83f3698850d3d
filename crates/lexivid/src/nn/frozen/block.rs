use super::{AttentionSublayer, KeptAttention, KeptMlp, MlpSublayer, Rotary};
use half::bf16;
use lexivid_kernels::{Mask, Operand, Precision};

/// One pre-norm transformer block: x + attention(norm(x)), then x + mlp(norm(x)).
#[derive(Debug, Clone)]
pub struct Block {
    /// The first half.
    pub attention: AttentionSublayer,
    /// The second half.
    pub mlp: MlpSublayer,
}

/// What [`Block::gradient`] needs of the way forward.
pub type Kept = (KeptAttention, KeptMlp);

/// Buffers that blocks share; they keep their memory from block to block and from call to call.
#[derive(Debug)]
pub struct Workspace {
    /// Left operands of width W (or H d).
    pub(super) narrow: Operand,
    /// Left operands of width F.
    pub(super) wide: Operand,
    /// Queries, keys and values `[M, (H + 2 G) d]`; one of the two is used.
    pub(super) qkv: Vec<f32>,
    pub(super) qkv_bf16: Vec<bf16>,
}

impl Workspace {
    /// Empty.
    pub fn new(precision: Precision) -> Self {
        Self { narrow: Operand::new(precision), wide: Operand::new(precision), qkv: Vec::new(), qkv_bf16: Vec::new() }
    }
}

impl Block {
    /// `x`, the residual stream: `[B * S, W]`, sequences of S = `length`; becomes the block's output.
    pub fn forward(
        &self,
        x: &mut [f32],
        length: usize,
        mask: Mask,
        rotary: Option<&Rotary>,
        workspace: &mut Workspace,
    ) {
        self.attention.forward(x, length, mask, rotary, workspace);
        self.mlp.forward(x, workspace);
    }

    /// As [`Block::forward`], which see; keeps what the gradient needs. Not for int8.
    pub fn forward_keeping(&self, x: &mut [f32], length: usize, mask: Mask, rotary: Option<&Rotary>) -> Kept {
        let attention = self.attention.forward_keeping(x, length, mask, rotary);
        (attention, self.mlp.forward_keeping(x))
    }

    /// The gradient with respect to the block's input, `[M, W]`, of that with respect to its output, `dy`.
    pub fn gradient(
        &self,
        (attention, mlp): &Kept,
        dy: &[f32],
        length: usize,
        mask: Mask,
        rotary: Option<&Rotary>,
    ) -> Vec<f32> {
        let d_middle = self.mlp.gradient(mlp, dy, None);
        self.attention.gradient(attention, &d_middle, length, mask, rotary, None)
    }
}
