//! Convolutions of few channels, which are pictures as a rule: sixteen of their values are no sixteen channels, and to gather what a kernel
//! sees would take longer than half of the products. Instead, lines of the input are laid out so that what neighbouring outputs see at
//! one tap lies together, and are multiplied as they are.

use super::{gather::Input, number::Number};
use crate::{
    block::{BLOCK, Block, TILE},
    epilogue::{expect, finish},
    matrix::panel_len,
    product::LINES_AHEAD,
    scratch::{Cut, SCRATCH},
    simd::{Kernel, LANES, Simd},
    task::Plan,
};
use rayon::prelude::*;
use std::ops::Range;

/// Lines of the output of one task: what they see, and the weights, fit a second cache.
const LINES: usize = 8;

pub(super) fn convolve_lines<X: Number>(plan: &Plan, input: Input<X>, b: &[f32]) {
    let [_, down, across] = input.axes;
    if across.output == 0 {
        return;
    }
    let pictures = plan.shape.0 / (down.output * across.output).max(1); // N T
    let chunks = down.output.div_ceil(LINES);
    (0..pictures * chunks).into_par_iter().with_max_len(1).for_each(|i| {
        let first = i % chunks * LINES;
        let lines = first..down.output.min(first + LINES);
        plan.isa.run(Lines { plan, input, b, picture: i / chunks, lines });
    });
}

/// Some lines of one frame of the output.
struct Lines<'a, X> {
    plan: &'a Plan<'a>,
    input: Input<'a, X>,
    b: &'a [f32],
    /// Of `[N, T]` of the output.
    picture: usize,
    lines: Range<usize>,
}

/// Lines of the input, `[T, H, planes, length]` of what is seen: a plane holds one channel of every stride-th column, so that the outputs
/// of a line see consecutive values of it.
struct Planes<'a> {
    values: &'a mut [f32],
    /// H.
    lines: usize,
    /// Of a line.
    planes: usize,
    length: usize,
    /// `[T, H, W, C]` of the kernel: where the first output sees it.
    taps: &'a mut [usize],
    /// The greatest of these.
    reach: usize,
}

impl<X: Number> Kernel for Lines<'_, X> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Plan { shape, width, epilogue, sink, .. } = *self.plan;
        let [time, down, across] = self.input.axes;
        let lines = (self.lines.len() - 1) * down.stride + down.kernel;
        let planes = across.stride * self.input.channels;
        // Six times six rows, or three times eleven, are multiplied for a block of 32.
        let length = across.output.next_multiple_of(BLOCK) + 4 + (across.kernel - 1) / across.stride;
        let len = time.kernel * lines * planes * length;
        // Not `with_borrow_mut`: a closure that is not inlined is not compiled for the instruction set.
        let mut scratch = SCRATCH.take();
        let taps = width; // K
        scratch.resize(Cut::bytes::<f32>(len) + Cut::bytes::<usize>(taps));
        let mut cut = Cut(&mut scratch);
        let mut planes = Planes { values: cut.off(len), lines, planes, length, taps: cut.off(taps), reach: 0 };
        self.lay_out(&mut planes);

        let panel = panel_len::<f32>(width);
        let mut block = Block::ZERO;
        for column in (0..shape.1).step_by(BLOCK) {
            let b = &self.b[column / TILE * panel..][..2 * panel];
            let b = [&b[..panel], &b[panel..]];
            for line in self.lines.clone() {
                let row = (self.picture * down.output + line) * across.output;
                for x in (0..across.output).step_by(BLOCK) {
                    let m = row + across.output; // the end of this line
                    expect(s, (row + x, column), m, sink);
                    let at = [(line - self.lines.start) * down.stride, x];
                    let rows = BLOCK.min(across.output - x);
                    match S::ROWS {
                        11 => {
                            for first in (0..rows).step_by(11) {
                                self.register_block::<S, 11, 2>(s, &planes, at, first, b, 0, &mut block);
                            }
                        }
                        6 => {
                            for first in (0..rows).step_by(6) {
                                self.register_block::<S, 6, 1>(s, &planes, at, first, [b[0]], 0, &mut block);
                                self.register_block::<S, 6, 1>(s, &planes, at, first, [b[1]], TILE, &mut block);
                            }
                        }
                        _ => {
                            for first in (0..rows).step_by(4) {
                                self.register_block::<S, 4, 1>(s, &planes, at, first, [b[0]], 0, &mut block);
                                self.register_block::<S, 4, 1>(s, &planes, at, first, [b[1]], TILE, &mut block);
                            }
                        }
                    }
                    // SAFETY: a line of the output is written by one task.
                    unsafe { finish(s, &mut block, (row + x, column), (m, shape.1), epilogue, None, sink) };
                }
            }
        }
        SCRATCH.set(scratch);
    }
}

impl<X: Number> Lines<'_, X> {
    /// Zeros where there is no input.
    #[inline(always)]
    fn lay_out(&self, to: &mut Planes) {
        let Input { x, axes: [time, down, across], channels } = self.input;
        let (item, t) = (self.picture / time.output, self.picture % time.output);
        for (k, tap) in to.taps.iter_mut().enumerate() {
            let (line, column, channel) = (k / (channels * across.kernel), k / channels % across.kernel, k % channels);
            let line = line / down.kernel * to.lines + line % down.kernel;
            let plane = line * to.planes + column % across.stride * channels + channel;
            *tap = plane * to.length + column / across.stride;
            to.reach = to.reach.max(*tap);
        }
        to.values.fill(0.0);
        for (i, line) in to.values.chunks_exact_mut(to.planes * to.length).enumerate() {
            let (frame, y) = (t * time.stride + i / to.lines, self.lines.start * down.stride + i % to.lines);
            let (Some(frame), Some(y)) = (time.on(frame), down.on(y)) else { continue };
            let from = &x[self.input.line(item, frame, y)..][..across.size * channels];
            for (plane, to) in line.chunks_exact_mut(to.length).enumerate() {
                let (phase, channel) = (plane / channels, plane % channels);
                // Padding comes first; `phase + stride * i` is the column of the padded line.
                let skipped = across.before.saturating_sub(phase).div_ceil(across.stride);
                let first = (phase + skipped * across.stride - across.before) * channels + channel;
                let values = from.iter().skip(first).step_by(across.stride * channels);
                to.iter_mut().skip(skipped).zip(values).for_each(|(to, value)| *to = X::to_f32(*value));
            }
        }
    }

    /// `ROWS` outputs from `first` after `at` (line of the input, output along x) on, times `PANELS` panels.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)]
    #[allow(clippy::needless_range_loop, reason = "sums are indexed as in the loop that fills them")]
    fn register_block<S: Simd, const ROWS: usize, const PANELS: usize>(
        &self,
        s: S,
        planes: &Planes,
        [line, x]: [usize; 2],
        first: usize,
        b: [&[f32]; PANELS],
        column: usize,
        c: &mut Block,
    ) {
        let from = &planes.values[line * planes.planes * planes.length + x + first..];
        let mut sums = [[s.splat(0.0); PANELS]; ROWS];
        // One loop: sums do not stay in registers from one to another.
        let b = b.map(|panel| &panel.as_chunks::<LANES>().0[..planes.taps.len()]);
        assert!(planes.reach + ROWS <= from.len(), "lines that are padded for all rows");
        for k in 0..planes.taps.len() {
            // SAFETY: no tap is beyond `reach`, and that is within (asserted). With a check here, sums would not stay in registers.
            let left = unsafe { from.as_ptr().add(planes.taps[k]) };
            let mut right = [s.splat(0.0); PANELS];
            for p in 0..PANELS {
                s.prefetch(b[p].as_ptr().wrapping_add(k + LINES_AHEAD));
                right[p] = s.load(&b[p][k]);
            }
            for r in 0..ROWS {
                // SAFETY: as above.
                let left = s.splat(unsafe { *left.add(r) });
                for p in 0..PANELS {
                    sums[r][p] = s.mul_add(left, right[p], sums[r][p]);
                }
            }
        }
        for r in 0..ROWS.min(BLOCK - first) {
            for p in 0..PANELS {
                let to = &mut c.0[first + r][column + p * TILE..][..LANES];
                s.store(sums[r][p], to.try_into().expect("sixteen columns"));
            }
        }
    }
}
