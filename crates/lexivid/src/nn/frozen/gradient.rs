//! Forward through a block with what its gradients need kept, and the gradients with respect to its input and, if it is
//! trained, its weights.

use super::{AttentionSizes, Block, Mlp, Norm, Rotary, weight_gradients::WeightGradients};
use lexivid_kernels::{
    Mask, Operand, Out, Values, activate, activation_gradient, attention, attention_gradient, gate, gate_gradient,
};

/// What [`Block::gradient`] needs of the way forward.
#[derive(Debug)]
pub struct Kept {
    /// The block's input, `[M, W]`.
    x: Vec<f32>,
    /// Queries, keys and values before the norms of their heads, where there are any.
    unnormed: Option<Vec<f32>>,
    /// Queries, keys and values, rotated, `[M, (H + 2 G) d]`.
    qkv: Vec<f32>,
    /// After attention, `[M, W]`.
    middle: Vec<f32>,
    /// What goes into the activation or the gate, `[M, F]` or `[M, 2 F]`.
    hidden: Vec<f32>,
}

impl Block {
    /// As [`Block::forward`], which see; keeps what the gradient needs. Not for int8.
    pub fn forward_keeping(&self, x: &mut [f32], length: usize, mask: Mask, rotary: Option<&Rotary>) -> Kept {
        let precision = self.qkv.precision();
        let (mut narrow, mut wide) = (Operand::new(precision), Operand::new(precision));
        let input = x.to_vec();
        self.norm1.apply(self.isa, x, &mut narrow);
        let rows = narrow.rows();
        let mut qkv = vec![0.0; rows * self.attention.stacked()];
        self.qkv.apply(&narrow, None, Out::Rows(&mut qkv));
        let unnormed = self.head_norms.as_ref().map(|norms| {
            let unnormed = qkv.clone();
            norms.apply(&mut qkv, self.attention);
            unnormed
        });
        let AttentionSizes { heads, kv_heads, .. } = self.attention;
        if let Some(rotary) = rotary {
            rotary.turn(&mut qkv, self.attention.stacked(), heads + kv_heads, length, false);
        }
        let [q, k, v] = self.attention.parts(Values::F32(&qkv));
        attention(self.isa, &self.attention.of(rows / length, length, mask), q, k, v, &mut narrow);
        self.out.apply(&narrow, None, Out::Add(x));

        let middle = x.to_vec();
        self.norm2.apply(self.isa, x, &mut narrow);
        let (first, second) = self.mlp.layers();
        let mut hidden = vec![0.0; rows * first.weight.columns()];
        first.apply(&narrow, None, Out::Rows(&mut hidden));
        match &self.mlp {
            Mlp::Plain { activation, .. } => {
                activate(self.isa, &hidden, second.weight.width(), *activation, &mut wide);
            }
            Mlp::Gated { .. } => gate(self.isa, &hidden, second.weight.width(), &mut wide),
        }
        second.apply(&wide, None, Out::Add(x));
        Kept { x: input, unnormed, qkv, middle, hidden }
    }

    /// The gradient with respect to the block's input, `[M, W]`, of that with respect to its output, `dy`. Those with respect to
    /// the weights go to `weights`, for blocks with layer norms and a plain MLP.
    pub fn gradient(
        &self,
        kept: &Kept,
        dy: &[f32],
        length: usize,
        mask: Mask,
        rotary: Option<&Rotary>,
        mut weights: Option<&mut WeightGradients>,
    ) -> Vec<f32> {
        let (isa, precision) = (self.isa, self.qkv.precision());
        let (mut narrow, mut wide) = (Operand::new(precision), Operand::new(precision));
        let (first, second) = self.mlp.layers();
        let width = second.weight.columns();
        let rows = dy.len() / width;

        // d middle = dy + norm2'(mlp'(dy))
        narrow.fill(isa, dy, width);
        let mut d_active = vec![0.0; rows * second.weight.width()];
        second.gradient(&narrow, Out::Rows(&mut d_active)); // [M, F]
        match &self.mlp {
            Mlp::Plain { activation, .. } => {
                activation_gradient(isa, &kept.hidden, &d_active, second.weight.width(), *activation, &mut wide);
            }
            Mlp::Gated { .. } => gate_gradient(isa, &kept.hidden, &d_active, second.weight.width(), &mut wide),
        }
        let mut d_normed = vec![0.0; rows * width];
        first.gradient(&wide, Out::Rows(&mut d_normed)); // [M, W]
        if let (Some(weights), Mlp::Plain { activation, .. }) = (&mut weights, &self.mlp) {
            let (mut active, mut normed) = (Operand::new(precision), Operand::new(precision));
            activate(isa, &kept.hidden, second.weight.width(), *activation, &mut active);
            self.norm2.apply(isa, &kept.middle, &mut normed);
            weights.linear(dy.to_vec(), width, active.to_rows(), second.weight.width());
            weights.linear(wide.to_rows(), first.weight.columns(), normed.to_rows(), width);
            if let Norm::Layer { eps, .. } = self.norm2 {
                weights.norm(&kept.middle, &d_normed, eps, width);
            }
        }
        let mut dx = dy.to_vec();
        self.norm2.gradient(isa, &kept.middle, &d_normed, &mut dx);

        // dx = d middle + norm1'(attention'(d middle))
        narrow.fill(isa, &dx, width);
        let mut d_mixed = vec![0.0; rows * self.out.weight.width()];
        self.out.gradient(&narrow, Out::Rows(&mut d_mixed)); // [M, H d]
        let stacked = self.attention.stacked();
        let mut d_qkv = vec![0.0; rows * stacked];
        let parts = self.attention.parts(Values::F32(&kept.qkv));
        attention_gradient(isa, &self.attention.of(rows / length, length, mask), parts, &d_mixed, &mut d_qkv);
        if let Some(rotary) = rotary {
            let AttentionSizes { heads, kv_heads, .. } = self.attention;
            rotary.turn(&mut d_qkv, stacked, heads + kv_heads, length, true);
        }
        if let (Some(norms), Some(unnormed)) = (&self.head_norms, &kept.unnormed) {
            norms.gradient(unnormed, &mut d_qkv, self.attention);
        }
        wide.fill(isa, &d_qkv, stacked);
        self.qkv.gradient(&wide, Out::Rows(&mut d_normed)); // [M, W]
        if let Some(weights) = &mut weights {
            let [q, k, v] = parts;
            let (mut mixed, mut normed) = (Operand::new(precision), Operand::new(precision));
            attention(isa, &self.attention.of(rows / length, length, mask), q, k, v, &mut mixed);
            self.norm1.apply(isa, &kept.x, &mut normed);
            weights.linear(dx.clone(), width, mixed.to_rows(), self.out.weight.width());
            weights.linear(d_qkv, stacked, normed.to_rows(), width);
            if let Norm::Layer { eps, .. } = self.norm1 {
                weights.norm(&kept.x, &d_normed, eps, width);
            }
        }
        self.norm1.gradient(isa, &kept.x, &d_normed, &mut dx);
        dx
    }
}

impl Mlp {
    /// The product before the activation or the gate, and the one after it.
    fn layers(&self) -> (&super::Linear, &super::Linear) {
        match self {
            Mlp::Plain { fc1, fc2, .. } => (fc1, fc2),
            Mlp::Gated { gate_up, down } => (gate_up, down),
        }
    }
}
