use crate::{
    Epilogue, Isa, Matrix, Operand, Out,
    epilogue::{Quantised, Sink, finish},
    matrix::{Weights, panel_len},
    operand::{Tiles, blocks},
    product::{BLOCK, Block, Element, TILE},
    shared::Shared,
    simd::{Kernel, Simd},
};
use rayon::prelude::*;
use std::ops::Range;

/// `epilogue(A B)` to `out`, A `[M, K]`, B the packed weights `[N, K]` transposed.
///
/// Error against exact arithmetic on the same (rounded) operands, before the activation and the rounding of the result: at most
/// (K + 4) 2^-24 (|scale| sum |a w| + |bias|), and of bytes 8 2^-24 (|scale| max |a| sum |w| + |bias|), over a row of A and one of W. With
/// bf16, numbers below 2^-126 may count as 0. The result of a row does not depend on the other rows.
///
/// # Panics
/// If shapes or precisions do not fit.
pub fn matmul(isa: Isa, a: &Operand, b: &Matrix, epilogue: &Epilogue, out: Out) {
    let (m, n) = (a.rows, b.columns);
    assert_eq!(a.width, b.width, "K of both sides of the product");
    if let Some(bias) = epilogue.bias {
        assert_eq!(bias.len(), n, "values of the bias");
    }
    match out {
        Out::Rows(rows) => {
            assert_eq!(rows.len(), m * n, "values of the result, [{m}, {n}]");
            multiply(isa, a, b, epilogue, Sink::Rows(Shared::new(rows)));
        }
        Out::Add(rows) => {
            assert_eq!(rows.len(), m * n, "values of the residual, [{m}, {n}]");
            multiply(isa, a, b, epilogue, Sink::Add(Shared::new(rows)));
        }
        Out::Bf16(rows) => {
            assert_eq!(rows.len(), m * n, "values of the result, [{m}, {n}]");
            multiply(isa, a, b, epilogue, Sink::Bf16(Shared::new(rows)));
        }
        Out::Operand(operand) => {
            let writer = operand.begin(m, n);
            multiply(isa, a, b, epilogue, Sink::Operand(writer));
            operand.complete(isa);
        }
        Out::Gated(operand) => {
            assert!(n % (2 * TILE) == 0, "columns of gate and values: expected a multiple of 32, got {n}");
            let writer = operand.begin(m, n / 2);
            multiply(isa, a, b, epilogue, Sink::Gated(writer));
            operand.complete(isa);
        }
    }
}

fn multiply(isa: Isa, a: &Operand, b: &Matrix, epilogue: &Epilogue, sink: Sink) {
    let plan = Plan { isa, shape: (a.rows, b.columns), width: a.width, epilogue, quantised: None, sink };
    match (&a.tiles, &b.panels) {
        (Tiles::F32(a), Weights::F32(b)) => share_out::<f32>(&plan, a, b),
        (Tiles::Bf16(a), Weights::Bf16(b)) => share_out::<half::bf16>(&plan, a, b),
        (Tiles::Int8(a), Weights::Int8 { panels, scales, offsets }) => {
            let quantised = Some(Quantised { rows: &a.scales, columns: scales, offsets });
            share_out::<u8>(&Plan { quantised, ..plan }, &a.tiles, panels);
        }
        _ => panic!("a product of equal precisions, got {} on the right only", b.precision()),
    }
}

/// What all tasks of a product have in common.
struct Plan<'a> {
    isa: Isa,
    /// M and N.
    shape: (usize, usize),
    /// K.
    width: usize,
    epilogue: &'a Epilogue<'a>,
    quantised: Option<Quantised<'a>>,
    sink: Sink<'a>,
}

/// Bytes of the left operand that one task goes over again and again: half of a second cache of 1 MiB.
const TASK_BYTES: usize = 512 << 10;
/// Below this, sharing out costs more than it saves: about 20 microseconds of one core.
const SMALL: usize = 1 << 21;

fn share_out<T: Element>(plan: &Plan, a: &[T], b: &[T::Weight]) {
    let (m, n) = plan.shape;
    if m == 0 {
        return;
    }
    let threads = if m * n * plan.width < SMALL { 1 } else { rayon::current_num_threads() };
    let fits = TASK_BYTES / size_of_val(&a[..BLOCK * T::ROW * blocks::<T>(plan.width)]).max(1);
    let row_step = (fits.clamp(1, 8) * BLOCK).min(m.div_ceil(threads).next_multiple_of(BLOCK));
    let row_tasks = m.div_ceil(row_step);
    // A few tasks a thread, so that one that is held up does not hold up all.
    let column_tasks = (4 * threads).div_ceil(row_tasks).clamp(1, n.div_ceil(2 * BLOCK));
    let column_step = n.div_ceil(column_tasks).next_multiple_of(BLOCK);
    let task = |i: usize| {
        let (row, column) = (i / n.div_ceil(column_step) * row_step, i % n.div_ceil(column_step) * column_step);
        plan.isa.run(Task {
            plan,
            a,
            b,
            rows: row..m.min(row + row_step),
            columns: column..n.min(column + column_step),
        });
    };
    let tasks = row_tasks * n.div_ceil(column_step);
    if threads == 1 {
        (0..tasks).for_each(task);
    } else {
        (0..tasks).into_par_iter().with_max_len(1).for_each(task);
    }
}

/// A part of the result.
struct Task<'a, T: Element> {
    plan: &'a Plan<'a>,
    a: &'a [T],
    b: &'a [T::Weight],
    rows: Range<usize>,
    columns: Range<usize>,
}

impl<T: Element> Kernel for Task<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Plan { isa, shape, width, epilogue, quantised, sink } = *self.plan;
        // SAFETY: there is such an `Isa` only where AMX is present or emulated.
        #[cfg(target_arch = "x86_64")]
        let _tiles = isa.has_tiles().then(|| unsafe { crate::amx::Tiles::configure() });
        let row_of_tiles = TILE * T::ROW * blocks::<T>(width);
        let panel = panel_len::<T>(width);
        let mut block = Block::ZERO;
        for column in self.columns.step_by(BLOCK) {
            let b = &self.b[column / TILE * panel..][..2 * panel];
            let b = [&b[..panel], &b[panel..]];
            for row in self.rows.clone().step_by(BLOCK) {
                let a = &self.a[row / TILE * row_of_tiles..][..2 * row_of_tiles];
                let a = [&a[..row_of_tiles], &a[row_of_tiles..]];
                T::product(s, isa.has_tiles(), a, b, BLOCK.min(shape.0 - row), &mut block);
                // SAFETY: tasks have blocks of their own.
                unsafe { finish(s, &mut block, (row, column), shape, epilogue, quantised, sink) };
            }
        }
    }
}
