use crate::{
    Epilogue, Isa, Matrix, Operand, Out,
    block::BLOCK,
    epilogue::{Quantised, Sink},
    matrix::Weights,
    operand::{Tiles, blocks},
    product::Element,
    task::{Limit, Plan, Task, depth},
    widened::{self, Widened},
};
use half::bf16;
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
    out.fill(isa, (m, n), |sink| multiply(isa, a, b, epilogue, sink));
}

fn multiply(isa: Isa, a: &Operand, b: &Matrix, epilogue: &Epilogue, sink: Sink) {
    let plan = Plan { isa, shape: (a.rows, b.columns), width: a.width, epilogue, quantised: None, sink };
    match (&a.tiles, &b.panels) {
        (Tiles::F32(a), Weights::F32(b)) => multiply_as::<f32>(&plan, a, b),
        (Tiles::Bf16(a), Weights::Bf16(b)) => multiply_as::<bf16>(&plan, a, b),
        (Tiles::Int8(a), Weights::Int8 { panels, scales, offsets }) => {
            let quantised = Some(Quantised { rows: &a.scales, columns: scales, offsets });
            multiply_as::<u8>(&Plan { quantised, ..plan }, &a.tiles, panels);
        }
        _ => panic!("a product of equal precisions, got {} on the right only", b.precision()),
    }
}

fn multiply_as<T: Multiply>(plan: &Plan, a: &[T], b: &[T::Weight]) {
    share_out::<T>(plan, |rows, columns| T::multiply(Task { plan, a, origin: 0, b, first: 0, rows, columns }));
}

/// How a task is done.
pub(crate) trait Multiply: Element {
    fn multiply(task: Task<Self>);

    /// How large a task is at most.
    fn limit(_: Isa) -> Limit {
        LIMIT
    }
}

impl Multiply for f32 {
    fn multiply(task: Task<f32>) {
        task.plan.isa.run(task);
    }
}

impl Multiply for bf16 {
    fn multiply(task: Task<bf16>) {
        let isa = task.plan.isa;
        if isa.multiplies_bf16() { isa.run(task) } else { isa.run(Widened(task)) }
    }

    fn limit(isa: Isa) -> Limit {
        if isa.multiplies_bf16() { LIMIT } else { widened::LIMIT }
    }
}

impl Multiply for u8 {
    fn multiply(task: Task<u8>) {
        task.plan.isa.run(task);
    }
}

/// Of the left operand, what one task goes over again and again (of K as much as [`depth`]): half of a second cache of 1 MiB, and so few rows
/// that tasks are many.
const LIMIT: Limit = Limit { bytes: 512 << 10, rows: 8 * BLOCK };
/// Below this, sharing out costs more than it saves: about 20 microseconds of one core.
const SMALL: usize = 1 << 21;

/// Calls `task` with the rows and columns of every part of the result.
pub(crate) fn share_out<T: Multiply>(plan: &Plan, task: impl Fn(Range<usize>, Range<usize>) + Sync) {
    let (m, n) = plan.shape;
    if m == 0 {
        return;
    }
    let threads = if m * n * plan.width < SMALL { 1 } else { rayon::current_num_threads() };
    let limit = T::limit(plan.isa);
    let tiles = blocks::<T>(plan.width).min(depth::<T>(plan.isa));
    let fits = limit.bytes / (BLOCK * T::ROW * tiles * size_of::<T>()) * BLOCK; // rows
    let row_step = fits.clamp(BLOCK, limit.rows).min(m.div_ceil(threads).next_multiple_of(BLOCK));
    let row_tasks = m.div_ceil(row_step);
    // A few tasks a thread, so that one that is held up does not hold up all.
    let column_tasks = (4 * threads).div_ceil(row_tasks).clamp(1, n.div_ceil(2 * BLOCK));
    let column_step = n.div_ceil(column_tasks).next_multiple_of(BLOCK);
    let part = |i: usize| {
        let (row, column) = (i / n.div_ceil(column_step) * row_step, i % n.div_ceil(column_step) * column_step);
        task(row..m.min(row + row_step), column..n.min(column + column_step));
    };
    let parts = row_tasks * n.div_ceil(column_step);
    if threads == 1 {
        (0..parts).for_each(part);
    } else {
        (0..parts).into_par_iter().with_max_len(1).for_each(part);
    }
}
