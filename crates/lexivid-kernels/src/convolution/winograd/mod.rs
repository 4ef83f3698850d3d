//! Minimal filtering F(4 x 4, 3 x 3) and F(3 x 3, 4 x 4) (Winograd; Lavin and Gray, arXiv 1509.09308, section 4.3): 36 products for the outputs of a tile.

mod phases;
mod transforms;

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
use transforms::{forward, g, inverse};

/// Height and width of what a tile of the output sees.
const IN: usize = 6;
/// Elements of a transformed tile.
const ELEMENTS: usize = IN * IN;
/// Output frames of a task: so many that weights, which come from the third cache, are used often enough.
const FRAMES: usize = 4;

/// A kernel transformed for minimal filtering.
#[derive(Debug, Clone)]
pub(super) struct Winograd {
    /// U, `[C_out, T C]` for each of the 36 elements of a transformed tile; C as of [`phases::channels`].
    weights: Vec<Matrix>,
    /// Height and width of a tile of the output.
    out: usize,
}

impl Winograd {
    /// [`super::Convolution::minimal`], of C_out and C_in.
    pub fn new(weights: &[f32], [outputs, channels]: [usize; 2], window: Window) -> Self {
        let ([frames, height, size], [_, down, stride]) = (window.kernel, window.stride);
        let taps = size.div_ceil(stride); // of each phase
        assert!(
            height == size && down == stride && (taps == 3 || taps == 4),
            "a square kernel of 3 or 4 strides, got {:?} and {:?}",
            window.kernel,
            window.stride
        );
        assert!(channels > 0, "weights of {outputs} columns, got {} values", weights.len());
        let all = window.taps();
        assert_eq!(weights.len(), outputs * all * channels, "weights [{outputs}, {all}, {channels}]");
        let merged = phases::channels(stride, channels);
        // U = G g G^T.
        let element = |element: usize| {
            let g = |x: usize, element: usize| g(element, x / stride, taps);
            let products: Vec<f64> =
                (0..size * size).map(|tap| g(tap / size, element / IN) * g(tap % size, element % IN)).collect();
            let mut transformed = vec![0.0; outputs * frames * merged];
            for (to, weights) in transformed.chunks_mut(merged).zip(weights.chunks(size * size * channels)) {
                for (i, to) in to.iter_mut().take(stride * stride * channels).enumerate() {
                    let (phase, c) = (i / channels, i % channels);
                    let mut sum = 0.0;
                    for y in (phase / stride..size).step_by(stride) {
                        for x in (phase % stride..size).step_by(stride) {
                            let tap = y * size + x;
                            sum += products[tap] * f64::from(weights[tap * channels + c]);
                        }
                    }
                    *to = sum as f32;
                }
            }
            Matrix::pack(&transformed, outputs, frames * merged, Precision::F32)
        };
        Self { weights: (0..ELEMENTS).into_par_iter().map(element).collect(), out: IN + 1 - taps }
    }

    /// C_out.
    pub fn outputs(&self) -> usize {
        self.weights[0].columns()
    }

    /// All outputs of `batch` items, to `sink`.
    pub fn run<X: Number>(&self, isa: Isa, input: Input<X>, batch: usize, epilogue: &Epilogue, sink: Sink) {
        let layer = Layer { weights: &self.weights, batch, epilogue, sink };
        let [time, down, across] = *input.axes;
        let channels = phases::channels(across.stride, input.channels);
        if channels == input.channels {
            return layer.run(isa, input, self.out);
        }
        let axes = &[time, phases::axis(down), phases::axis(across)];
        layer.run(isa, Input { x: &phases::split(input, batch), axes, channels }, self.out);
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
    fn run<X: Number>(&self, isa: Isa, input: Input<X>, out: usize) {
        match out {
            4 => self.share_out::<X, 4>(isa, input),
            _ => self.share_out::<X, 3>(isa, input),
        }
    }

    fn share_out<X: Number, const OUT: usize>(&self, isa: Isa, input: Input<X>) {
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
            let part = Part::<X, OUT> {
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
struct Part<'a, X, const OUT: usize> {
    layer: &'a Layer<'a>,
    input: Input<'a, X>,
    /// Of sixteen tiles, of all `[N, H / OUT, W / OUT]`.
    group: usize,
    frames: Range<usize>,
    columns: Range<usize>,
}

impl<X: Number, const OUT: usize> Kernel for Part<'_, X, OUT> {
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
            self.transform(s, frame, &mut transformed[frame * row_of_tiles..], seen * row_of_tiles);
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
                    let pixels = inverse::<S, OUT>(s, &products[frame / 2..], pairs, row);
                    let [_, height, width] = self.input.axes.map(|axis| axis.output);
                    let line = (item * time.output + self.frames.start + frame) * height;
                    for (dy, pixels) in pixels.iter().take(height - y).enumerate() {
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

impl<X: Number, const OUT: usize> Part<'_, X, OUT> {
    /// Item, and y and x of the first output, of a tile of the group.
    #[inline(always)]
    fn place(&self, tile: usize) -> Option<(usize, usize, usize)> {
        let [_, height, width] = self.input.axes.map(|axis| axis.output.div_ceil(OUT));
        let at = self.group * TILE + tile;
        let (item, y, x) = (at / (height * width), at / width % height, at % width);
        (item < self.layer.batch).then_some((item, y * OUT, x * OUT))
    }

    /// B^T d B of the tiles of one of the frames that are seen; elements lie `step` apart.
    #[inline(always)]
    fn transform<S: Simd>(&self, s: S, frame: usize, transformed: &mut [f32], step: usize) {
        let Input { x, axes: [time, down, across], channels } = self.input;
        let Some(source) = time.on(self.frames.start * time.stride + frame) else {
            for to in transformed.chunks_mut(step) {
                to[..channels * TILE].fill(0.0);
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
                forward(s, x, &places, channel, &mut transformed[(channel + tile) * TILE..], step);
            }
        }
    }
}
