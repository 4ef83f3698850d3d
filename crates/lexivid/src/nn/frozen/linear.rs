use crate::nn::{Compute, Scope, WeightsError};
use candle_core::Tensor;
use lexivid_kernels::{Activation, Epilogue, Isa, Matrix, Operand, Out, Precision, matmul};
use std::sync::OnceLock;

/// y = x W^T + b, W constant.
#[derive(Debug, Clone)]
pub struct Linear {
    /// W, `[out, in]`.
    pub weight: Matrix,
    /// b, `[out]`.
    pub bias: Option<Vec<f32>>,
    isa: Isa,
    /// W^T, for gradients; made when the first one comes.
    transposed: OnceLock<Matrix>,
}

impl Linear {
    /// Reads `weight` `[output, input]` and `bias` `[output]`.
    pub fn load(scope: &Scope, input: usize, output: usize) -> Result<Self, WeightsError> {
        let compute = scope.compute();
        let weight = scope.matrix("weight", output, input, || {
            Ok(Matrix::pack(&scope.values("weight", &[output, input])?, output, input, compute.precision))
        })?;
        Ok(Self::packed(weight, Some(scope.values("bias", &[output])?), compute.isa))
    }

    /// From W `[out, in]` and b `[out]`.
    pub fn new(weight: &Tensor, bias: Option<&Tensor>, compute: &Compute) -> candle_core::Result<Self> {
        let (output, input) = weight.dims2()?;
        let values = weight.flatten_all()?.to_vec1()?;
        let weight = Matrix::pack(&values, output, input, compute.precision);
        Ok(Self::packed(weight, bias.map(Tensor::to_vec1).transpose()?, compute.isa))
    }

    /// From packed weights.
    pub fn packed(weight: Matrix, bias: Option<Vec<f32>>, isa: Isa) -> Self {
        Self { weight, bias, isa, transposed: OnceLock::new() }
    }

    /// Products of A with these weights; A `[M, in]`, the result `[M, out]`.
    pub fn apply(&self, a: &Operand, activation: Option<Activation>, out: Out) {
        let epilogue = Epilogue { bias: self.bias.as_deref(), activation, scale: None };
        matmul(self.isa, a, &self.weight, &epilogue, out);
    }

    /// `[M, in]` -> `[M, out]`, row-major.
    pub fn rows(&self, x: &[f32]) -> Vec<f32> {
        let mut a = Operand::new(self.weight.precision());
        a.fill(self.isa, x, self.weight.width());
        let mut y = vec![0.0; a.rows() * self.weight.columns()];
        self.apply(&a, None, Out::Rows(&mut y));
        y
    }

    /// dx = dy W: `dy` `[M, out]` -> `[M, in]`.
    pub fn gradient(&self, dy: &Operand, out: Out) {
        let transposed = self.transposed.get_or_init(|| self.weight.transposed());
        matmul(self.isa, dy, transposed, &Epilogue::default(), out);
    }

    /// The CPU's instructions.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// What products multiply.
    pub fn precision(&self) -> Precision {
        self.weight.precision()
    }
}
