use super::{Volume, Window, gather::Input, number::Number};
use crate::{
    Isa, Out, Values,
    epilogue::{Sink, put_lanes},
    scratch::{Cut, SCRATCH},
    simd::{Kernel, LANES, Simd},
};
use rayon::prelude::*;
use std::ops::Range;

/// Comparisons of one task: about 50 microseconds of a core.
const TASK: usize = 1 << 19;

/// The greatest value that the window sees, of every channel by itself: `[N, T, H, W, C]` to `out`; T, H, W are [`Window::output`] of the
/// input's.
///
/// Exact; of equal zeros either sign. Padding never wins: minus infinity where a window sees nothing else. NaN where it sees NaN.
///
/// # Panics
/// If shapes do not fit, or for [`Out::Gated`].
pub fn max_pool(isa: Isa, x: &Volume, window: &Window, out: Out) {
    x.check();
    assert!(window.taps() > 0 && x.channels > 0, "taps and channels, got {window:?} of {} channels", x.channels);
    assert!(!matches!(out, Out::Gated(_)), "an output without gates");
    let (axes, channels) = (&window.axes(x.size), x.channels);
    let sites = x.batch * axes.map(|axis| axis.output).iter().product::<usize>();
    out.fill(isa, (sites, channels), |sink| match x.values {
        Values::F32(values) => share_out(isa, Input { x: values, axes, channels }, x.batch, sink),
        Values::Bf16(values) => share_out(isa, Input { x: values, axes, channels }, x.batch, sink),
    });
}

fn share_out<X: Number>(isa: Isa, input: Input<X>, batch: usize, sink: Sink) {
    let [t, h, w] = input.axes;
    let lines = batch * t.output * h.output;
    let of_line = (t.kernel * h.kernel * w.size + w.kernel * w.output) * input.channels;
    let step = (TASK / of_line.max(1)).clamp(1, lines.max(1));
    (0..lines.div_ceil(step)).into_par_iter().with_max_len(1).for_each(|task| {
        let lines = task * step..lines.min((task + 1) * step);
        // One vector more, so that the last channels of the last column can be read as any others.
        let len = w.size * input.channels + LANES;
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.resize(Cut::bytes::<f32>(len));
            let columns = Cut(scratch).off::<f32>(len);
            isa.run(Lines { input, lines, columns, sink });
        });
    });
}

/// Lines of the output, of all lines `[N, T, H]`: over time and height first, for whole lines at once, then along them, which compares
/// 9 + 3 times an output instead of 27 for a kernel of three.
struct Lines<'a, X> {
    input: Input<'a, X>,
    lines: Range<usize>,
    /// Of one line, over time and height, `[W, C]`.
    columns: &'a mut [f32],
    sink: Sink<'a>,
}

impl<X: Number> Kernel for Lines<'_, X> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        for line in self.lines.clone() {
            self.over_time_and_height(s, line);
            self.along(s, line);
        }
    }
}

impl<X: Number> Lines<'_, X> {
    /// Fills `columns`.
    #[inline(always)]
    fn over_time_and_height<S: Simd>(&mut self, s: S, line: usize) {
        let Input { x, axes: [along_t, along_y, along_x], channels } = self.input;
        let [item, t, y, _] = self.input.place(line * along_x.output);
        let (times, lines) = (along_t.taps(t), along_y.taps(y));
        let len = along_x.size * channels;
        let first = match times.is_empty() || lines.is_empty() {
            true => 0, // not used
            false => self.input.line(
                item,
                t * along_t.stride + times.start - along_t.before,
                y * along_y.stride + lines.start - along_y.before,
            ),
        };
        for at in (0..len).step_by(LANES) {
            let mut greatest = Greatest::none(s);
            for time in 0..times.len() {
                for line in 0..lines.len() {
                    let from = &x[first + (time * along_y.size + line) * len + at..];
                    let values = if at + LANES <= len {
                        X::load(s, from.first_chunk().expect("sixteen"))
                    } else {
                        X::load_part(s, &from[..len - at])
                    };
                    greatest = greatest.or(s, values);
                }
            }
            s.store(greatest.get(s), self.columns[at..].first_chunk_mut().expect("padded"));
        }
    }

    /// `columns` -> one line of the output.
    #[inline(always)]
    fn along<S: Simd>(&self, s: S, line: usize) {
        let Input { axes: [_, _, along], channels, .. } = self.input;
        for x in 0..along.output {
            let taps = along.taps(x);
            let first = (x * along.stride + taps.start).saturating_sub(along.before) * channels;
            for channel in (0..channels).step_by(LANES) {
                let mut greatest = Greatest::none(s);
                for tap in 0..taps.len() {
                    let from = &self.columns[first + tap * channels + channel..];
                    greatest = greatest.or(s, s.load(from.first_chunk().expect("padded")));
                }
                // SAFETY: a line is written by one task.
                unsafe { put_lanes(s, greatest.get(s), (line * along.output + x, channel), channels, self.sink) };
            }
        }
    }
}

/// The greatest of some values.
#[derive(Clone, Copy)]
struct Greatest<S: Simd> {
    /// Of those that are not NaN.
    number: S::F,
    /// NaN once one was, else minus infinity: a sum of it and of numbers below zero.
    not_a_number: S::F,
}

impl<S: Simd> Greatest<S> {
    #[inline(always)]
    fn none(s: S) -> Self {
        Self { number: s.splat(f32::NEG_INFINITY), not_a_number: s.splat(f32::NEG_INFINITY) }
    }

    // `max` and `min` are their second operand where one is NaN.
    #[inline(always)]
    fn or(self, s: S, x: S::F) -> Self {
        Self { number: s.max(x, self.number), not_a_number: s.add(self.not_a_number, s.min(s.splat(0.0), x)) }
    }

    #[inline(always)]
    fn get(self, s: S) -> S::F {
        s.max(self.number, self.not_a_number)
    }
}
