use super::{HeadNorms, Linear, Norm, Rotary};
use crate::nn::Compute;
use half::bf16;
use lexivid_kernels::{Activation, Attention, Heads, Isa, Mask, Matrix, Operand, Out, Precision, Values, attention};

/// One pre-norm transformer block: x + attention(norm(x)), then x + mlp(norm(x)).
#[derive(Debug, Clone)]
pub struct Block {
    /// The CPU's instructions.
    pub isa: Isa,
    /// Before attention.
    pub norm1: Norm,
    /// Projections of queries, keys and values, stacked: `[(H + 2 G) d, W]` for H heads of queries and G of keys.
    pub qkv: Linear,
    /// How many heads, and how wide.
    pub attention: AttentionSizes,
    /// Of queries and keys, where there are any.
    pub head_norms: Option<HeadNorms>,
    /// `[W, H d]`.
    pub out: Linear,
    /// Before the MLP.
    pub norm2: Norm,
    /// The MLP.
    pub mlp: Mlp,
}

/// Heads of an attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttentionSizes {
    /// H, of queries.
    pub heads: usize,
    /// G, of keys and values.
    pub kv_heads: usize,
    /// d.
    pub head_width: usize,
}

impl AttentionSizes {
    /// Width of queries, keys and values side by side.
    pub fn stacked(self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.head_width
    }

    /// Self-attention within sequences of `length`.
    pub(super) fn of(self, batch: usize, length: usize, mask: Mask) -> Attention {
        let Self { heads, kv_heads, head_width } = self;
        let scale = (head_width as f32).powf(-0.5);
        Attention { batch, queries: length, keys: length, heads, kv_heads, head_width, scale, mask }
    }

    /// Queries, keys and values of a stacked projection.
    pub(super) fn parts(self, qkv: Values) -> [Heads; 3] {
        let at = |head: usize| Heads { values: qkv, stride: self.stacked(), offset: head * self.head_width };
        [at(0), at(self.heads), at(self.heads + self.kv_heads)]
    }
}

/// What follows attention.
#[derive(Debug, Clone)]
pub enum Mlp {
    /// fc2(activation(fc1(x))): CLIP, SigLIP.
    Plain {
        /// `[F, W]`.
        fc1: Linear,
        /// Between the two.
        activation: Activation,
        /// `[W, F]`.
        fc2: Linear,
    },
    /// down(silu(gate(x)) * up(x)) (Shazeer, arXiv 2002.05202): Llama.
    Gated {
        /// Gate and up in turn ([`lexivid_kernels::Matrix::pack_gated`]), `[2 F, W]`.
        gate_up: Linear,
        /// `[W, F]`.
        down: Linear,
    },
}

impl Mlp {
    /// A gated MLP of `gate` and `up` `[F, W]` and `down` `[W, F]`.
    pub fn gated(mut gate: Vec<f32>, mut up: Vec<f32>, down: &[f32], hidden: usize, compute: &Compute) -> Self {
        // Gate and values are packed sixteen columns in turn: filled up with zeros, which stay zeros.
        let width = gate.len() / hidden;
        let padded = hidden.next_multiple_of(16);
        gate.resize(padded * width, 0.0);
        up.resize(padded * width, 0.0);
        let mut wide = vec![0.0; width * padded];
        for (to, from) in wide.chunks_exact_mut(padded).zip(down.chunks_exact(hidden)) {
            to[..hidden].copy_from_slice(from);
        }
        let gate_up = Matrix::pack_gated(&gate, &up, padded, width, compute.precision);
        let down = Matrix::pack(&wide, width, padded, compute.precision);
        Mlp::Gated {
            gate_up: Linear::packed(gate_up, None, compute.isa),
            down: Linear::packed(down, None, compute.isa),
        }
    }
}

/// Buffers that blocks share; they keep their memory from block to block and from call to call.
#[derive(Debug)]
pub struct Workspace {
    /// Left operands of width W (or H d).
    pub(super) narrow: Operand,
    /// Left operands of width F.
    wide: Operand,
    /// Queries, keys and values `[M, (H + 2 G) d]`; one of the two is used.
    pub(super) qkv: Vec<f32>,
    qkv_bf16: Vec<bf16>,
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
        let Workspace { narrow, qkv, qkv_bf16, .. } = workspace;
        self.norm1.apply(self.isa, x, narrow);
        let rows = narrow.rows();
        // Normalising or turning what was rounded would round it twice.
        let values = if self.head_norms.is_some() || rotary.is_some() || self.qkv.precision() == Precision::F32 {
            self.project(narrow, length, rotary, qkv);
            Values::F32(qkv)
        } else {
            qkv_bf16.resize(rows * self.attention.stacked(), bf16::ZERO);
            self.qkv.apply(narrow, None, Out::Bf16(qkv_bf16));
            Values::Bf16(qkv_bf16)
        };
        self.attend(values, rows / length, length, mask, narrow); // [M, H d]
        self.finish(x, workspace);
    }

    /// Queries, keys and values of normalised rows, those of queries and keys normalised and turned: `[M, (H + 2 G) d]`.
    pub(super) fn project(&self, normed: &Operand, length: usize, rotary: Option<&Rotary>, qkv: &mut Vec<f32>) {
        let AttentionSizes { heads, kv_heads, .. } = self.attention;
        qkv.resize(normed.rows() * self.attention.stacked(), 0.0);
        self.qkv.apply(normed, None, Out::Rows(qkv));
        if let Some(norms) = &self.head_norms {
            norms.apply(qkv, self.attention);
        }
        if let Some(rotary) = rotary {
            rotary.turn(qkv, self.attention.stacked(), heads + kv_heads, length, false);
        }
    }

    /// What follows attention, whose mixed values are in `workspace.narrow`.
    pub(super) fn finish(&self, x: &mut [f32], workspace: &mut Workspace) {
        let Workspace { narrow, wide, .. } = workspace;
        self.out.apply(narrow, None, Out::Add(x));

        self.norm2.apply(self.isa, x, narrow);
        match &self.mlp {
            Mlp::Plain { fc1, activation, fc2 } => {
                fc1.apply(narrow, Some(*activation), Out::Operand(wide)); // [M, F]
                fc2.apply(wide, None, Out::Add(x));
            }
            Mlp::Gated { gate_up, down } => {
                gate_up.apply(narrow, None, Out::Gated(wide)); // [M, F]
                down.apply(wide, None, Out::Add(x));
            }
        }
    }

    /// Stacked queries, keys and values -> mixed values `[B * S, H d]`.
    fn attend(&self, qkv: Values, batch: usize, length: usize, mask: Mask, out: &mut Operand) {
        let [q, k, v] = self.attention.parts(qkv);
        attention(self.isa, &self.attention.of(batch, length, mask), q, k, v, out);
    }
}
