use std::ops::Range;

/// How a kernel goes over time, height and width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Taps along T, H and W.
    pub kernel: [usize; 3],
    /// Steps from one output to the next.
    pub stride: [usize; 3],
    /// Zeros around the input.
    pub padding: Padding,
}

/// Zeros around the input of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    /// TensorFlow's 'same': output `ceil(size / stride)`, and of an odd number of zeros the greater half at the end.
    Same,
    /// Before and after T, H and W.
    Explicit([[usize; 2]; 3]),
}

impl Window {
    /// Over height and width only.
    pub fn flat(kernel: usize, stride: usize, padding: Padding) -> Self {
        Self { kernel: [1, kernel, kernel], stride: [1, stride, stride], padding }
    }

    /// T, H and W of the output, for an input of this T, H and W.
    ///
    /// # Panics
    /// If the kernel is larger than the padded input.
    pub fn output(&self, size: [usize; 3]) -> [usize; 3] {
        self.axes(size).map(|axis| axis.output)
    }

    pub(super) fn taps(&self) -> usize {
        self.kernel.iter().product()
    }

    pub(super) fn axes(&self, size: [usize; 3]) -> [Axis; 3] {
        std::array::from_fn(|i| {
            let (size, kernel, stride) = (size[i], self.kernel[i], self.stride[i]);
            match self.padding {
                Padding::Same => {
                    let output = size.div_ceil(stride);
                    let zeros = (output.saturating_sub(1) * stride + kernel).saturating_sub(size);
                    Axis { size, kernel, stride, before: zeros / 2, output }
                }
                Padding::Explicit(zeros) => {
                    let [before, after] = zeros[i];
                    let padded = before + size + after;
                    assert!(kernel <= padded, "a kernel of at most {padded}, the padded input, got {kernel}");
                    Axis { size, kernel, stride, before, output: (padded - kernel) / stride + 1 }
                }
            }
        })
    }
}

/// A window along one axis of one input.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    /// Of the input.
    pub size: usize,
    pub kernel: usize,
    pub stride: usize,
    /// Zeros before the input.
    pub before: usize,
    /// Size of the output.
    pub output: usize,
}

impl Axis {
    /// The taps of output `at` that lie on the input; tap k lies on `at * stride + k - before`.
    #[inline(always)]
    pub fn taps(&self, at: usize) -> Range<usize> {
        let start = at * self.stride;
        let first = self.before.saturating_sub(start).min(self.kernel);
        let end = (self.before + self.size).saturating_sub(start).min(self.kernel);
        first..end.max(first)
    }

    /// Where the input lies under a place of the padded axis.
    #[inline(always)]
    pub fn on(&self, at: usize) -> Option<usize> {
        at.checked_sub(self.before).filter(|at| *at < self.size)
    }

    /// The outputs all of whose taps lie on the input.
    pub fn interior(&self) -> Range<usize> {
        let first = self.before.div_ceil(self.stride).min(self.output);
        let end = match (self.before + self.size).checked_sub(self.kernel) {
            Some(last) => (last / self.stride + 1).min(self.output),
            None => 0,
        };
        first..end.max(first)
    }
}
