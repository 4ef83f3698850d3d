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
    let (channels, outputs) = (prop::sample::select(&[16, 32, 48]), prop::sample::select(&[1, 16, 33]));
    (1..=2usize, [1..=10usize, 3..=10, 3..=10], channels, outputs, 1..=3usize, 1..=2usize, padding, any::<u64>())
        .prop_map(|(batch, size, channels, outputs, frames, stride, padding, seed)| {
            let window = Window { kernel: [frames.min(size[0]), 3, 3], stride: [stride, 1, 1], padding };
            Case { batch, size, channels, outputs, window, seed }
        })
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
        let (channels, width, [frames, ..]) = (self.channels, self.taps() * self.channels, self.window.kernel);
        let weight = |column: usize, t: usize, y: usize, x: usize, c: usize| {
            f64::from(weights[column * width + ((t * 3 + y) * 3 + x) * channels + c])
        };
        // The transforms, all absolute: of weights, and below of what is seen.
        let channels_seen: Vec<_> = (0..frames).flat_map(|frame| (0..channels).map(move |c| (frame, c))).collect();
        let u: Vec<Vec<[f64; 36]>> = (0..self.outputs)
            .map(|column| {
                let of = |&(frame, c): &(usize, usize)| {
                    let g = |k: usize| weight(column, frame, k / 3, k % 3, c).abs();
                    std::array::from_fn(|i| (0..9).map(|k| G[i / 6][k / 3] * G[i % 6][k % 3] * g(k)).sum())
                };
                channels_seen.iter().map(of).collect()
            })
            .collect();
        let mut all = Vec::new();
        for [item, t, y, left] in self.places() {
            let t = t * self.window.stride[0];
            let at = |frame: usize, y: usize, left: usize, c: usize| {
                self.site(item, [t + frame, y, left]).map_or(0.0, |site| f64::from(x[site * channels + c]))
            };
            let (top, first) = (y / 4 * 4, left / 4 * 4);
            let of = |&(frame, c): &(usize, usize)| -> [f64; 36] {
                let d: [f64; 36] = std::array::from_fn(|k| at(frame, top + k / 6, first + k % 6, c).abs());
                std::array::from_fn(|i| (0..36).map(|k| B[i / 6][k / 6] * B[i % 6][k % 6] * d[k]).sum())
            };
            let v: Vec<[f64; 36]> = channels_seen.iter().map(of).collect();
            for column in 0..self.outputs {
                let mut sum = f64::from(bias[column]);
                for &(frame, c) in &channels_seen {
                    for tap in 0..9 {
                        sum += at(frame, y + tap / 3, left + tap % 3, c) * weight(column, frame, tap / 3, tap % 3, c);
                    }
                }
                let product = |i: usize| v.iter().zip(&u[column]).map(|(v, u)| v[i] * u[i]).sum::<f64>();
                let size: f64 = (0..36).map(|i| A[y % 4][i / 6] * A[left % 4][i % 6] * product(i)).sum();
                let size = size + f64::from(bias[column].abs());
                all.push((sum, (frames * channels + 32) as f64 * F32 * size));
            }
        }
        all
    }
}

/// The transforms of F(4, 3) with the points 0, 1, -1, 2, -2 and infinity, all absolute.
const B: [[f64; 6]; 6] = [
    [4.0, 0.0, 5.0, 0.0, 1.0, 0.0],
    [0.0, 4.0, 4.0, 1.0, 1.0, 0.0],
    [0.0, 4.0, 4.0, 1.0, 1.0, 0.0],
    [0.0, 2.0, 1.0, 2.0, 1.0, 0.0],
    [0.0, 2.0, 1.0, 2.0, 1.0, 0.0],
    [0.0, 4.0, 0.0, 5.0, 0.0, 1.0],
];
const G: [[f64; 3]; 6] = [
    [0.25, 0.0, 0.0],
    [1.0 / 6.0, 1.0 / 6.0, 1.0 / 6.0],
    [1.0 / 6.0, 1.0 / 6.0, 1.0 / 6.0],
    [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
    [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
    [0.0, 0.0, 1.0],
];
const A: [[f64; 6]; 4] = [
    [1.0, 1.0, 1.0, 1.0, 1.0, 0.0],
    [0.0, 1.0, 1.0, 2.0, 2.0, 0.0],
    [0.0, 1.0, 1.0, 4.0, 4.0, 0.0],
    [0.0, 1.0, 1.0, 8.0, 8.0, 1.0],
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

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
    let window = Window { kernel: [3; 3], stride: [1; 3], padding: Padding::Same };
    let case = Case { batch: 2, size: [5, 9, 14], channels: 16, outputs: 40, window, seed: 7 };
    let layer = Convolution::minimal(&values(1, 40 * 27 * 16), 40, window);
    let mut x = case.input();
    for isa in isas() {
        let run = |x: &[f32]| {
            let mut got = vec![0.0; 2 * 5 * 9 * 14 * 40];
            layer.run(isa, &case.volume(Values::F32(x)), &Epilogue::default(), Out::Rows(&mut got));
            got
        };
        let clean = run(&x);
        let at = (((5 + 2) * 9 + 4) * 14 + 7) * 16 + 3;
        let finite = std::mem::replace(&mut x[at], f32::NAN);
        let got = run(&x);
        x[at] = finite;
        for ([item, t, y, left], (got, clean)) in case.places().into_iter().zip(got.chunks(40).zip(clean.chunks(40))) {
            let of_frame = item == 1 && (1..=3).contains(&t);
            if of_frame && (3..=5).contains(&y) && (6..=8).contains(&left) {
                assert!(got.iter().all(|x| x.is_nan()), "{isa}: {item} {t} {y} {left}");
            } else if !(of_frame && y < 8 && (4..12).contains(&left)) {
                assert_eq!(got, clean, "{isa}: {item} {t} {y} {left}");
            }
        }
    }
}

#[test]
#[should_panic(expected = "channels: expected a multiple of 16, got 3")]
fn few_channels_are_refused() {
    Convolution::minimal(&[0.0; 27], 1, Window::flat(3, 1, Padding::Same));
}

#[test]
#[should_panic(expected = "kernel and stride")]
fn another_stride_is_refused() {
    Convolution::minimal(&[0.0; 9 * 16], 1, Window::flat(3, 2, Padding::Same));
}

#[test]
fn no_frames_and_no_tasks() {
    let layer = Convolution::minimal(&[0.0; 9 * 16], 1, Window::flat(3, 1, Padding::Same));
    let nothing = Volume { values: Values::F32(&[]), batch: 0, size: [1, 4, 4], channels: 16 };
    layer.run(Isa::best(), &nothing, &Epilogue::default(), Out::Rows(&mut []));
}
