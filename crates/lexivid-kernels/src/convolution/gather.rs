use super::{
    number::{Factor, Number},
    window::Axis,
};
use crate::{
    block::TILE,
    operand::blocks,
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
    /// For sixteen rows: `[16, line_len]`.
    pub lines: &'a mut [T],
}

/// Values of a row padded to whole tiles, and one more tile row for what the last copy may write too much.
pub(super) fn line_len<T: Factor>(width: usize) -> usize {
    (blocks::<T>(width) + 1) * T::ROW
}

impl<X: Number, T: Factor> Kernel for Gather<'_, X, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { input, outputs, tiles, lines } = self;
        let row_of_tiles = tiles.len() / outputs.len().div_ceil(TILE);
        let line_len = lines.len() / TILE;
        let mut row = 0;
        while row < outputs.len() {
            // Of one line of the output, and of one row of tiles.
            let place = input.place(outputs.start + row);
            let count = (input.axes[2].output - place[3]).min(TILE - row % TILE).min(outputs.len() - row);
            let tiles = &mut tiles[row / TILE * row_of_tiles..][..row_of_tiles][row % TILE * T::ROW..];
            // Sixteen channels at a time never straddle two tiles: straight to their place.
            if input.channels % LANES == 0 {
                gather_rows::<S, X, T, true>(s, input, place, count, tiles, T::ROW);
            } else {
                gather_rows::<S, X, T, false>(s, input, place, count, lines, line_len);
                for (block, tile) in tiles.chunks_mut(TILE * T::ROW).enumerate() {
                    for (to, line) in tile.chunks_exact_mut(T::ROW).zip(lines.chunks_exact(line_len)).take(count) {
                        to.copy_from_slice(&line[block * T::ROW..][..T::ROW]);
                    }
                }
            }
            row += count;
        }
    }
}

/// What `count` outputs of one line see, each row `step` values after the one before: to a row of tiles, or (`TILED` = false) one value after the
/// other.
#[inline(always)]
fn gather_rows<S: Simd, X: Number, T: Factor, const TILED: bool>(
    s: S,
    input: Input<X>,
    [item, t, y, x]: [usize; 4],
    count: usize,
    to: &mut [T],
    step: usize,
) {
    let [along_t, along_y, along_x] = input.axes;
    let (times, lines) = (along_t.taps(t), along_y.taps(y));
    let run = along_x.kernel * input.channels;
    let mut k = 0;
    for tap_t in 0..along_t.kernel {
        for tap_y in 0..along_y.kernel {
            if times.contains(&tap_t) && lines.contains(&tap_y) {
                let line = input.line(
                    item,
                    t * along_t.stride + tap_t - along_t.before,
                    y * along_y.stride + tap_y - along_y.before,
                );
                for i in 0..count {
                    let (to, columns) = (&mut to[i * step..], along_x.taps(x + i));
                    let (start, end) = (columns.start * input.channels, columns.end * input.channels);
                    if start > 0 {
                        put_zeros::<S, T, TILED>(s, to, k..k + start);
                    }
                    if start < end {
                        let column = (x + i) * along_x.stride + columns.start - along_x.before;
                        put_run::<S, X, T, TILED>(
                            s,
                            &input.x[line + column * input.channels..],
                            to,
                            k + start..k + end,
                        );
                    }
                    if end < run {
                        put_zeros::<S, T, TILED>(s, to, k + end..k + run);
                    }
                }
            } else {
                for i in 0..count {
                    put_zeros::<S, T, TILED>(s, &mut to[i * step..], k..k + run);
                }
            }
            k += run;
        }
    }
    for i in 0..count {
        put_zeros::<S, T, TILED>(s, &mut to[i * step..], k..k.next_multiple_of(T::ROW));
    }
}

/// Sixteen at a time: what is written too much, the next run of the row overwrites.
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
