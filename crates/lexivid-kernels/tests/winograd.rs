//! Minimal filtering against plain loops in f64, on every instruction set.

mod support;

use half::bf16;
use lexivid_kernels::{Activation, Columns, Convolution, Epilogue, Isa, Out, Padding, Values, Volume, Window};
use proptest::prelude::*;
use support::*;

#[derive(Debug, Clone)]
struct Case {
    batch: usize,
    size: [usize; 3],
    channels: usize,
    outputs: usize,
    window: Window,
    seed: u64,
}

fn case() -> impl Strategy<Value = Case> {
    let zeros = || [0..3usize, 0..3usize];
    let padding = prop_oneof![Just(Padding::Same), [zeros(), zeros(), zeros()].prop_map(Padding::Explicit),];
    let kernel = prop::sample::select(&[(3, 1), (4, 1), (5, 2), (7, 2), (8, 2), (8, 3)]); // and stride
    let (channels, outputs) = (prop::sample::select(&[1, 3, 16, 20, 32]), prop::sample::select(&[1, 16, 33]));
    let time = [1..=3usize, 1..=2usize]; // kernel and stride
    (1..=2usize, [1..=10usize, 1..=12, 1..=12], channels, outputs, time, kernel, padding, any::<u64>()).prop_map(
        |(batch, size, channels, outputs, time, (kernel, stride), padding, seed)| {
            let size = [size[0].max(time[0]), size[1].max(kernel), size[2].max(kernel)];
            let window = Window { kernel: [time[0], kernel, kernel], stride: [time[1], stride, stride], padding };
            Case { batch, size, channels, outputs, window, seed }
        },
    )
}

impl Case {
    fn input(&self) -> Vec<f32> {
        values(self.seed, self.batch * self.size.iter().product::<usize>() * self.channels)
    }

    fn taps(&self) -> usize {
        self.window.kernel.iter().product()
    }

    fn volume<'a>(&self, values: Values<'a>) -> Volume<'a> {
        Volume { values, batch: self.batch, size: self.size, channels: self.channels }
    }

    fn before(&self) -> [usize; 3] {
        let (kernel, stride, output) = (self.window.kernel, self.window.stride, self.window.output(self.size));
        std::array::from_fn(|i| match self.window.padding {
            Padding::Explicit(zeros) => zeros[i][0],
            Padding::Same => ((output[i].max(1) - 1) * stride[i] + kernel[i]).saturating_sub(self.size[i]) / 2,
        })
    }

    /// Where frame t, line y, column x of the padded input lies.
    fn site(&self, item: usize, place: [usize; 3]) -> Option<usize> {
        let before = self.before();
        let mut site = item;
        for i in 0..3 {
            site = site * self.size[i] + place[i].checked_sub(before[i]).filter(|at| *at < self.size[i])?;
        }
        Some(site)
    }

    /// Item, t, y and x of all outputs.
    fn places(&self) -> Vec<[usize; 4]> {
        let [t, h, w] = self.window.output(self.size);
        (0..self.batch * t * h * w).map(|i| [i / (w * h * t), i / (w * h) % t, i / w % h, i % w]).collect()
    }

    /// Values and errors, by the bound that [`Convolution::run`] states.
    fn exact(&self, x: &[f32], weights: &[f32], bias: &[f32]) -> Vec<(f64, f64)> {
        let (channels, width, [frames, size, _]) = (self.channels, self.taps() * self.channels, self.window.kernel);
        let stride = self.window.stride[1];
        let taps = size.div_ceil(stride);
        let out = 7 - taps;
        let weight = |column: usize, t: usize, y: usize, x: usize, c: usize| {
            f64::from(weights[column * width + ((t * size + y) * size + x) * channels + c])
        };
        // What is seen at one place of a tile: a frame, and what the stride passes over.
        let mut seen = Vec::new();
        for frame in 0..frames {
            for place in 0..stride * stride * channels {
                seen.push((frame, place / channels / stride, place / channels % stride, place % channels));
            }
        }
        // The transforms, all absolute: of weights, and below of what is seen.
        let u: Vec<Vec<[f64; 36]>> = (0..self.outputs)
            .map(|column| {
                let of = |&(frame, down, across, c): &(usize, usize, usize, usize)| {
                    let mut u = [0.0; 36];
                    for y in (down..size).step_by(stride) {
                        for x in (across..size).step_by(stride) {
                            let g = weight(column, frame, y, x, c).abs();
                            for (i, u) in u.iter_mut().enumerate() {
                                *u += of_tap(i / 6, y / stride, taps) * of_tap(i % 6, x / stride, taps) * g;
                            }
                        }
                    }
                    u
                };
                seen.iter().map(of).collect()
            })
            .collect();
        let mut all = Vec::new();
        for [item, t, y, left] in self.places() {
            let t = t * self.window.stride[0];
            let at = |frame: usize, y: usize, left: usize, c: usize| {
                self.site(item, [t + frame, y, left]).map_or(0.0, |site| f64::from(x[site * channels + c]))
            };
            let (top, first) = (y / out * out, left / out * out);
            let of = |&(frame, down, across, c): &(usize, usize, usize, usize)| -> [f64; 36] {
                let d: [f64; 36] = std::array::from_fn(|k| {
                    at(frame, (top + k / 6) * stride + down, (first + k % 6) * stride + across, c).abs()
                });
                std::array::from_fn(|i| (0..36).map(|k| B[i / 6][k / 6] * B[i % 6][k % 6] * d[k]).sum())
            };
            let v: Vec<[f64; 36]> = seen.iter().map(of).collect();
            for column in 0..self.outputs {
                let mut sum = f64::from(bias[column]);
                for k in 0..width {
                    let (tap, c) = (k / channels, k % channels);
                    let [frame, down, across] = [tap / (size * size), tap / size % size, tap % size];
                    let value = at(frame, y * stride + down, left * stride + across, c);
                    sum += value * weight(column, frame, down, across, c);
                }
                let product = |i: usize| v.iter().zip(&u[column]).map(|(v, u)| v[i] * u[i]).sum::<f64>();
                let a = |i: usize| of_output(i / 6, y % out, out) * of_output(i % 6, left % out, out);
                let size = (0..36).map(|i| a(i) * product(i)).sum::<f64>() + f64::from(bias[column].abs());
                all.push((sum, (seen.len() + 32) as f64 * F32 * size));
            }
        }
        all
    }
}

/// The transforms with the points 0, 1, -1, 2, -2 and infinity, all absolute: B^T, and the powers of the points in G and A.
const B: [[f64; 6]; 6] = [
    [4.0, 0.0, 5.0, 0.0, 1.0, 0.0],
    [0.0, 4.0, 4.0, 1.0, 1.0, 0.0],
    [0.0, 4.0, 4.0, 1.0, 1.0, 0.0],
    [0.0, 2.0, 1.0, 2.0, 1.0, 0.0],
    [0.0, 2.0, 1.0, 2.0, 1.0, 0.0],
    [0.0, 4.0, 0.0, 5.0, 0.0, 1.0],
];
const POWERS: [[f64; 4]; 5] = [[1.0, 0.0, 0.0, 0.0], [1.0; 4], [1.0; 4], [1.0, 2.0, 4.0, 8.0], [1.0, 2.0, 4.0, 8.0]];

fn of_output(element: usize, output: usize, outputs: usize) -> f64 {
    POWERS.get(element).map_or(f64::from(output + 1 == outputs), |powers| powers[output])
}

fn of_tap(element: usize, tap: usize, taps: usize) -> f64 {
    of_output(element, tap, taps) / [4.0, 6.0, 6.0, 24.0, 24.0, 1.0][element]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn minimal_filtering_is_exact_within_the_bound(case in case(), in_bf16 in any::<bool>()) {
        let rounded: Vec<bf16> = case.input().into_iter().map(bf16::from_f32).collect();
        let x = if in_bf16 { rounded.iter().map(|x| x.to_f32()).collect() } else { case.input() };
        let weights = values(case.seed ^ 1, case.outputs * case.taps() * case.channels);
        let bias = values(case.seed ^ 2, case.outputs);
        let exact = case.exact(&x, &weights, &bias);
        let layer = Convolution::minimal(&weights, case.outputs, case.window);
        let epilogue = Epilogue { bias: Some(&bias), activation: Some(Activation::Relu), scale: None };
        let volume = case.volume(if in_bf16 { Values::Bf16(&rounded) } else { Values::F32(&x) });
        let positive: Vec<f64> = exact.iter().map(|(value, _)| value.max(0.0)).collect();
        for isa in isas() {
            // Beside the columns of others.
            let width = case.outputs + 5;
            let mut wide = vec![f32::NAN; exact.len() / case.outputs * width];
            layer.run(isa, &volume, &epilogue, Out::Columns(Columns { rows: &mut wide, width, first: 2 }));
            let (ours, others): (Vec<_>, Vec<_>) =
                wide.iter().enumerate().partition(|(i, _)| (2..2 + case.outputs).contains(&(i % width)));
            let ours: Vec<f32> = ours.into_iter().map(|(_, x)| *x).collect();
            assert_within(&isa.to_string(), &ours, &positive, |i| exact[i].1);
            assert!(others.iter().all(|(_, x)| x.is_nan()), "columns of others");
        }
    }
}

/// The others come out bit for bit.
#[test]
fn what_is_not_finite_hits_the_tiles_that_see_it() {
    // An output sees the NaN, which is at frame 2, line 4 and column 7.
    for (kernel, stride, lines, columns) in [(3, 1, 3..=5, 6..=8), (7, 2, 1..=3, 2..=4)] {
        let window = Window { kernel: [3, kernel, kernel], stride: [1, stride, stride], padding: Padding::Same };
        let case = Case { batch: 2, size: [5, 15, 20], channels: 16, outputs: 40, window, seed: 7 };
        let layer = Convolution::minimal(&values(1, 40 * 3 * kernel * kernel * 16), 40, window);
        let out = 7 - kernel.div_ceil(stride);
        let mut x = case.input();
        let places = case.places();
        for isa in isas() {
            let run = |x: &[f32]| {
                let mut got = vec![0.0; places.len() * 40];
                layer.run(isa, &case.volume(Values::F32(x)), &Epilogue::default(), Out::Rows(&mut got));
                got
            };
            let clean = run(&x);
            let at = (((5 + 2) * 15 + 4) * 20 + 7) * 16 + 3;
            let finite = std::mem::replace(&mut x[at], f32::NAN);
            let got = run(&x);
            x[at] = finite;
            for ([item, t, y, left], (got, clean)) in places.iter().zip(got.chunks(40).zip(clean.chunks(40))) {
                let of_frame = *item == 1 && (1..=3).contains(t);
                // Six places of a tile, each of `stride` lines and columns of the padded input.
                let sees = |at: usize, first: usize, before: usize| {
                    let seen = (first / out * out) * stride..(first / out * out + 6) * stride;
                    seen.contains(&(at + before))
                };
                let before = case.before();
                if of_frame && lines.contains(y) && columns.contains(left) {
                    assert!(got.iter().all(|x| x.is_nan()), "{isa}: {item} {t} {y} {left}");
                } else if !(of_frame && sees(4, *y, before[1]) && sees(7, *left, before[2])) {
                    assert_eq!(got, clean, "{isa}: {item} {t} {y} {left}");
                }
            }
        }
    }
}

#[test]
#[should_panic(expected = "a square kernel of 3 or 4 strides, got [1, 2, 2] and [1, 1, 1]")]
fn a_small_kernel_is_refused() {
    Convolution::minimal(&[0.0; 4 * 16], 1, Window::flat(2, 1, Padding::Same));
}

#[test]
#[should_panic(expected = "a square kernel of 3 or 4 strides, got [1, 3, 3] and [1, 2, 2]")]
fn a_large_stride_is_refused() {
    Convolution::minimal(&[0.0; 9 * 16], 1, Window::flat(3, 2, Padding::Same));
}

#[test]
fn no_frames_and_no_tasks() {
    for (kernel, stride) in [(3, 1), (7, 2)] {
        let window = Window::flat(kernel, stride, Padding::Same);
        let layer = Convolution::minimal(&vec![0.0; kernel * kernel * 16], 1, window);
        let nothing = Volume { values: Values::F32(&[]), batch: 0, size: [1, 4, 4], channels: 16 };
        layer.run(Isa::best(), &nothing, &Epilogue::default(), Out::Rows(&mut []));
    }
}
