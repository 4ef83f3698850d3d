//! Products of bf16 where no instruction multiplies pairs of them, or a slow one: both sides are widened to f32 once a task, and multiplied
//! at the rate of f32. Weights and activations still take half of the memory.

use crate::{
    aligned::Aligned,
    block::{BLOCK, TILE},
    matrix::panel_len,
    operand::blocks,
    product::Element,
    simd::{Kernel, LANES, Simd},
    task::{Limit, Task},
};
use half::bf16;
use std::cell::RefCell;

thread_local! {
    /// Rows of tiles and two panels, kept from one task to the next. Not the scratch of other kernels: a convolution holds what it gathered there.
    static WIDENED: RefCell<[Aligned<f32>; 2]> = RefCell::new(std::array::from_fn(|_| Aligned::zeroed(0)));
}

/// Twice that of others: panels are widened anew for each task's rows.
pub(crate) const LIMIT: Limit = Limit { bytes: 1 << 20, rows: 16 * BLOCK };

/// The same task in f32.
pub(crate) struct Widened<'a>(pub Task<'a, bf16>);

impl Kernel for Widened<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Task { plan, a, origin, b, first, rows, columns } = self.0;
        let width = plan.width;
        let (row_of_tiles, panel) = (TILE * f32::ROW * blocks::<f32>(width), panel_len::<f32>(width));
        let (narrow_row, narrow_panel) = (TILE * bf16::ROW * blocks::<bf16>(width), panel_len::<bf16>(width));
        // Not `with_borrow_mut`: a closure that is not inlined is not compiled for the instruction set.
        let mut buffers = WIDENED.take();
        let [tiles, panels] = &mut buffers;
        tiles.resize(rows.len().next_multiple_of(BLOCK) / TILE * row_of_tiles);
        panels.resize(2 * panel);
        let from = &a[(rows.start - origin) / TILE * narrow_row..];
        for (from, to) in from.chunks_exact(narrow_row).zip(tiles.chunks_exact_mut(row_of_tiles)) {
            widen_tiles(s, from, to);
        }
        let end = columns.end;
        for column in columns.step_by(BLOCK) {
            let from = &b[(column - first) / TILE * narrow_panel..][..2 * narrow_panel];
            for (from, to) in from.chunks_exact(narrow_panel).zip(panels.chunks_exact_mut(panel)) {
                widen_panel(s, from, to);
            }
            let columns = column..end.min(column + BLOCK);
            let (first, origin) = (column, rows.start);
            Task::<f32> { plan, a: tiles, origin, b: panels, first, rows: rows.clone(), columns }.run(s);
        }
        WIDENED.set(buffers);
    }
}

/// `[K / 32][16][32]` -> `[K / 16][16][16]`.
#[inline(always)]
fn widen_tiles<S: Simd>(s: S, from: &[bf16], to: &mut [f32]) {
    for (block, to) in to.as_chunks_mut::<{ TILE * LANES }>().0.iter_mut().enumerate() {
        let tile = &from[block / 2 * TILE * bf16::ROW..][..TILE * bf16::ROW];
        let rows = tile.as_chunks::<{ 2 * LANES }>().0;
        for (from, to) in rows.iter().zip(to.as_chunks_mut().0) {
            let half = from.as_chunks().0;
            s.store(s.load_bf16(&half[block % 2]), to);
        }
    }
}

/// `[K / 2][16][2]` -> `[K][16]`.
#[inline(always)]
fn widen_panel<S: Simd>(s: S, from: &[bf16], to: &mut [f32]) {
    let pairs = from.as_chunks().0.iter().zip(to.as_chunks_mut::<{ 2 * LANES }>().0);
    for (from, to) in pairs {
        let [first, second] = to.as_chunks_mut().0 else { unreachable!("two times sixteen") };
        let values = s.widen_pairs(from);
        s.store(values[0], first);
        s.store(values[1], second);
    }
}
