use super::{Volume, Window, gather::Input, number::Number, window::Axis};
use crate::{
    Activation, Isa, Out, Values,
    aligned::Aligned,
    epilogue::{Sink, put_lanes},
    simd::{Kernel, LANES, Simd},
};
use rayon::prelude::*;
use std::ops::Range;

/// A convolution of every channel with a kernel of its own, f32.
#[derive(Debug, Clone)]
pub struct Depthwise {
    /// `[taps, C padded to 16]`.
    weights: Aligned<f32>,
    /// `[C padded to 16]`.
    bias: Aligned<f32>,
    window: Window,
    channels: usize,
}

/// Multiplications of one task: about 50 microseconds of a core.
const TASK: usize = 1 << 20;

impl Depthwise {
    /// From weights `[T, H, W, C]` (of the kernel) and the bias, `[C]`.
    ///
    /// # Panics
    /// If the number of weights is another.
    pub fn new(weights: &[f32], bias: &[f32], window: Window) -> Self {
        let (channels, taps) = (bias.len(), window.taps());
        assert!(channels > 0 && weights.len() == taps * channels, "weights [{taps}, {channels}]");
        let padded = channels.next_multiple_of(LANES);
        let mut new = Self { weights: Aligned::zeroed(taps * padded), bias: Aligned::zeroed(padded), window, channels };
        new.bias[..channels].copy_from_slice(bias);
        for (to, from) in new.weights.chunks_exact_mut(padded).zip(weights.chunks_exact(channels)) {
            to[..channels].copy_from_slice(from);
        }
        new
    }

    /// How it goes over its input.
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// C.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// `activation(x * weights + bias)`, `[N, T, H, W, C]`, to `out`; T, H, W are [`Window::output`] of the input's.
    ///
    /// Error against exact arithmetic: at most (taps + 1) 2^-23 times the sum of the sizes of products and bias, before the activation. An output
    /// depends only on what the kernel sees there.
    ///
    /// # Panics
    /// If shapes do not fit, or for [`Out::Gated`].
    pub fn run(&self, isa: Isa, x: &Volume, activation: Option<Activation>, out: Out) {
        x.check();
        assert_eq!(x.channels, self.channels, "channels of the input");
        assert!(!matches!(out, Out::Gated(_)), "an output without gates");
        let (axes, channels) = (&self.window.axes(x.size), self.channels);
        let [t, h, w] = axes.map(|axis| axis.output);
        let lines = x.batch * t * h;
        out.fill(isa, (lines * w, channels), |sink| match x.values {
            Values::F32(x) => self.share_out(isa, Input { x, axes, channels }, lines, activation, sink),
            Values::Bf16(x) => self.share_out(isa, Input { x, axes, channels }, lines, activation, sink),
        });
    }

    fn share_out<X: Number>(
        &self,
        isa: Isa,
        input: Input<X>,
        lines: usize,
        activation: Option<Activation>,
        sink: Sink,
    ) {
        let step = (TASK / (input.axes[2].output * self.window.taps() * self.channels).max(1)).clamp(1, lines.max(1));
        (0..lines.div_ceil(step)).into_par_iter().with_max_len(1).for_each(|task| {
            let lines = task * step..lines.min((task + 1) * step);
            isa.run(Lines { layer: self, input, lines, activation, sink });
        });
    }
}

/// Lines of the output, of all lines `[N, T, H]`.
struct Lines<'a, X> {
    layer: &'a Depthwise,
    input: Input<'a, X>,
    lines: Range<usize>,
    activation: Option<Activation>,
    sink: Sink<'a>,
}

impl<X: Number> Kernel for Lines<'_, X> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let along = &self.input.axes[2];
        let interior = along.interior();
        for line in self.lines.clone() {
            let mut x = 0;
            while x < along.output {
                // Side by side as many as there are registers to hold their sums.
                let together = if interior.contains(&x) { interior.end - x } else { 1 };
                x += match (S::ROWS, together) {
                    (8.., 8..) => self.outputs::<S, 8>(s, line, x),
                    (4.., 4..) => self.outputs::<S, 4>(s, line, x),
                    (_, 2..) => self.outputs::<S, 2>(s, line, x),
                    _ => self.outputs::<S, 1>(s, line, x),
                };
            }
        }
    }
}

impl<X: Number> Lines<'_, X> {
    /// `P` outputs of a line, from `x` on, which see the same taps. Returns P.
    // Indices, because adapters of arrays would keep the sums in memory.
    #[allow(clippy::needless_range_loop)]
    #[inline(always)]
    fn outputs<S: Simd, const P: usize>(&self, s: S, line: usize, x: usize) -> usize {
        let Self { layer, input, activation, sink, .. } = self;
        let [along_t, along_y, along_x]: &[Axis; 3] = input.axes;
        let [item, t, y, _] = input.place(line * along_x.output);
        let (times, lines, columns) = (along_t.taps(t), along_y.taps(y), along_x.taps(x));
        let (channels, padded) = (layer.channels, layer.bias.len());
        let step = along_x.stride * channels; // from one output to the next
        let seen = columns.len().saturating_sub(1) * channels + (P - 1) * step; // from the first to the last value, less one
        for channel in (0..channels).step_by(LANES) {
            let width = LANES.min(channels - channel);
            let mut sums = [s.load(lanes(&layer.bias, channel)); P];
            for tap_t in times.clone() {
                for tap_y in lines.clone() {
                    if columns.is_empty() {
                        continue;
                    }
                    let start = input.line(
                        item,
                        t * along_t.stride + tap_t - along_t.before,
                        y * along_y.stride + tap_y - along_y.before,
                    ) + (x * along_x.stride + columns.start - along_x.before) * channels
                        + channel;
                    let from = &input.x[start..][..seen + width];
                    let first_tap = (tap_t * along_y.kernel + tap_y) * along_x.kernel + columns.start;
                    for tap in 0..columns.len() {
                        let weight = s.load(lanes(&layer.weights, (first_tap + tap) * padded + channel));
                        for p in 0..P {
                            let at = tap * channels + p * step;
                            let values = if width == LANES {
                                // SAFETY: `at` is at most `seen`, and `from` goes sixteen beyond that.
                                X::load(s, lanes(unsafe { from.get_unchecked(at..at + LANES) }, 0))
                            } else {
                                X::load_part(s, &from[at..at + width])
                            };
                            sums[p] = s.mul_add(values, weight, sums[p]);
                        }
                    }
                }
            }
            match activation {
                Some(Activation::Relu6) => {
                    for p in 0..P {
                        sums[p] = Activation::Relu6.apply(s, sums[p]);
                    }
                }
                Some(activation) => {
                    // A copy, so that it is this that lies in memory, not the sums.
                    let mut values = sums;
                    for value in &mut values {
                        *value = activation.apply(s, *value);
                    }
                    sums = values;
                }
                None => {}
            }
            let row = line * along_x.output + x;
            for p in 0..P {
                // SAFETY: a line is written by one task.
                unsafe { put_lanes(s, sums[p], (row + p, channel), channels, *sink) };
            }
        }
        P
    }
}

/// Sixteen from `at` on.
#[inline(always)]
fn lanes<X>(from: &[X], at: usize) -> &[X; LANES] {
    from[at..].first_chunk().expect("sixteen")
}
