//! Minimal filtering F(4 x 4, 3 x 3) (Winograd; Lavin and Gray, arXiv 1509.09308, section 4.3).

use super::{Window, gather::Input, number::Number};
use crate::{
    Epilogue, Isa, Matrix, Precision,
    block::{BLOCK, Block, TILE},
    epilogue::{Sink, finish_at},
    matrix::{Weights, panel_len},
    product::Element,
    scratch::{Cut, SCRATCH},
    simd::{Kernel, LANES, Simd},
};
use rayon::prelude::*;
use std::ops::Range;

/// Height and width of a tile of the output, and of what it sees of the input.
const OUT: usize = 4;
const IN: usize = 6;
/// Elements of a transformed tile.
const ELEMENTS: usize = IN * IN;
/// Output frames of a task: so many that weights, which come from the third cache, are used often enough.
const FRAMES: usize = 4;

/// U, `[C_out, T C_in]` for each of the 36 elements of a transformed tile.
#[derive(Debug, Clone)]
pub(super) struct Winograd(Vec<Matrix>);

impl Winograd {
    /// [`super::Convolution::minimal`].
    pub fn new(weights: &[f32], outputs: usize, window: Window) -> Self {
        let [frames, ..] = window.kernel;
        assert_eq!((&window.kernel[1..], &window.stride[1..]), (&[3, 3][..], &[1, 1][..]), "kernel and stride");
        let channels = weights.len() / (outputs * frames * 9).max(1);
        assert!(
            channels > 0 && channels.is_multiple_of(LANES),
            "channels: expected a multiple of {LANES}, got {channels}"
        );
        assert_eq!(weights.len(), outputs * frames * 9 * channels, "weights [{outputs}, {frames}, 3, 3, {channels}]");
        // U = G g G^T.
        const G: [[f64; 3]; IN] = [
            [1.0 / 4.0, 0.0, 0.0],
            [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
            [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
            [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
            [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
            [0.0, 0.0, 1.0],
        ];
        let element = |element: usize| {
            let (down, across) = (G[element / IN], G[element % IN]);
            let mut transformed = vec![0.0; outputs * frames * channels];
            for (to, taps) in transformed.chunks_mut(channels).zip(weights.chunks(9 * channels)) {
                for (c, to) in to.iter_mut().enumerate() {
                    let sum = (0..9).map(|tap| down[tap / 3] * across[tap % 3] * f64::from(taps[tap * channels + c]));
                    *to = sum.sum::<f64>() as f32;
                }
            }
            Matrix::pack(&transformed, outputs, frames * channels, Precision::F32)
        };
        Self((0..ELEMENTS).into_par_iter().map(element).collect())
    }

    /// C_out.
    pub fn outputs(&self) -> usize {
        self.0[0].columns()
    }

    /// T C_in.
    pub fn width(&self) -> usize {
        self.0[0].width()
    }

    /// All outputs of `batch` items, to `sink`.
    pub fn run<X: Number>(&self, isa: Isa, input: Input<X>, batch: usize, epilogue: &Epilogue, sink: Sink) {
        Layer { weights: &self.0, batch, epilogue, sink }.run(isa, input);
    }
}

/// What all tasks have in common.
struct Layer<'a> {
    weights: &'a [Matrix],
    batch: usize,
    epilogue: &'a Epilogue<'a>,
    sink: Sink<'a>,
}

impl Layer<'_> {
    fn run<X: Number>(&self, isa: Isa, input: Input<X>) {
        let [t, h, w] = input.axes.map(|axis| axis.output);
        let columns = self.weights[0].columns();
        let groups = (self.batch * h.div_ceil(OUT) * w.div_ceil(OUT)).div_ceil(TILE);
        let chunks = t.div_ceil(FRAMES);
        // A few tasks a thread; those that differ in columns alone transform the same tiles, which takes little time.
        let column_tasks = (8 * rayon::current_num_threads()).div_ceil((groups * chunks).max(1));
        let column_step = columns.div_ceil(column_tasks).next_multiple_of(BLOCK);
        let column_tasks = columns.div_ceil(column_step);
        (0..groups * chunks * column_tasks).into_par_iter().with_max_len(1).for_each(|i| {
            let (tiles, column) = (i / column_tasks, i % column_tasks * column_step);
            let frame = tiles % chunks * FRAMES;
            let part = Part {
                layer: self,
                input,
                group: tiles / chunks,
                frames: frame..t.min(frame + FRAMES),
                columns: column..columns.min(column + column_step),
            };
            isa.run(part);
        });
    }
}

/// Sixteen tiles of some frames, and some columns of their outputs.
struct Part<'a, X> {
    layer: &'a Layer<'a>,
    input: Input<'a, X>,
    /// Of sixteen tiles, of all `[N, H / 4, W / 4]`.
    group: usize,
    frames: Range<usize>,
    columns: Range<usize>,
}

impl<X: Number> Kernel for Part<'_, X> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Layer { weights, epilogue, sink, .. } = *self.layer;
        let (time, channels) = (self.input.axes[0], self.input.channels);
        let seen = (self.frames.len() - 1) * time.stride + time.kernel; // frames
        let row_of_tiles = channels * TILE; // of one element of one frame
        let pairs = self.frames.len().div_ceil(2);
        // Not `with_borrow_mut`: a closure that is not inlined is not compiled for the instruction set.
        let mut scratch = SCRATCH.take();
        scratch.resize(Cut::bytes::<f32>(ELEMENTS * seen * row_of_tiles) + Cut::bytes::<Block>(ELEMENTS * pairs));
        let mut cut = Cut(&mut scratch);
        let transformed = cut.off::<f32>(ELEMENTS * seen * row_of_tiles);
        let products = cut.off::<Block>(ELEMENTS * pairs);

        // V [36, frames, C / 16, 16 tiles, 16]: the frames that one output frame sees lie together, so that they are a row of tiles of
        // the left operand, [T C / 16][16][16], and nothing is gathered along time.
        for frame in 0..seen {
            self.transform(s, frame, seen, transformed);
        }
        let outputs = weights[0].columns();
        let mut places = [0; BLOCK];
        let mut results = Block::ZERO;
        for column in self.columns.clone().step_by(BLOCK) {
            // M [36, pairs of frames, 2 times 16 tiles, 32] = V U.
            for (element, weights) in weights.iter().enumerate() {
                let Weights::F32(panels) = &weights.panels else { unreachable!("packed so by `new`") };
                let panel = panel_len::<f32>(weights.width());
                let b = &panels[column / TILE * panel..][..2 * panel];
                for pair in 0..pairs {
                    let row = |frame: usize| {
                        let from = element * seen + frame.min(self.frames.len() - 1) * time.stride;
                        &transformed[from * row_of_tiles..][..time.kernel * row_of_tiles]
                    };
                    let a = [row(2 * pair), row(2 * pair + 1)];
                    f32::product(s, false, a, [&b[..panel], &b[panel..]], BLOCK, &mut products[element * pairs + pair]);
                }
            }
            // Y = A^T M A, tile by tile.
            let mut filled = 0;
            for frame in 0..self.frames.len() {
                for tile in 0..TILE {
                    let Some((item, y, x)) = self.place(tile) else { continue };
                    let row = frame % 2 * TILE + tile;
                    let pixels = inverse(s, products, pairs, frame / 2, row);
                    let [_, height, width] = self.input.axes.map(|axis| axis.output);
                    let line = (item * time.output + self.frames.start + frame) * height;
                    for (dy, pixels) in pixels.chunks_exact(OUT).take(height - y).enumerate() {
                        for (dx, pixel) in pixels.iter().take(width - x).enumerate() {
                            results.0[filled] = *pixel;
                            places[filled] = (line + y + dy) * width + x + dx;
                            filled += 1;
                        }
                    }
                    if filled > BLOCK - OUT * OUT {
                        // SAFETY: a place of these columns is in one tile of one task.
                        unsafe { finish_at(s, &mut results, &places[..filled], column, outputs, epilogue, sink) };
                        filled = 0;
                    }
                }
            }
            // SAFETY: as above.
            unsafe { finish_at(s, &mut results, &places[..filled], column, outputs, epilogue, sink) };
        }
        SCRATCH.set(scratch);
    }
}

impl<X: Number> Part<'_, X> {
    /// Item, and y and x of the first output, of a tile of the group.
    #[inline(always)]
    fn place(&self, tile: usize) -> Option<(usize, usize, usize)> {
        let [_, height, width] = self.input.axes.map(|axis| axis.output.div_ceil(OUT));
        let at = self.group * TILE + tile;
        let (item, y, x) = (at / (height * width), at / width % height, at % width);
        (item < self.layer.batch).then_some((item, y * OUT, x * OUT))
    }

    /// B^T d B of the tiles of one of the `seen` frames of the input.
    #[inline(always)]
    fn transform<S: Simd>(&self, s: S, frame: usize, seen: usize, transformed: &mut [f32]) {
        let Input { x, axes: [time, down, across], channels } = self.input;
        let row_of_tiles = channels * TILE;
        let Some(source) = time.on(self.frames.start * time.stride + frame) else {
            for element in 0..ELEMENTS {
                transformed[(element * seen + frame) * row_of_tiles..][..row_of_tiles].fill(0.0);
            }
            return;
        };
        for tile in 0..TILE {
            let Some((item, y, left)) = self.place(tile) else { continue };
            let mut places = [None; ELEMENTS];
            for (element, place) in places.iter_mut().enumerate() {
                if let (Some(row), Some(column)) = (down.on(y + element / IN), across.on(left + element % IN)) {
                    *place = Some(self.input.line(item, source, row) + column * channels);
                }
            }
            for channel in (0..channels).step_by(LANES) {
                let mut half = [[s.splat(0.0); IN]; IN];
                for column in 0..IN {
                    let mut line = [s.splat(0.0); IN];
                    for (row, to) in line.iter_mut().enumerate() {
                        if let Some(at) = places[row * IN + column] {
                            *to = X::load(s, x[at + channel..].first_chunk().expect("sixteen channels"));
                        }
                    }
                    for (row, value) in forward_line(s, line).into_iter().enumerate() {
                        half[row][column] = value;
                    }
                }
                for (row, line) in half.into_iter().enumerate() {
                    for (column, value) in forward_line(s, line).into_iter().enumerate() {
                        let of_frame = ((row * IN + column) * seen + frame) * row_of_tiles;
                        let to = &mut transformed[of_frame + (channel + tile) * TILE..];
                        s.store(value, to.first_chunk_mut().expect("sixteen channels"));
                    }
                }
            }
        }
    }
}

/// B^T d.
#[inline(always)]
fn forward_line<S: Simd>(s: S, d: [S::F; IN]) -> [S::F; IN] {
    let (two, four, five) = (s.splat(2.0), s.splat(-4.0), s.splat(-5.0));
    let (even, odd) = (s.mul_add(four, d[2], d[4]), s.mul_add(four, d[1], d[3]));
    let (even_2, odd_2) = (s.sub(d[4], d[2]), s.mul(two, s.sub(d[3], d[1])));
    let quadruple = |x| s.mul(s.splat(4.0), x);
    [
        s.mul_add(five, d[2], s.add(quadruple(d[0]), d[4])),
        s.add(even, odd),
        s.sub(even, odd),
        s.add(even_2, odd_2),
        s.sub(even_2, odd_2),
        s.mul_add(five, d[3], s.add(quadruple(d[1]), d[5])),
    ]
}

/// A^T m.
#[inline(always)]
fn inverse_line<S: Simd>(s: S, m: [S::F; IN]) -> [S::F; OUT] {
    let (near, near_odd) = (s.add(m[1], m[2]), s.sub(m[1], m[2]));
    let (far, far_odd) = (s.add(m[3], m[4]), s.sub(m[3], m[4]));
    [
        s.add(s.add(m[0], near), far),
        s.mul_add(s.splat(2.0), far_odd, near_odd),
        s.mul_add(s.splat(4.0), far, near),
        s.add(s.mul_add(s.splat(8.0), far_odd, near_odd), m[5]),
    ]
}

/// The sixteen outputs of one tile, 32 columns each: A^T M A of a row of the 36 products.
#[inline(always)]
fn inverse<S: Simd>(s: S, products: &[Block], pairs: usize, pair: usize, row: usize) -> [[f32; BLOCK]; OUT * OUT] {
    let mut pixels = [[0.0; BLOCK]; OUT * OUT];
    for first in [0, LANES] {
        let mut half = [[s.splat(0.0); IN]; OUT];
        for column in 0..IN {
            let mut line = [s.splat(0.0); IN];
            for (i, to) in line.iter_mut().enumerate() {
                let values = &products[(i * IN + column) * pairs + pair].0[row];
                *to = s.load(values[first..].first_chunk().expect("sixteen columns"));
            }
            for (i, value) in inverse_line(s, line).into_iter().enumerate() {
                half[i][column] = value;
            }
        }
        for (y, line) in half.into_iter().enumerate() {
            for (x, value) in inverse_line(s, line).into_iter().enumerate() {
                s.store(value, pixels[y * OUT + x][first..].first_chunk_mut().expect("sixteen columns"));
            }
        }
    }
    pixels
}
