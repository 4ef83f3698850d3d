use super::{
    Volume, Window,
    gather::{Gather, Input, line_len},
    lines::convolve_lines,
    number::{Factor, Number},
    winograd::Winograd,
};
use crate::{
    Epilogue, Isa, Matrix, Out, Values,
    block::{BLOCK, TILE},
    matmul::share_out,
    matrix::Weights,
    operand::blocks,
    scratch::{Cut, SCRATCH},
    simd::LANES,
    task::{Plan, Task},
};

/// A convolution of all channels with each other, as an implicit product: what the kernel sees at a block of outputs is gathered as the left
/// operand while it fits the second cache, and multiplied there.
///
/// In f32, larger kernels can take fewer products ([`Convolution::minimal`]), and where there are fewer than sixteen channels nothing is gathered.
///
/// A kernel of one tap with stride 1 is better done by [`crate::matmul`], where the operand is there already.
#[derive(Debug, Clone)]
pub struct Convolution {
    filter: Filter,
    window: Window,
    channels: usize,
}

#[derive(Debug, Clone)]
enum Filter {
    Direct(Matrix),
    Minimal(Winograd),
}

impl Convolution {
    /// From weights `[C_out, K]`, K = `[T, H, W, C_in]` of the kernel, in f32 or bf16.
    ///
    /// # Panics
    /// If K is not the window's times a number of channels, or for int8.
    pub fn new(weights: Matrix, window: Window) -> Self {
        let (width, taps) = (weights.width(), window.taps());
        assert!(taps > 0 && width % taps == 0, "weights of {taps} taps times channels, got {width} values a column");
        assert!(!matches!(weights.panels, Weights::Int8 { .. }), "weights in f32 or bf16, got int8");
        Self { filter: Filter::Direct(weights), window, channels: width / taps }
    }

    /// By minimal filtering in f32, for a square kernel of 3 or 4 strides (rounded up: 3 x 3 with stride 1, 7 x 7 with stride 2) and of any length in time:
    /// 36 products for the 16 outputs of a tile instead of 144, or with 4 strides for 9. From weights `[C_out, K]`, K = `[T, H, W, C_in]`, row-major;
    /// they take up to four times as much memory.
    ///
    /// # Panics
    /// If the window has another height or width, or if these are not all weights.
    pub fn minimal(weights: &[f32], outputs: usize, window: Window) -> Self {
        let channels = weights.len() / (outputs * window.taps()).max(1);
        Self { filter: Filter::Minimal(Winograd::new(weights, [outputs, channels], window)), window, channels }
    }

    /// How it goes over its input.
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// C_out.
    pub fn channels(&self) -> usize {
        match &self.filter {
            Filter::Direct(weights) => weights.columns(),
            Filter::Minimal(filter) => filter.outputs(),
        }
    }

    /// `epilogue(x * weights)`, `[N, T, H, W, C_out]`, to `out`; T, H, W are [`Window::output`] of the input's.
    ///
    /// Error as of [`crate::matmul`]. An output depends only on what the kernel sees there. With minimal filtering: at most (T C + 32) 2^-24 (C is C_in
    /// times the square of the stride) of what the same transforms with all numbers taken absolute give, before the activation, as a rule some ten
    /// times that of the other; and what is not finite in the input hits outputs of all tiles that see it.
    ///
    /// # Panics
    /// If shapes do not fit; with minimal filtering, for [`Out::Gated`].
    pub fn run(&self, isa: Isa, x: &Volume, epilogue: &Epilogue, out: Out) {
        x.check();
        assert_eq!(x.channels, self.channels, "channels of the input");
        if let Some(bias) = epilogue.bias {
            assert_eq!(bias.len(), self.channels(), "values of the bias");
        }
        let axes = &self.window.axes(x.size);
        let [t, h, w] = axes.map(|axis| axis.output);
        let shape = (x.batch * t * h * w, self.channels());
        let channels = self.channels;
        let weights = match &self.filter {
            Filter::Direct(weights) => weights,
            Filter::Minimal(filter) => {
                assert!(!matches!(out, Out::Gated(_)), "results as they are, got a gate for them");
                return out.fill(isa, shape, |sink| match x.values {
                    Values::F32(values) => {
                        filter.run(isa, Input { x: values, axes, channels }, x.batch, epilogue, sink)
                    }
                    Values::Bf16(values) => {
                        filter.run(isa, Input { x: values, axes, channels }, x.batch, epilogue, sink)
                    }
                });
            }
        };
        out.fill(isa, shape, |sink| {
            let plan = Plan { isa, shape, width: weights.width(), epilogue, quantised: None, sink };
            match (x.values, &weights.panels) {
                (Values::F32(x), Weights::F32(b)) if channels < LANES => {
                    convolve_lines(&plan, Input { x, axes, channels }, b);
                }
                (Values::Bf16(x), Weights::F32(b)) if channels < LANES => {
                    convolve_lines(&plan, Input { x, axes, channels }, b);
                }
                (Values::F32(x), Weights::F32(b)) => convolve(&plan, Input { x, axes, channels }, b),
                (Values::F32(x), Weights::Bf16(b)) => convolve(&plan, Input { x, axes, channels }, b),
                (Values::Bf16(x), Weights::F32(b)) => convolve(&plan, Input { x, axes, channels }, b),
                (Values::Bf16(x), Weights::Bf16(b)) => convolve(&plan, Input { x, axes, channels }, b),
                (_, Weights::Int8 { .. }) => unreachable!("refused by `new`"),
            }
        });
    }
}

fn convolve<X: Number, T: Factor>(plan: &Plan, input: Input<X>, b: &[T]) {
    let width = plan.width;
    let row_of_tiles = TILE * T::ROW * blocks::<T>(width);
    let lines_len = TILE * line_len::<T>(width);
    share_out::<T>(plan, |rows, columns| {
        let tiles_len = rows.len().next_multiple_of(BLOCK) / TILE * row_of_tiles;
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.resize(Cut::bytes::<T>(tiles_len) + Cut::bytes::<T>(lines_len));
            let mut cut = Cut(scratch);
            let (tiles, lines) = (cut.off::<T>(tiles_len), cut.off::<T>(lines_len));
            let filled = &mut tiles[..rows.len().div_ceil(TILE) * row_of_tiles];
            plan.isa.run(Gather { input, outputs: rows.clone(), tiles: filled, lines });
            T::multiply(Task { plan, a: tiles, origin: rows.start, b, first: 0, rows, columns });
        });
    });
}
