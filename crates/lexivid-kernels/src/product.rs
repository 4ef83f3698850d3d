//! The innermost product: 32 rows by 32 columns, summed up in registers.

use crate::{
    block::{BLOCK, Block, Panels, TILE},
    simd::{LANES, Simd},
};
use bytemuck::Pod;
use half::bf16;

/// What a product can multiply.
///
/// A tile is 16 rows of 64 bytes, `[16][16 * GROUP]`, as AMX loads it; `GROUP` elements along K lie together and are
/// multiplied by one instruction.
pub(crate) trait Element: Pod + Send + Sync {
    /// On the right-hand side.
    type Weight: Pod + Send + Sync;
    /// Elements along K in one lane.
    const GROUP: usize;
    /// Elements along K in one row of a tile.
    const ROW: usize = TILE * Self::GROUP;

    /// The block `c` = A B. `a`: one or two rows of tiles, `[K / ROW][16][ROW]` each; `rows` of them count.
    fn product<S: Simd>(s: S, tiles: bool, a: [&[Self]; 2], b: Panels<Self::Weight>, rows: usize, c: &mut Block);
}

/// One step of a product on vectors.
trait Step: Element {
    /// GROUP elements of one row.
    type Group: Pod;
    type Left<S: Simd>: Copy;
    type Right<S: Simd>: Copy;
    type Sum<S: Simd>: Copy;

    fn zero<S: Simd>(s: S) -> Self::Sum<S>;
    /// One group in all lanes.
    fn left<S: Simd>(s: S, a: &Self::Group) -> Self::Left<S>;
    /// GROUP elements of each of sixteen columns.
    fn right<S: Simd>(s: S, b: &[Self::Weight]) -> Self::Right<S>;
    fn add<S: Simd>(s: S, sum: Self::Sum<S>, a: Self::Left<S>, b: Self::Right<S>) -> Self::Sum<S>;
    fn finish<S: Simd>(s: S, sum: Self::Sum<S>) -> S::F;
}

/// For slices that were cut to the length: the check costs nothing.
#[inline(always)]
fn exactly<T, const N: usize>(x: &[T]) -> &[T; N] {
    x.try_into().expect("a slice of the right length")
}

impl Element for f32 {
    type Weight = f32;
    const GROUP: usize = 1;

    #[inline(always)]
    fn product<S: Simd>(s: S, _tiles: bool, a: [&[f32]; 2], b: Panels<f32>, rows: usize, c: &mut Block) {
        on_vectors(s, a, b, rows, c);
    }
}

impl Step for f32 {
    type Group = f32;
    type Left<S: Simd> = S::F;
    type Right<S: Simd> = S::F;
    type Sum<S: Simd> = S::F;

    #[inline(always)]
    fn zero<S: Simd>(s: S) -> S::F {
        s.splat(0.0)
    }
    #[inline(always)]
    fn left<S: Simd>(s: S, a: &f32) -> S::F {
        s.splat(*a)
    }
    #[inline(always)]
    fn right<S: Simd>(s: S, b: &[f32]) -> S::F {
        s.load(exactly(b))
    }
    #[inline(always)]
    fn add<S: Simd>(s: S, sum: S::F, a: S::F, b: S::F) -> S::F {
        s.mul_add(a, b, sum)
    }
    #[inline(always)]
    fn finish<S: Simd>(_: S, sum: S::F) -> S::F {
        sum
    }
}

impl Element for bf16 {
    type Weight = bf16;
    const GROUP: usize = 2;

    #[inline(always)]
    fn product<S: Simd>(s: S, tiles: bool, a: [&[bf16]; 2], b: Panels<bf16>, rows: usize, c: &mut Block) {
        #[cfg(target_arch = "x86_64")]
        if tiles {
            return crate::amx::product_bf16(a, b, rows, c);
        }
        let _ = tiles;
        on_vectors(s, a, b, rows, c);
    }
}

impl Step for bf16 {
    type Group = [bf16; 2];
    type Left<S: Simd> = S::Pairs;
    type Right<S: Simd> = S::Pairs;
    type Sum<S: Simd> = S::F;

    #[inline(always)]
    fn zero<S: Simd>(s: S) -> S::F {
        s.splat(0.0)
    }
    #[inline(always)]
    fn left<S: Simd>(s: S, a: &[bf16; 2]) -> S::Pairs {
        s.splat_pair(a)
    }
    #[inline(always)]
    fn right<S: Simd>(s: S, b: &[bf16]) -> S::Pairs {
        s.load_pairs(exactly(b))
    }
    #[inline(always)]
    fn add<S: Simd>(s: S, sum: S::F, a: S::Pairs, b: S::Pairs) -> S::F {
        s.dot_pairs(sum, a, b)
    }
    #[inline(always)]
    fn finish<S: Simd>(_: S, sum: S::F) -> S::F {
        sum
    }
}

impl Element for u8 {
    type Weight = i8;
    const GROUP: usize = 4;

    #[inline(always)]
    fn product<S: Simd>(s: S, tiles: bool, a: [&[u8]; 2], b: Panels<i8>, rows: usize, c: &mut Block) {
        #[cfg(target_arch = "x86_64")]
        if tiles {
            return crate::amx::product_bytes(a, b, rows, c);
        }
        let _ = tiles;
        on_vectors(s, a, b, rows, c);
    }
}

impl Step for u8 {
    type Group = [u8; 4];
    type Left<S: Simd> = S::Quads;
    type Right<S: Simd> = S::Quads;
    type Sum<S: Simd> = S::I;

    #[inline(always)]
    fn zero<S: Simd>(s: S) -> S::I {
        s.zero_sums()
    }
    #[inline(always)]
    fn left<S: Simd>(s: S, a: &[u8; 4]) -> S::Quads {
        s.splat_quad(a)
    }
    #[inline(always)]
    fn right<S: Simd>(s: S, b: &[i8]) -> S::Quads {
        s.load_quads(exactly(b))
    }
    #[inline(always)]
    fn add<S: Simd>(s: S, sum: S::I, a: S::Quads, b: S::Quads) -> S::I {
        s.dot_quads(sum, a, b)
    }
    #[inline(always)]
    fn finish<S: Simd>(s: S, sum: S::I) -> S::F {
        s.to_f32(sum)
    }
}

/// As many rows and panels at once as there are registers to hold their sums.
#[inline(always)]
fn on_vectors<S: Simd, T: Step>(s: S, a: [&[T]; 2], b: Panels<T::Weight>, rows: usize, c: &mut Block) {
    match S::ROWS {
        // 22 of 32 registers for sums, and a block of 32 rows in three parts.
        11 => {
            register_block::<S, T, 11, 2>(s, a, 0, b, 0, c);
            if rows > 11 {
                register_block::<S, T, 11, 2>(s, a, 11, b, 0, c);
            }
            if rows > 22 {
                register_block::<S, T, 10, 2>(s, a, 22, b, 0, c);
            }
        }
        // 12 of 16 registers for sums; 8 where bytes need four for themselves.
        6 if T::GROUP == 1 => by_tiles::<S, T, 6, 5>(s, a, b, rows, c),
        4 | 6 => by_tiles::<S, T, 4, 4>(s, a, b, rows, c),
        _ => by_tiles::<S, T, 2, 2>(s, a, b, rows, c),
    }
}

/// How far ahead of what is multiplied lines are asked for, in lines of a panel and tiles of the left operand: what a Xeon (model 207) leaves to ask
/// for, tried from half to twice as far.
pub(crate) const LINES_AHEAD: usize = 32;
const TILES_AHEAD: usize = 2;

/// Tiles along K whose part of a panel, 16 KiB, stays in a first cache while all rows go over it.
const DEPTH: usize = 16;

/// Rows of tiles in parts, of each tile the first of `FIRST` rows and the others of `REST`; one panel at a time.
#[inline(always)]
fn by_tiles<S: Simd, T: Step, const FIRST: usize, const REST: usize>(
    s: S,
    a: [&[T]; 2],
    b: Panels<T::Weight>,
    rows: usize,
    c: &mut Block,
) {
    let (tile, panel_tile) = (TILE * T::ROW, TILE * LANES * T::GROUP); // elements
    let tiles = a[0].len() / tile;
    // Sums of bytes are exact integers, so they are not interrupted.
    let depth = if T::GROUP == 1 { DEPTH } else { tiles.max(1) };
    for step in (0..tiles).step_by(depth) {
        let end = tiles.min(step + depth);
        for (b, column) in b.into_iter().zip([0, TILE]) {
            let b = &b[step * panel_tile..end * panel_tile];
            for (a, row) in a.into_iter().zip((0..rows).step_by(TILE)) {
                let a = &a[step * tile..end * tile];
                let c = &mut c.0[row..row + TILE];
                // Later parts find the panel in the first cache.
                match row {
                    0 => part_of_tile::<S, T, FIRST, true>(s, a, 0, b, column, step > 0, c),
                    _ => part_of_tile::<S, T, FIRST, false>(s, a, 0, b, column, step > 0, c),
                }
                for part in (FIRST..TILE.min(rows - row)).step_by(REST) {
                    part_of_tile::<S, T, REST, false>(s, a, part, b, column, step > 0, c);
                }
            }
        }
    }
}

/// `ROWS` rows of a row of tiles, from `row` on, times a panel, to columns from `column` on of these 16 rows of the result; or added to what is
/// there. `AHEAD`: the panel comes from afar.
///
/// Rows within one tile are at constant distances from each other, so that the loop has one address for all. Two steps at a time: one, and the
/// loop's own instructions count, above all for a core that does something else beside; four, and instructions become longer and slower (Zen 3).
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "sums are indexed as in the loop that fills them")]
fn part_of_tile<S: Simd, T: Step, const ROWS: usize, const AHEAD: bool>(
    s: S,
    a: &[T],
    row: usize,
    b: &[T::Weight],
    column: usize,
    add: bool,
    c: &mut [[f32; BLOCK]],
) {
    let (tile, panel_row) = (TILE * T::ROW, LANES * T::GROUP); // elements
    let mut sums = [T::zero(s); ROWS];
    for (a, b) in a.chunks_exact(tile).zip(b.chunks_exact(TILE * panel_row)) {
        let a = &a[row * T::ROW..][..ROWS * T::ROW];
        if column == 0 {
            for r in 0..ROWS {
                s.prefetch(a.as_ptr().wrapping_add(r * T::ROW + TILES_AHEAD * tile));
            }
        }
        let a = &bytemuck::cast_slice::<T, T::Group>(a)[..ROWS * TILE];
        for (k, b) in b.chunks_exact(2 * panel_row).enumerate() {
            for step in [0, 1] {
                let right = T::right(s, &b[step * panel_row..][..panel_row]);
                if AHEAD {
                    s.prefetch(b.as_ptr().wrapping_add((step + LINES_AHEAD) * panel_row));
                }
                for r in 0..ROWS {
                    sums[r] = T::add(s, sums[r], T::left(s, &a[r * TILE + 2 * k + step]), right);
                }
            }
        }
    }
    for r in 0..ROWS {
        let to: &mut [f32; LANES] = (&mut c[row + r][column..][..LANES]).try_into().expect("sixteen");
        let sum = T::finish(s, sums[r]);
        s.store(if add { s.add(s.load(to), sum) } else { sum }, to);
    }
}

/// `ROWS` rows from `row` on times `PANELS` panels, to the columns of `c` from `column` on.
///
/// Plain loops, because closures (`map`, `from_fn`) are not always inlined, and then not compiled for the instruction set.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "sums are indexed as in the loop that fills them")]
fn register_block<S: Simd, T: Step, const ROWS: usize, const PANELS: usize>(
    s: S,
    a: [&[T]; 2],
    row: usize,
    b: [&[T::Weight]; PANELS],
    column: usize,
    c: &mut Block,
) {
    let (tile, panel_row) = (TILE * T::ROW, LANES * T::GROUP); // elements
    let mut sums = [[T::zero(s); PANELS]; ROWS];
    for step in 0..a[0].len() / tile {
        let tiles = [&a[0][step * tile..][..tile], &a[1][step * tile..][..tile]];
        for r in 0..ROWS {
            let from = &tiles[(row + r) / TILE][(row + r) % TILE * T::ROW..];
            s.prefetch(from.as_ptr().wrapping_add(TILES_AHEAD * tile));
        }
        let mut rows = [[].as_slice(); ROWS];
        for (r, to) in rows.iter_mut().enumerate() {
            let from = &tiles[(row + r) / TILE][(row + r) % TILE * T::ROW..][..T::ROW];
            *to = &bytemuck::cast_slice::<T, T::Group>(from)[..TILE];
        }
        let mut panels = b;
        for panel in &mut panels {
            *panel = &panel[step * TILE * panel_row..][..TILE * panel_row];
        }
        for k in 0..TILE {
            let mut right = [T::right(s, &panels[0][k * panel_row..][..panel_row]); PANELS];
            for p in 1..PANELS {
                right[p] = T::right(s, &panels[p][k * panel_row..][..panel_row]);
            }
            for p in 0..PANELS {
                s.prefetch(panels[p].as_ptr().wrapping_add((k + LINES_AHEAD) * panel_row));
            }
            for r in 0..ROWS {
                let left = T::left(s, &rows[r][k]);
                for p in 0..PANELS {
                    sums[r][p] = T::add(s, sums[r][p], left, right[p]);
                }
            }
        }
    }
    for r in 0..ROWS {
        for p in 0..PANELS {
            let to = &mut c.0[row + r][column + p * TILE..][..LANES];
            s.store(T::finish(s, sums[r][p]), to.try_into().expect("sixteen"));
        }
    }
}
