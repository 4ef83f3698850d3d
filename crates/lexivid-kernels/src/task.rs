//! A part of a product's result.

use crate::{
    Epilogue, Isa,
    block::{BLOCK, Block, TILE},
    epilogue::{Quantised, Sink, expect, finish},
    matrix::panel_len,
    operand::blocks,
    product::Element,
    simd::{Kernel, Simd},
};
use std::ops::Range;

/// What all tasks of a product have in common.
pub(crate) struct Plan<'a> {
    pub isa: Isa,
    /// M and N.
    pub shape: (usize, usize),
    /// K.
    pub width: usize,
    pub epilogue: &'a Epilogue<'a>,
    pub quantised: Option<Quantised<'a>>,
    pub sink: Sink<'a>,
}

/// How large a task is at most: its part of the left operand, in bytes, and in rows.
pub(crate) struct Limit {
    pub bytes: usize,
    pub rows: usize,
}

/// A part of the result.
pub(crate) struct Task<'a, T: Element> {
    pub plan: &'a Plan<'a>,
    /// Rows of tiles, from row `origin` of the result on.
    pub a: &'a [T],
    pub origin: usize,
    /// Panels, from column `first` of the result on.
    pub b: &'a [T::Weight],
    pub first: usize,
    pub rows: Range<usize>,
    pub columns: Range<usize>,
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
            let b = &self.b[(column - self.first) / TILE * panel..][..2 * panel];
            let b = [&b[..panel], &b[panel..]];
            for row in self.rows.clone().step_by(BLOCK) {
                let a = &self.a[(row - self.origin) / TILE * row_of_tiles..][..2 * row_of_tiles];
                let a = [&a[..row_of_tiles], &a[row_of_tiles..]];
                expect(s, (row, column), shape.0, sink);
                T::product(s, isa.has_tiles(), a, b, BLOCK.min(shape.0 - row), &mut block);
                // SAFETY: tasks have blocks of their own.
                unsafe { finish(s, &mut block, (row, column), shape, epilogue, quantised, sink) };
            }
        }
    }
}
