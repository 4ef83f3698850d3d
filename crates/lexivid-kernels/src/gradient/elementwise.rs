use crate::{
    Activation, Isa, Operand,
    block::TILE,
    operand::Writer,
    simd::{Kernel, LANES, Simd, math},
};
use rayon::prelude::*;

/// `activation(x)` of rows `[M, width]` into the left operand of a product.
pub fn activate(isa: Isa, x: &[f32], width: usize, activation: Activation, out: &mut Operand) {
    rows(isa, x, None, width, width, out, Function::Activate(activation));
}

/// `activation'(x) * dy`, all `[M, width]`, into the left operand of a product.
pub fn activation_gradient(isa: Isa, x: &[f32], dy: &[f32], width: usize, activation: Activation, out: &mut Operand) {
    rows(isa, x, Some((dy, width)), width, width, out, Function::Activation(activation));
}

/// `silu(gate) * up`, `[M, width]`, of gate and up sixteen columns in turn, `[M, 2 width]`; see [`crate::Out::Gated`].
pub fn gate(isa: Isa, gate_up: &[f32], width: usize, out: &mut Operand) {
    rows(isa, gate_up, None, 2 * width, width, out, Function::Gate);
}

/// The gradient of [`gate`] with respect to `gate_up`, in its order of columns, `[M, 2 width]`; `dy`: `[M, width]`.
pub fn gate_gradient(isa: Isa, gate_up: &[f32], dy: &[f32], width: usize, out: &mut Operand) {
    rows(isa, gate_up, Some((dy, width)), 2 * width, 2 * width, out, Function::GateGradient);
}

#[derive(Clone, Copy)]
enum Function {
    Activate(Activation),
    Activation(Activation),
    Gate,
    GateGradient,
}

fn rows(
    isa: Isa,
    x: &[f32],
    dy: Option<(&[f32], usize)>,
    width: usize,
    out_width: usize,
    out: &mut Operand,
    function: Function,
) {
    assert!(width > 0 && x.len().is_multiple_of(width), "rows of {width} values, got {} values", x.len());
    let rows = x.len() / width;
    if let Some((dy, width)) = dy {
        assert_eq!(dy.len(), rows * width, "values of the gradient, [{rows}, {width}]");
    }
    if matches!(function, Function::Gate | Function::GateGradient) {
        assert!(width.is_multiple_of(2 * TILE), "columns of gate and values: a multiple of 32, got {width}");
    }
    let writer = out.begin(rows, out_width);
    (0..rows).into_par_iter().with_min_len(8).for_each(|row| {
        let dy = dy.map_or(&[][..], |(dy, width)| &dy[row * width..][..width]);
        isa.run(Row { x: &x[row * width..][..width], dy, row, writer, function });
    });
    out.complete(isa);
}

struct Row<'a> {
    x: &'a [f32],
    dy: &'a [f32],
    row: usize,
    writer: Writer<'a>,
    function: Function,
}

impl Kernel for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        match self.function {
            Function::Activate(activation) => {
                for (i, x) in self.x.chunks(LANES).enumerate() {
                    let y = activation.apply(s, s.load_part(x, 0.0));
                    self.put(s, i * LANES, y);
                }
            }
            Function::Activation(activation) => {
                for (i, (x, dy)) in self.x.chunks(LANES).zip(self.dy.chunks(LANES)).enumerate() {
                    let slope = slope(s, activation, s.load_part(x, 0.0));
                    self.put(s, i * LANES, s.mul(slope, s.load_part(dy, 0.0)));
                }
            }
            Function::Gate => {
                for (i, pair) in self.x.as_chunks::<{ 2 * LANES }>().0.iter().enumerate() {
                    let [gate, up] = halves(pair);
                    self.put(s, i * LANES, s.mul(math::swish(s, s.load(gate), 1.0), s.load(up)));
                }
            }
            Function::GateGradient => {
                let pairs = self.x.as_chunks::<{ 2 * LANES }>().0.iter().zip(self.dy.as_chunks::<LANES>().0);
                for (i, (pair, dy)) in pairs.enumerate() {
                    let [gate, up] = halves(pair);
                    let (gate, up, dy) = (s.load(gate), s.load(up), s.load(dy));
                    let slope = slope(s, Activation::Silu, gate);
                    self.put(s, 2 * i * LANES, s.mul(s.mul(dy, up), slope));
                    self.put(s, (2 * i + 1) * LANES, s.mul(dy, math::swish(s, gate, 1.0)));
                }
            }
        }
    }
}

impl Row<'_> {
    #[inline(always)]
    fn put<S: Simd>(&self, s: S, column: usize, x: S::F) {
        // SAFETY: a row is written by one task.
        unsafe { self.writer.write(s, self.row, column, x) };
    }
}

#[inline(always)]
fn halves(pair: &[f32; 2 * LANES]) -> [&[f32; LANES]; 2] {
    let (first, second) = pair.split_at(LANES);
    [first.try_into().expect("sixteen"), second.try_into().expect("sixteen")]
}

/// The derivative of an activation.
#[inline(always)]
fn slope<S: Simd>(s: S, activation: Activation, x: S::F) -> S::F {
    let one = s.splat(1.0);
    match activation {
        Activation::Silu => swish_slope(s, x, 1.0),
        Activation::QuickGelu => swish_slope(s, x, 1.702),
        Activation::Gelu => {
            // Phi(x) + x phi(x)
            const FRAC_1_SQRT_2_PI: f32 = 0.398_942_3;
            let half = s.splat(0.5);
            let cdf = s.mul_add(half, math::erf(s, s.mul(x, s.splat(std::f32::consts::FRAC_1_SQRT_2))), half);
            let density = s.mul(s.splat(FRAC_1_SQRT_2_PI), math::exp(s, s.mul(s.splat(-0.5), s.mul(x, x))));
            s.mul_add(x, density, cdf)
        }
        Activation::GeluTanh => {
            // x sigmoid(v), v = 2 sqrt(2 / pi) (x + 0.044715 x^3)
            const TWICE_SQRT_2_OVER_PI: f32 = 1.595_769;
            let square = s.mul(x, x);
            let v = s.mul(s.splat(TWICE_SQRT_2_OVER_PI), s.mul_add(s.mul(square, s.splat(0.044_715)), x, x));
            let dv = s.mul(s.splat(TWICE_SQRT_2_OVER_PI), s.mul_add(square, s.splat(3.0 * 0.044_715), one));
            let gate = math::sigmoid(s, v);
            s.mul_add(s.mul(s.mul(x, dv), gate), s.sub(one, gate), gate)
        }
        // 1 inside, 0 outside: a tiny step at the borders, which themselves count as outside.
        Activation::Relu => step(s, x),
        Activation::Relu6 => s.mul(step(s, x), step(s, s.sub(s.splat(6.0), x))),
    }
}

/// 1 for x > 0, or else 0.
#[inline(always)]
fn step<S: Simd>(s: S, x: S::F) -> S::F {
    // Twice, because the least number times the greatest is far below 1.
    let grown = s.mul(s.max(s.splat(0.0), s.min(s.splat(1.0), x)), s.splat(f32::MAX));
    s.min(s.splat(1.0), s.mul(grown, s.splat(f32::MAX)))
}

/// sigmoid(a x) (1 + a x (1 - sigmoid(a x))).
#[inline(always)]
fn swish_slope<S: Simd>(s: S, x: S::F, a: f32) -> S::F {
    let one = s.splat(1.0);
    let scaled = s.mul(x, s.splat(a));
    let gate = math::sigmoid(s, scaled);
    s.mul(gate, s.mul_add(scaled, s.sub(one, gate), one))
}
