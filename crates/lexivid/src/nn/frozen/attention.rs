//! x + attention(norm(x)), forward, position by position, and the gradients with respect to its input and, where they are trained, its weights.

use super::{HeadNorms, Linear, Norm, Rotary, Workspace, weight_gradients::WeightGradients};
use crate::nn::{EncoderConfig, Scope, WeightsError};
use half::bf16;
use lexivid_kernels::{
    Attention, Heads, Isa, Mask, Matrix, Operand, Out, Precision, Values, attention, attention_gradient,
};

/// The first half of a pre-norm block: x + attention(norm(x)).
#[derive(Debug, Clone)]
pub struct AttentionSublayer {
    /// The CPU's instructions.
    pub isa: Isa,
    /// Before attention.
    pub norm: Norm,
    /// Projections of queries, keys and values, stacked: `[(H + 2 G) d, W]` for H heads of queries and G of keys.
    pub qkv: Linear,
    /// How many heads, and how wide.
    pub sizes: AttentionSizes,
    /// Of queries and keys, where there are any.
    pub head_norms: Option<HeadNorms>,
    /// `[W, H d]`.
    pub out: Linear,
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
    fn of(self, batch: usize, length: usize, mask: Mask) -> Attention {
        let Self { heads, kv_heads, head_width } = self;
        let scale = (head_width as f32).powf(-0.5);
        Attention { batch, queries: length, keys: length, heads, kv_heads, head_width, scale, mask }
    }

    /// Queries, keys and values of a stacked projection.
    fn parts(self, qkv: Values) -> [Heads; 3] {
        let at = |head: usize| Heads { values: qkv, stride: self.stacked(), offset: head * self.head_width };
        [at(0), at(self.heads), at(self.heads + self.kv_heads)]
    }
}

/// What [`AttentionSublayer::gradient`] needs of the way forward.
#[derive(Debug)]
pub struct KeptAttention {
    /// The input, `[M, W]`.
    x: Vec<f32>,
    /// Queries, keys and values before the norms of their heads, where there are any.
    unnormed: Option<Vec<f32>>,
    /// Queries, keys and values, rotated, `[M, (H + 2 G) d]`.
    qkv: Vec<f32>,
}

impl AttentionSublayer {
    /// Reads `layer_norm1` and `self_attn`.
    pub fn load(scope: &Scope, config: &EncoderConfig) -> Result<Self, WeightsError> {
        let &EncoderConfig { width, heads, .. } = config;
        let compute = scope.compute();
        let norm = Norm::load(&scope.enter("layer_norm1"), config)?;
        let attention = scope.enter("self_attn");
        let stacked = |tensor: &str, expected: &[usize]| {
            let parts = ["q_proj", "k_proj", "v_proj"].map(|name| attention.enter(name).values(tensor, expected));
            parts.into_iter().collect::<Result<Vec<_>, _>>().map(|parts| parts.concat())
        };
        let bias = stacked("bias", &[width])?;
        let qkv = attention.matrix("qkv", 3 * width, width, || {
            Ok(Matrix::pack(&stacked("weight", &[width, width])?, 3 * width, width, compute.precision))
        })?;
        Ok(Self {
            isa: compute.isa,
            norm,
            qkv: Linear::packed(qkv, Some(bias), compute.isa),
            sizes: AttentionSizes { heads, kv_heads: heads, head_width: width / heads },
            head_norms: None,
            out: Linear::load(&attention.enter("out_proj"), width, width)?,
        })
    }

    /// `x`, the residual stream: `[B * S, W]`, sequences of S = `length`; becomes the output.
    pub fn forward(
        &self,
        x: &mut [f32],
        length: usize,
        mask: Mask,
        rotary: Option<&Rotary>,
        workspace: &mut Workspace,
    ) {
        let Workspace { narrow, qkv, qkv_bf16, .. } = workspace;
        self.norm.apply(self.isa, x, narrow);
        let rows = narrow.rows();
        // Normalising or turning what was rounded would round it twice.
        let values = if self.head_norms.is_some() || rotary.is_some() || self.qkv.precision() == Precision::F32 {
            self.project(narrow, length, rotary, qkv);
            Values::F32(qkv)
        } else {
            qkv_bf16.resize(rows * self.sizes.stacked(), bf16::ZERO);
            self.qkv.apply(narrow, None, Out::Bf16(qkv_bf16));
            Values::Bf16(qkv_bf16)
        };
        self.attend(values, rows / length, length, mask, narrow); // [M, H d]
        self.out.apply(narrow, None, Out::Add(x));
    }

    /// Queries, keys and values of normalised rows, those of queries and keys normalised and turned: `[M, (H + 2 G) d]`.
    fn project(&self, normed: &Operand, length: usize, rotary: Option<&Rotary>, qkv: &mut Vec<f32>) {
        let AttentionSizes { heads, kv_heads, .. } = self.sizes;
        qkv.resize(normed.rows() * self.sizes.stacked(), 0.0);
        self.qkv.apply(normed, None, Out::Rows(qkv));
        if let Some(norms) = &self.head_norms {
            norms.apply(qkv, self.sizes);
        }
        if let Some(rotary) = rotary {
            rotary.turn(qkv, self.sizes.stacked(), heads + kv_heads, length, false);
        }
    }

    /// As [`AttentionSublayer::forward`] for `x`, the next T positions of one text, `[T, W]`. `cache`: keys, rotated, and values of the N before,
    /// `[N, 2 G d]`; theirs are added. `rotary` is for these T positions.
    pub(super) fn extend(&self, x: &mut [f32], cache: &mut Vec<f32>, rotary: &Rotary, workspace: &mut Workspace) {
        let Workspace { narrow, qkv, .. } = workspace;
        self.norm.apply(self.isa, x, narrow);
        let rows = narrow.rows();
        self.project(narrow, rows, Some(rotary), qkv);
        let sizes = self.sizes;
        let stored = 2 * sizes.kv_heads * sizes.head_width;
        for row in qkv.chunks_exact(sizes.stacked()) {
            cache.extend_from_slice(&row[sizes.stacked() - stored..]);
        }
        let q = Heads { values: Values::F32(qkv), stride: sizes.stacked(), offset: 0 };
        let at = |offset| Heads { values: Values::F32(cache), stride: stored, offset };
        let of = Attention { keys: cache.len() / stored, ..sizes.of(1, rows, Mask::Causal) };
        attention(self.isa, &of, q, at(0), at(stored / 2), narrow); // [T, H d]
        self.out.apply(narrow, None, Out::Add(x));
    }

    /// As [`AttentionSublayer::forward`], which see; keeps what the gradient needs. Not for int8.
    pub fn forward_keeping(&self, x: &mut [f32], length: usize, mask: Mask, rotary: Option<&Rotary>) -> KeptAttention {
        let mut narrow = Operand::new(self.qkv.precision());
        let input = x.to_vec();
        self.norm.apply(self.isa, x, &mut narrow);
        let rows = narrow.rows();
        let mut qkv = vec![0.0; rows * self.sizes.stacked()];
        self.qkv.apply(&narrow, None, Out::Rows(&mut qkv));
        let unnormed = self.head_norms.as_ref().map(|norms| {
            let unnormed = qkv.clone();
            norms.apply(&mut qkv, self.sizes);
            unnormed
        });
        let AttentionSizes { heads, kv_heads, .. } = self.sizes;
        if let Some(rotary) = rotary {
            rotary.turn(&mut qkv, self.sizes.stacked(), heads + kv_heads, length, false);
        }
        self.attend(Values::F32(&qkv), rows / length, length, mask, &mut narrow);
        self.out.apply(&narrow, None, Out::Add(x));
        KeptAttention { x: input, unnormed, qkv }
    }

    /// The gradient with respect to the input, `[M, W]`, of that with respect to the output, `dy`. Those with respect to the weights go
    /// to `weights`, where the norm is a layer norm.
    pub fn gradient(
        &self,
        kept: &KeptAttention,
        dy: &[f32],
        length: usize,
        mask: Mask,
        rotary: Option<&Rotary>,
        weights: Option<&mut WeightGradients>,
    ) -> Vec<f32> {
        let (isa, precision) = (self.isa, self.qkv.precision());
        let (mut narrow, mut wide) = (Operand::new(precision), Operand::new(precision));
        let width = self.out.weight.columns();
        let rows = dy.len() / width;

        // dx = dy + norm'(attention'(dy))
        narrow.fill(isa, dy, width);
        let mut d_mixed = vec![0.0; rows * self.out.weight.width()];
        self.out.gradient(&narrow, Out::Rows(&mut d_mixed)); // [M, H d]
        let stacked = self.sizes.stacked();
        let mut d_qkv = vec![0.0; rows * stacked];
        let parts = self.sizes.parts(Values::F32(&kept.qkv));
        attention_gradient(isa, &self.sizes.of(rows / length, length, mask), parts, &d_mixed, &mut d_qkv);
        if let Some(rotary) = rotary {
            let AttentionSizes { heads, kv_heads, .. } = self.sizes;
            rotary.turn(&mut d_qkv, stacked, heads + kv_heads, length, true);
        }
        if let (Some(norms), Some(unnormed)) = (&self.head_norms, &kept.unnormed) {
            norms.gradient(unnormed, &mut d_qkv, self.sizes);
        }
        wide.fill(isa, &d_qkv, stacked);
        let mut d_normed = vec![0.0; rows * width];
        self.qkv.gradient(&wide, Out::Rows(&mut d_normed)); // [M, W]
        if let Some(weights) = weights {
            let (mut mixed, mut normed) = (Operand::new(precision), Operand::new(precision));
            self.attend(Values::F32(&kept.qkv), rows / length, length, mask, &mut mixed);
            self.norm.apply(isa, &kept.x, &mut normed);
            weights.linear(dy.to_vec(), width, mixed.to_rows(), self.out.weight.width());
            weights.linear(d_qkv, stacked, normed.to_rows(), width);
            if let Norm::Layer { eps, .. } = self.norm {
                weights.norm(&kept.x, &d_normed, eps, width);
            }
        }
        let mut dx = dy.to_vec();
        self.norm.gradient(isa, &kept.x, &d_normed, &mut dx);
        dx
    }

    /// Stacked queries, keys and values -> mixed values `[B * S, H d]`.
    fn attend(&self, qkv: Values, batch: usize, length: usize, mask: Mask, out: &mut Operand) {
        let [q, k, v] = self.sizes.parts(qkv);
        attention(self.isa, &self.sizes.of(batch, length, mask), q, k, v, out);
    }
}
