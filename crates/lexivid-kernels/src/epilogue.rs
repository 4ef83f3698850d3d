//! What becomes of a product while it is in the first cache.

use crate::{
    Isa, Operand,
    block::{BLOCK, Block},
    operand::Writer,
    shared::Shared,
    simd::{LANES, Simd, math},
};
use half::bf16;
use std::ops::Range;

/// A function of every value x. Absolute error below 2e-7 max(1, |x|), of [`Activation::Relu`] and [`Activation::Relu6`] none. These give 0
/// and -0 where others give NaN: at minus infinity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// x Phi(x) by the error function.
    Gelu,
    /// GELU by its tanh approximation.
    GeluTanh,
    /// x sigmoid(1.702 x).
    QuickGelu,
    /// x sigmoid(x).
    Silu,
    /// max(x, 0).
    Relu,
    /// min(max(x, 0), 6).
    Relu6,
}

impl Activation {
    #[inline(always)]
    pub(crate) fn apply<S: Simd>(self, s: S, x: S::F) -> S::F {
        match self {
            Activation::Gelu => math::gelu(s, x),
            Activation::GeluTanh => math::gelu_tanh(s, x),
            Activation::QuickGelu => math::swish(s, x, 1.702),
            Activation::Silu => math::swish(s, x, 1.0),
            Activation::Relu => s.max(s.splat(0.0), x),
            Activation::Relu6 => s.min(s.splat(6.0), s.max(s.splat(0.0), x)),
        }
    }
}

/// `activation(scale * A B + bias)`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Epilogue<'a> {
    /// Of every product; 1 if there is none.
    pub scale: Option<f32>,
    /// `[N]`.
    pub bias: Option<&'a [f32]>,
    /// After the bias.
    pub activation: Option<Activation>,
}

/// Where the `[M, N]` results go.
pub enum Out<'a> {
    /// To `[M, N]`, row-major.
    Rows(&'a mut [f32]),
    /// Added to `[M, N]`, row-major: a residual stream.
    Add(&'a mut [f32]),
    /// To `[M, N]`, row-major, rounded to bf16.
    Bf16(&'a mut [bf16]),
    /// To columns of wider rows: branches side by side, with nothing left to concatenate.
    Columns(Columns<'a, f32>),
    /// The same, rounded to bf16.
    Bf16Columns(Columns<'a, bf16>),
    /// Into the left operand of a next product, `[M, N]`.
    Operand(&'a mut Operand),
    /// `silu(gate) * up` into the left operand of a next product, `[M, N / 2]`: the columns of the product are sixteen of the gate and
    /// sixteen of the values in turn ([`crate::Matrix::pack_gated`]). Has no activation of its own.
    Gated(&'a mut Operand),
}

/// Columns `first .. first + N` of `[M, width]`, row-major; the others stay as they are.
pub struct Columns<'a, T> {
    /// M times `width` values.
    pub rows: &'a mut [T],
    /// Values of a row.
    pub width: usize,
    /// Where the columns begin.
    pub first: usize,
}

/// [`Out`] as its tasks see it.
#[derive(Clone, Copy)]
pub(crate) enum Sink<'a> {
    Rows(Strided<'a, f32>),
    Add(Strided<'a, f32>),
    Bf16(Strided<'a, bf16>),
    Operand(Writer<'a>),
    Gated(Writer<'a>),
}

/// [`Columns`] as its tasks see them.
#[derive(Clone, Copy)]
pub(crate) struct Strided<'a, T> {
    rows: Shared<'a, T>,
    width: usize,
    first: usize,
}

impl<'a, T: Copy> Strided<'a, T> {
    fn new(columns: Columns<'a, T>, (m, n): (usize, usize)) -> Self {
        let Columns { rows, width, first } = columns;
        assert!(first + n <= width, "columns {first} to {} of at most {width}", first + n);
        assert_eq!(rows.len(), m * width, "values of the result, [{m}, {width}]");
        Self { rows: Shared::new(rows), width, first }
    }

    /// All columns.
    fn whole(rows: &'a mut [T], (m, n): (usize, usize)) -> Self {
        Self::new(Columns { rows, width: n, first: 0 }, (m, n))
    }

    /// Where a column of a row is, or would be.
    #[inline(always)]
    fn address(&self, row: usize, column: usize) -> *const T {
        self.rows.address(row * self.width + self.first + column)
    }

    /// # Safety
    /// As long as the result lives, nobody else asks for any of these columns of this row.
    #[inline(always)]
    #[allow(clippy::mut_from_ref)]
    unsafe fn part(&self, row: usize, columns: Range<usize>) -> &mut [T] {
        let start = row * self.width + self.first;
        // SAFETY: the caller's.
        unsafe { self.rows.part(start + columns.start..start + columns.end) }
    }
}

impl Out<'_> {
    /// Runs the tasks that write `[m, n]` results here.
    ///
    /// # Panics
    /// If these do not fit.
    pub(crate) fn fill(self, isa: Isa, (m, n): (usize, usize), tasks: impl FnOnce(Sink)) {
        match self {
            Out::Rows(rows) => tasks(Sink::Rows(Strided::whole(rows, (m, n)))),
            Out::Add(rows) => tasks(Sink::Add(Strided::whole(rows, (m, n)))),
            Out::Bf16(rows) => tasks(Sink::Bf16(Strided::whole(rows, (m, n)))),
            Out::Columns(columns) => tasks(Sink::Rows(Strided::new(columns, (m, n)))),
            Out::Bf16Columns(columns) => tasks(Sink::Bf16(Strided::new(columns, (m, n)))),
            Out::Operand(operand) => {
                tasks(Sink::Operand(operand.begin(m, n)));
                operand.complete(isa);
            }
            Out::Gated(operand) => {
                assert!(n % (2 * LANES) == 0, "columns of gate and values: expected a multiple of 32, got {n}");
                tasks(Sink::Gated(operand.begin(m, n / 2)));
                operand.complete(isa);
            }
        }
    }
}

/// Scales of a quantised product: of A by rows, of B by columns, and 128 times the column sums of B, because bytes of A are
/// stored with 128 added.
#[derive(Clone, Copy)]
pub(crate) struct Quantised<'a> {
    pub rows: &'a [f32],
    pub columns: &'a [f32],
    pub offsets: &'a [f32],
}

/// Finishes the block at (`row`, `column`) of an `[m, n]` result.
///
/// # Safety
/// No other task writes this block.
#[inline(always)]
pub(crate) unsafe fn finish<S: Simd>(
    s: S,
    block: &mut Block,
    (row, column): (usize, usize),
    (m, n): (usize, usize),
    epilogue: &Epilogue,
    quantised: Option<Quantised>,
    sink: Sink,
) {
    let rows = BLOCK.min(m - row);
    let bias = apply(s, &mut block.0[..rows], (row, column), n, epilogue, quantised);
    // The choice outside of the loops here, too.
    // SAFETY: this block is ours alone (the caller's).
    unsafe {
        match sink {
            Sink::Rows(to) => put_rows(s, &block.0[..rows], bias, (row, column), n, to),
            Sink::Add(to) => put_rows(s, &block.0[..rows], bias, (row, column), n, Added(to)),
            Sink::Bf16(to) => put_rows(s, &block.0[..rows], bias, (row, column), n, to),
            Sink::Operand(to) => put_rows(s, &block.0[..rows], bias, (row, column), n, to),
            Sink::Gated(to) => {
                for (r, values) in block.0[..rows].iter().enumerate() {
                    let [gate, up] = plus(s, values, bias);
                    to.write(s, row + r, column / 2, s.mul(math::swish(s, gate, 1.0), up));
                }
            }
        }
    }
}

/// Finishes rows of a block whose places are anywhere among the rows of the result, from `column` of n on; not for [`Sink::Gated`].
///
/// # Safety
/// No other task writes these columns of these rows.
#[inline(always)]
pub(crate) unsafe fn finish_at<S: Simd>(
    s: S,
    block: &mut Block,
    places: &[usize],
    column: usize,
    n: usize,
    epilogue: &Epilogue,
    sink: Sink,
) {
    let bias = apply(s, &mut block.0[..places.len()], (0, column), n, epilogue, None);
    for (values, row) in block.0.iter().zip(places) {
        for (value, column) in plus(s, values, bias).into_iter().zip([column, column + LANES]) {
            if column < n {
                // SAFETY: the caller's.
                unsafe { put_lanes(s, value, (*row, column), n, sink) };
            }
        }
    }
}

/// The epilogue on rows from (`row`, `column`) on, in place, but for the bias that it returns, which is still to be added.
#[inline(always)]
fn apply<S: Simd>(
    s: S,
    rows: &mut [[f32; BLOCK]],
    (row, column): (usize, usize),
    n: usize,
    epilogue: &Epilogue,
    quantised: Option<Quantised>,
) -> [S::F; 2] {
    let bias = [part(s, epilogue.bias, column, n, 0.0), part(s, epilogue.bias, column + LANES, n, 0.0)];
    if epilogue.activation.is_none() && epilogue.scale.is_none() && quantised.is_none() {
        return bias;
    }
    let scale = s.splat(epilogue.scale.unwrap_or(1.0));
    let (scales, offsets) = (quantised.map(|q| q.columns), quantised.map(|q| q.offsets));
    let columns =
        [s.mul(scale, part(s, scales, column, n, 1.0)), s.mul(scale, part(s, scales, column + LANES, n, 1.0))];
    let offsets = [part(s, offsets, column, n, 0.0), part(s, offsets, column + LANES, n, 0.0)];
    for (r, values) in rows.iter_mut().enumerate() {
        let row_scale = s.splat(quantised.map_or(1.0, |q| q.rows[row + r]));
        for (half, values) in values.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
            let x = s.mul(s.sub(s.load(values), offsets[half]), row_scale);
            let x = s.mul_add(x, columns[half], bias[half]);
            s.store(x, values);
        }
    }
    // The choice outside of the loops: each is a loop of its own.
    if let Some(activation) = epilogue.activation {
        let values = rows.as_flattened_mut().as_chunks_mut::<LANES>().0;
        for values in values {
            let x = activation.apply(s, s.load(values));
            s.store(x, values);
        }
    }
    [s.splat(0.0); 2]
}

/// Asks for the lines that [`finish`] will write, so that it need not wait for them.
#[inline(always)]
pub(crate) fn expect<S: Simd>(s: S, (row, column): (usize, usize), m: usize, sink: Sink) {
    for row in row..m.min(row + BLOCK) {
        for column in [column, column + LANES] {
            s.prefetch_to_write(match sink {
                Sink::Rows(to) | Sink::Add(to) => to.address(row, column).cast(),
                Sink::Bf16(to) => to.address(row, column).cast(),
                Sink::Operand(to) => to.address(row, column),
                Sink::Gated(to) => to.address(row, column / 2),
            });
        }
    }
}

#[inline(always)]
fn plus<S: Simd>(s: S, values: &[f32; BLOCK], bias: [S::F; 2]) -> [S::F; 2] {
    let values = values.as_chunks::<LANES>().0;
    [s.add(s.load(&values[0]), bias[0]), s.add(s.load(&values[1]), bias[1])]
}

/// # Safety
/// No other task writes these columns of these rows.
#[inline(always)]
unsafe fn put_rows<S: Simd>(
    s: S,
    rows: &[[f32; BLOCK]],
    bias: [S::F; 2],
    (row, column): (usize, usize),
    n: usize,
    to: impl Put,
) {
    for (r, values) in rows.iter().enumerate() {
        for (value, column) in plus(s, values, bias).into_iter().zip([column, column + LANES]) {
            if column < n {
                // SAFETY: the caller's.
                unsafe { to.put(s, value, (row + r, column), n) };
            }
        }
    }
}

/// Lanes `at ..` of a row of n values, `fill` beyond its end and where there is none.
#[inline(always)]
fn part<S: Simd>(s: S, values: Option<&[f32]>, at: usize, n: usize, fill: f32) -> S::F {
    match values {
        Some(values) if at + LANES <= n => s.load_part(&values[at..at + LANES], fill),
        Some(values) if at < n => s.load_part(&values[at..n], fill),
        _ => s.splat(fill),
    }
}

/// Where single vectors of results can go.
trait Put: Copy {
    /// Sixteen columns of a row of n, or as many as there are.
    ///
    /// # Safety
    /// No other task writes these columns of this row.
    unsafe fn put<S: Simd>(self, s: S, value: S::F, at: (usize, usize), n: usize);
}

impl Put for Strided<'_, f32> {
    #[inline(always)]
    unsafe fn put<S: Simd>(self, s: S, value: S::F, (row, column): (usize, usize), n: usize) {
        // SAFETY: the caller's.
        let to = unsafe { self.part(row, column..n.min(column + LANES)) };
        match to.as_mut_array() {
            Some(to) => s.store(value, to),
            None => s.store_part(value, to),
        }
    }
}

/// Results are added to what is there.
#[derive(Clone, Copy)]
struct Added<'a>(Strided<'a, f32>);

impl Put for Added<'_> {
    #[inline(always)]
    unsafe fn put<S: Simd>(self, s: S, value: S::F, (row, column): (usize, usize), n: usize) {
        // SAFETY: the caller's.
        let to = unsafe { self.0.part(row, column..n.min(column + LANES)) };
        match to.as_mut_array() {
            Some(to) => s.store(s.add(s.load(to), value), to),
            None => s.store_part(s.add(s.load_part(to, 0.0), value), to),
        }
    }
}

impl Put for Strided<'_, bf16> {
    #[inline(always)]
    unsafe fn put<S: Simd>(self, s: S, value: S::F, (row, column): (usize, usize), n: usize) {
        // SAFETY: the caller's.
        let to = unsafe { self.part(row, column..n.min(column + LANES)) };
        match to.as_mut_array() {
            Some(to) => s.store_bf16(value, to),
            None => {
                let mut lanes = [bf16::ZERO; LANES];
                s.store_bf16(value, &mut lanes);
                to.copy_from_slice(&lanes[..to.len()]);
            }
        }
    }
}

impl Put for Writer<'_> {
    #[inline(always)]
    unsafe fn put<S: Simd>(self, s: S, mut value: S::F, (row, column): (usize, usize), n: usize) {
        if column + LANES > n {
            // Beyond n may be NaN: infinity times the zeros that pad B.
            let mut lanes = [0.0; LANES];
            s.store_part(value, &mut lanes[..n - column]);
            value = s.load(&lanes);
        }
        // SAFETY: the caller's.
        unsafe { self.write(s, row, column, value) };
    }
}

/// Sixteen columns of a row of n, or as many as there are; not for [`Sink::Gated`], which wants two times sixteen.
///
/// # Safety
/// No other task writes these columns of this row.
#[inline(always)]
pub(crate) unsafe fn put_lanes<S: Simd>(s: S, value: S::F, at: (usize, usize), n: usize, sink: Sink) {
    // SAFETY: the caller's.
    unsafe {
        match sink {
            Sink::Rows(to) => to.put(s, value, at, n),
            Sink::Add(to) => Added(to).put(s, value, at, n),
            Sink::Bf16(to) => to.put(s, value, at, n),
            Sink::Operand(to) => to.put(s, value, at, n),
            Sink::Gated(_) => unreachable!("gate and values come together"),
        }
    }
}
