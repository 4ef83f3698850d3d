//! A part of a product's result.

use crate::{
    Epilogue, Isa,
    block::{BLOCK, Block, TILE},
    epilogue::{Quantised, Sink, expect, finish},
    operand::blocks,
    product::Element,
    simd::{Kernel, LANES, Simd},
};
use std::{cell::RefCell, ops::Range};

/// Columns that are multiplied in turns where K is cut: their sums stay in a second cache.
const GROUP: usize = 4 * BLOCK;

thread_local! {
    /// Sums over a part of K.
    static BEGUN: RefCell<Vec<Block>> = const { RefCell::new(Vec::new()) };
}

/// Tiles along K that are multiplied at a time: where second caches are small, two panels of 48 KiB each. Sums of bytes are exact integers, so
/// they are not interrupted.
pub(crate) fn depth<T: Element>(isa: Isa) -> usize {
    if T::GROUP == 1 && isa.has_small_caches() { 48 } else { usize::MAX }
}

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
        let (tile, panel_tile) = (TILE * T::ROW, TILE * LANES * T::GROUP); // elements
        let (tiles, depth) = (blocks::<T>(width), depth::<T>(isa));
        // Columns that are begun before one of them is finished.
        let group = if tiles > depth { GROUP } else { self.columns.len().max(1) };
        let mut block = Block::ZERO;
        // Not `with_borrow_mut`: a closure that is not inlined is not compiled for the instruction set.
        let mut begun = BEGUN.take();
        for first in self.columns.clone().step_by(group) {
            for step in (0..tiles).step_by(depth) {
                let end = tiles.min(step.saturating_add(depth));
                let mut i = 0;
                for column in (first..self.columns.end.min(first + group)).step_by(BLOCK) {
                    let b = &self.b[(column - self.first) / TILE * tiles * panel_tile..];
                    let b = [0, tiles].map(|panel| &b[(panel + step) * panel_tile..(panel + end) * panel_tile]);
                    for row in self.rows.clone().step_by(BLOCK) {
                        let a = &self.a[(row - self.origin) / TILE * tiles * tile..];
                        let a = [0, tiles].map(|row| &a[(row + step) * tile..(row + end) * tile]);
                        if end == tiles {
                            expect(s, (row, column), shape.0, sink);
                        }
                        T::product(s, isa.has_tiles(), a, b, BLOCK.min(shape.0 - row), &mut block);
                        if step > 0 {
                            add(s, &mut block, &begun[i]);
                        }
                        if end == tiles {
                            // SAFETY: tasks have blocks of their own.
                            unsafe { finish(s, &mut block, (row, column), shape, epilogue, quantised, sink) };
                        } else if let Some(begun) = begun.get_mut(i) {
                            *begun = block;
                        } else {
                            begun.push(block);
                        }
                        i += 1;
                    }
                }
            }
        }
        BEGUN.set(begun);
    }
}

#[inline(always)]
fn add<S: Simd>(s: S, to: &mut Block, from: &Block) {
    let from = from.0.as_flattened().as_chunks().0;
    for (to, from) in to.0.as_flattened_mut().as_chunks_mut().0.iter_mut().zip(from) {
        s.store(s.add(s.load(to), s.load(from)), to);
    }
}
