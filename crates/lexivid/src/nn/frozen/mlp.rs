//! x + mlp(norm(x)), forward, and the gradients with respect to its input and, where they are trained, its weights.

use super::{Linear, Norm, Workspace, weight_gradients::WeightGradients};
use crate::nn::{Compute, EncoderConfig, Scope, WeightsError};
use lexivid_kernels::{
    Activation, Isa, Matrix, Operand, Out, Precision, activate, activation_gradient, gate, gate_gradient,
};

/// The second half of a pre-norm block: x + mlp(norm(x)).
#[derive(Debug, Clone)]
pub struct MlpSublayer {
    /// The CPU's instructions.
    pub isa: Isa,
    /// Before the MLP.
    pub norm: Norm,
    /// The MLP.
    pub mlp: Mlp,
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

    /// The product before the activation or the gate, and the one after it.
    fn layers(&self) -> (&Linear, &Linear) {
        match self {
            Mlp::Plain { fc1, fc2, .. } => (fc1, fc2),
            Mlp::Gated { gate_up, down } => (gate_up, down),
        }
    }
}

/// What [`MlpSublayer::gradient`] needs of the way forward.
#[derive(Debug)]
pub struct KeptMlp {
    /// The input, `[M, W]`.
    x: Vec<f32>,
    /// What goes into the activation or the gate, `[M, F]` or `[M, 2 F]`.
    hidden: Vec<f32>,
}

impl MlpSublayer {
    /// Reads `layer_norm2` and `mlp`.
    pub fn load(scope: &Scope, config: &EncoderConfig) -> Result<Self, WeightsError> {
        let &EncoderConfig { width, mlp_width, activation, .. } = config;
        let mlp = scope.enter("mlp");
        Ok(Self {
            isa: scope.compute().isa,
            norm: Norm::load(&scope.enter("layer_norm2"), config)?,
            mlp: Mlp::Plain {
                fc1: Linear::load(&mlp.enter("fc1"), width, mlp_width)?,
                activation: activation.kernel(),
                fc2: Linear::load(&mlp.enter("fc2"), mlp_width, width)?,
            },
        })
    }

    /// What products multiply.
    pub fn precision(&self) -> Precision {
        self.mlp.layers().0.precision()
    }

    /// `x`, the residual stream: `[M, W]`; becomes the output.
    pub fn forward(&self, x: &mut [f32], workspace: &mut Workspace) {
        let Workspace { narrow, wide, .. } = workspace;
        self.norm.apply(self.isa, x, narrow);
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

    /// As [`MlpSublayer::forward`], which see; keeps what the gradient needs. Not for int8.
    pub fn forward_keeping(&self, x: &mut [f32]) -> KeptMlp {
        let (first, second) = self.mlp.layers();
        let precision = first.precision();
        let (mut narrow, mut wide) = (Operand::new(precision), Operand::new(precision));
        let input = x.to_vec();
        self.norm.apply(self.isa, x, &mut narrow);
        let mut hidden = vec![0.0; narrow.rows() * first.weight.columns()];
        first.apply(&narrow, None, Out::Rows(&mut hidden));
        match &self.mlp {
            Mlp::Plain { activation, .. } => {
                activate(self.isa, &hidden, second.weight.width(), *activation, &mut wide);
            }
            Mlp::Gated { .. } => gate(self.isa, &hidden, second.weight.width(), &mut wide),
        }
        second.apply(&wide, None, Out::Add(x));
        KeptMlp { x: input, hidden }
    }

    /// The gradient with respect to the input, `[M, W]`, of that with respect to the output, `dy`. Those with respect to the weights go
    /// to `weights`, where the norm is a layer norm and the MLP a plain one.
    pub fn gradient(&self, kept: &KeptMlp, dy: &[f32], weights: Option<&mut WeightGradients>) -> Vec<f32> {
        let (first, second) = self.mlp.layers();
        let (isa, precision) = (self.isa, first.precision());
        let (mut narrow, mut wide) = (Operand::new(precision), Operand::new(precision));
        let width = second.weight.columns();
        let rows = dy.len() / width;

        // dx = dy + norm'(mlp'(dy))
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
        if let (Some(weights), Mlp::Plain { activation, .. }) = (weights, &self.mlp) {
            let (mut active, mut normed) = (Operand::new(precision), Operand::new(precision));
            activate(isa, &kept.hidden, second.weight.width(), *activation, &mut active);
            self.norm.apply(isa, &kept.x, &mut normed);
            weights.linear(dy.to_vec(), width, active.to_rows(), second.weight.width());
            weights.linear(wide.to_rows(), first.weight.columns(), normed.to_rows(), width);
            if let Norm::Layer { eps, .. } = self.norm {
                weights.norm(&kept.x, &d_normed, eps, width);
            }
        }
        let mut dx = dy.to_vec();
        self.norm.gradient(isa, &kept.x, &d_normed, &mut dx);
        dx
    }
}
