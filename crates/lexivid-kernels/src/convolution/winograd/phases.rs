//! A kernel with a stride, as one without: the places of the padded input that a stride steps over become channels of one place.

use super::super::{gather::Input, number::Number, window::Axis};
use crate::simd::LANES;
use rayon::prelude::*;

/// How many channels there are then: `[stride, stride, C]`, and zeros to whole lanes.
pub(super) fn channels(stride: usize, channels: usize) -> usize {
    (stride * stride * channels).next_multiple_of(LANES)
}

/// Height or width of the input then: without padding, so many places as outputs see.
pub(super) fn axis(axis: Axis) -> Axis {
    let kernel = axis.kernel.div_ceil(axis.stride);
    let size = if axis.output == 0 { 0 } else { axis.output + kernel - 1 };
    Axis { size, kernel, stride: 1, before: 0, output: axis.output }
}

/// The input then, `[N, T, H, W, channels]`, height and width as of [`axis`].
pub(super) fn split<X: Number>(input: Input<X>, batch: usize) -> Vec<f32> {
    let [time, down, across] = *input.axes;
    let (run, before) = (across.stride * input.channels, across.before * input.channels);
    let channels = channels(across.stride, input.channels);
    let (height, width) = (axis(down).size, axis(across).size);
    let mut split = vec![0.0; batch * time.size * height * width * channels];
    split.par_chunks_mut((width * channels).max(1)).enumerate().for_each(|(i, line)| {
        let (picture, y) = (i / height, i % height);
        for phase in 0..down.stride {
            let Some(y) = down.on(y * down.stride + phase) else { continue };
            let from = input.line(picture / time.size, picture % time.size, y);
            let from = &input.x[from..][..across.size * input.channels];
            for (place, to) in line.chunks_exact_mut(channels).enumerate() {
                let start = place * run; // of the padded line
                let padding = before.saturating_sub(start).min(run);
                let from = from.get((start + padding).saturating_sub(before)..).unwrap_or_default();
                let to = &mut to[phase * run..][padding..run];
                to.iter_mut().zip(from).for_each(|(to, x)| *to = x.to_f32());
            }
        }
    });
    split
}
