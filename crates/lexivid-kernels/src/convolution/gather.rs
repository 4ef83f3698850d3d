use super::{
    number::{Factor, Number},
    window::Axis,
};
use crate::{
    operand::blocks,
    product::TILE,
    simd::{Kernel, LANES, Simd},
};
use std::ops::Range;

/// The input of a convolution.
#[derive(Clone, Copy)]
pub(super) struct Input<'a, X> {
    /// `[N, T, H, W, C]`.
    pub x: &'a [X],
    pub axes: &'a [Axis; 3],
    pub channels: usize,
}

impl<X> Input<'_, X> {
    /// Item, t, y, x of an output, of all outputs `[N, T, H, W]`.
    #[inline(always)]
    pub fn place(&self, output: usize) -> [usize; 4] {
        let [t, h, w] = self.axes;
        let (line, x) = (output / w.output, output % w.output);
        let (picture, y) = (line / h.output, line % h.output);
        [picture / t.output, picture % t.output, y, x]
    }

    /// The place after `place`.
    #[inline(always)]
    fn next(&self, [item, t, y, x]: [usize; 4]) -> [usize; 4] {
        if x + 1 < self.axes[2].output {
            [item, t, y, x + 1]
        } else if y + 1 < self.axes[1].output {
            [item, t, y + 1, 0]
        } else if t + 1 < self.axes[0].output {
            [item, t + 1, 0, 0]
        } else {
            [item + 1, 0, 0, 0]
        }
    }

    /// Where line y of frame t of an item begins.
    #[inline(always)]
    pub fn line(&self, item: usize, t: usize, y: usize) -> usize {
        ((item * self.axes[0].size + t) * self.axes[1].size + y) * self.axes[2].size * self.channels
    }
}

/// Gathers what the kernel sees at consecutive outputs, zeros where it sees padding: rows `[T, H, W, C]` (of the kernel) of the left
/// operand of a product, in tiles.
pub(super) struct Gather<'a, X, T> {
    pub input: Input<'a, X>,
    /// Of `[N, T, H, W]`.
    pub outputs: Range<usize>,
    /// `[outputs / 16][K / ROW][16][ROW]`.
    pub tiles: &'a mut [T],
    /// For one row: [`line_len`] values.
    pub line: &'a mut [T],
}

/// Values of a row padded to whole tiles, and sixteen that the last copy may write too much.
pub(super) fn line_len<T: Factor>(width: usize) -> usize {
    blocks::<T>(width) * T::ROW + LANES
}

impl<X: Number, T: Factor> Kernel for Gather<'_, X, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { input, outputs, tiles, line } = self;
        let row_of_tiles = tiles.len() / outputs.len().div_ceil(TILE);
        let mut place = input.place(outputs.start);
        for row in 0..outputs.len() {
            let first = row % TILE * T::ROW;
            let tiles = &mut tiles[row / TILE * row_of_tiles..][..row_of_tiles][first..];
            // Sixteen channels at a time never straddle two tiles: straight to their place.
            if input.channels % LANES == 0 {
                gather_row::<S, X, T, true>(s, input, place, tiles);
            } else {
                gather_row::<S, X, T, false>(s, input, place, line);
                for (tile, values) in tiles.chunks_mut(TILE * T::ROW).zip(line.chunks_exact(T::ROW)) {
                    tile[..T::ROW].copy_from_slice(values);
                }
            }
            place = input.next(place);
        }
    }
}

/// What one output sees: to a row of tiles from its first value on, or (`TILED` = false) one value after the other.
#[inline(always)]
fn gather_row<S: Simd, X: Number, T: Factor, const TILED: bool>(
    s: S,
    input: Input<X>,
    [item, t, y, x]: [usize; 4],
    to: &mut [T],
) {
    let [along_t, along_y, along_x] = input.axes;
    let (times, lines, columns) = (along_t.taps(t), along_y.taps(y), along_x.taps(x));
    let run = along_x.kernel * input.channels;
    let mut k = 0;
    for tap_t in 0..along_t.kernel {
        for tap_y in 0..along_y.kernel {
            if times.contains(&tap_t) && lines.contains(&tap_y) && !columns.is_empty() {
                let line = input.line(
                    item,
                    t * along_t.stride + tap_t - along_t.before,
                    y * along_y.stride + tap_y - along_y.before,
                );
                let column = x * along_x.stride + columns.start - along_x.before;
                let (start, end) = (columns.start * input.channels, columns.end * input.channels);
                let from = &input.x[line + column * input.channels..];
                put_zeros::<S, T, TILED>(s, to, k..k + start);
                put_run::<S, X, T, TILED>(s, from, to, k + start..k + end);
                put_zeros::<S, T, TILED>(s, to, k + end..k + run);
            } else {
                put_zeros::<S, T, TILED>(s, to, k..k + run);
            }
            k += run;
        }
    }
    put_zeros::<S, T, TILED>(s, to, k..k.next_multiple_of(T::ROW));
}

/// Sixteen at a time: what is written too much, the next run overwrites.
#[inline(always)]
fn put_run<S: Simd, X: Number, T: Factor, const TILED: bool>(s: S, from: &[X], to: &mut [T], place: Range<usize>) {
    for k in place.clone().step_by(LANES) {
        let from = &from[k - place.start..];
        let x = match from.first_chunk() {
            Some(from) => X::load(s, from),
            None => X::load_part(s, from),
        };
        put::<S, T, TILED>(s, x, to, k);
    }
}

#[inline(always)]
fn put_zeros<S: Simd, T: Factor, const TILED: bool>(s: S, to: &mut [T], place: Range<usize>) {
    for k in place.step_by(LANES) {
        put::<S, T, TILED>(s, s.splat(0.0), to, k);
    }
}

#[inline(always)]
fn put<S: Simd, T: Factor, const TILED: bool>(s: S, x: S::F, to: &mut [T], k: usize) {
    let at = if TILED { k / T::ROW * TILE * T::ROW + k % T::ROW } else { k };
    T::store(s, x, to[at..].first_chunk_mut().expect("a whole row"));
}
