//! Convolutions against plain loops in f64, on every instruction set of this machine.

use half::bf16;
use lexivid_kernels::{
    Activation, Columns, Convolution, Depthwise, Epilogue, Isa, Matrix, Operand, Out, Padding, Precision, Values,
    Volume, Window, average_pool, matmul, max_pool,
};
use proptest::prelude::*;

/// A convolution's shape.
#[derive(Debug, Clone)]
struct Case {
    batch: usize,
    size: [usize; 3],
    channels: usize,
    outputs: usize,
    window: Window,
}

impl Case {
    fn new(size: [usize; 3], channels: usize, outputs: usize, kernel: usize, stride: usize) -> Self {
        let window = Window { kernel: [kernel; 3], stride: [stride; 3], padding: Padding::Same };
        Self { batch: 1, size, channels, outputs, window }
    }

    fn sites(&self) -> usize {
        self.batch * self.window.output(self.size).iter().product::<usize>()
    }

    fn taps(&self) -> usize {
        self.window.kernel.iter().product()
    }

    fn input(&self) -> Vec<f32> {
        noise(1, self.batch * self.size.iter().product::<usize>() * self.channels)
    }

    fn volume<'a>(&self, values: Values<'a>) -> Volume<'a> {
        Volume { values, batch: self.batch, size: self.size, channels: self.channels }
    }

    /// For every output `[N, T, H, W]`: tap of the kernel and site of the input, where there is input.
    fn seen(&self) -> Vec<Vec<(usize, usize)>> {
        let (kernel, stride, output) = (self.window.kernel, self.window.stride, self.window.output(self.size));
        let before: [usize; 3] = std::array::from_fn(|i| match self.window.padding {
            Padding::Explicit(zeros) => zeros[i][0],
            Padding::Same => ((output[i] - 1) * stride[i] + kernel[i]).saturating_sub(self.size[i]) / 2,
        });
        let position = |axis: usize, at: usize, tap: usize| {
            (at * stride[axis] + tap).checked_sub(before[axis]).filter(|p| *p < self.size[axis])
        };
        let mut seen = Vec::new();
        for site in 0..self.sites() {
            let (x, y) = (site % output[2], site / output[2] % output[1]);
            let (t, item) = (site / (output[2] * output[1]) % output[0], site / output.iter().product::<usize>());
            let mut of_site = Vec::new();
            for tap in 0..self.taps() {
                let (kx, ky, kt) = (tap % kernel[2], tap / kernel[2] % kernel[1], tap / (kernel[2] * kernel[1]));
                if let (Some(t), Some(y), Some(x)) = (position(0, t, kt), position(1, y, ky), position(2, x, kx)) {
                    of_site.push((tap, ((item * self.size[0] + t) * self.size[1] + y) * self.size[2] + x));
                }
            }
            seen.push(of_site);
        }
        seen
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let three = |from: usize, to: usize| [from..to, from..to, from..to];
    let channels = prop::sample::select(vec![1, 3, 7, 8, 16, 17, 24, 32, 40, 48, 64]);
    let outputs = prop::sample::select(vec![1, 5, 16, 31, 32, 33, 70]);
    let padding = prop_oneof![
        Just(Padding::Same),
        three(0, 3).prop_flat_map(move |after| three(0, 3)
            .prop_map(move |before| { Padding::Explicit(std::array::from_fn(|i| [before[i], after[i]])) })),
    ];
    (1..3_usize, three(1, 9), channels, outputs, three(1, 5), three(1, 4), padding)
        .prop_map(|(batch, size, channels, outputs, kernel, stride, padding)| Case {
            batch,
            size,
            channels,
            outputs,
            window: Window { kernel, stride, padding },
        })
        .prop_filter("the kernel fits the padded input", |case| match case.window.padding {
            Padding::Same => true,
            Padding::Explicit(zeros) => {
                (0..3).all(|i| case.window.kernel[i] <= case.size[i] + zeros[i][0] + zeros[i][1])
            }
        })
}

/// In [-1, 1).
fn noise(seed: u32, count: usize) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn rounded(values: &[f32]) -> Vec<bf16> {
    values.iter().map(|x| bf16::from_f32(*x)).collect()
}

fn widened(values: &[bf16]) -> Vec<f32> {
    values.iter().map(|x| x.to_f32()).collect()
}

/// Value and permitted error of every output, `[sites, outputs]`; weights `[outputs, taps * channels]`.
fn expected(case: &Case, x: &[f32], weights: &[f32], bias: &[f32]) -> Vec<(f64, f64)> {
    let (channels, width) = (case.channels, case.taps() * case.channels);
    let mut results = Vec::new();
    for seen in case.seen() {
        for column in 0..case.outputs {
            let (mut sum, mut sizes) = (f64::from(bias[column]), f64::from(bias[column].abs()));
            for &(tap, site) in &seen {
                for c in 0..channels {
                    let product =
                        f64::from(x[site * channels + c]) * f64::from(weights[column * width + tap * channels + c]);
                    sum += product;
                    sizes += product.abs();
                }
            }
            results.push((sum, 2.0 * (width as f64 + 2.0) * f64::from(f32::EPSILON) / 2.0 * sizes));
        }
    }
    results
}

fn assert_close(got: &[f32], expected: &[(f64, f64)], relative: f64, what: &str) {
    assert_eq!(got.len(), expected.len());
    for (i, (got, (value, bound))) in got.iter().zip(expected).enumerate() {
        let bound = bound + relative * value.abs();
        let error = (f64::from(*got) - value).abs();
        assert!(error <= bound, "{what}: value {i}: expected {value}, got {got}: error {error}, at most {bound}");
    }
}

/// In f32 and bf16, from f32 and bf16, on every instruction set.
fn check(case: &Case) {
    let width = case.taps() * case.channels;
    let (x, weights, bias) = (case.input(), noise(2, case.outputs * width), noise(3, case.outputs));
    let (x16, weights16) = (rounded(&x), widened(&rounded(&weights)));
    let rounded_x = widened(&x16);
    for (precision, input, values, weights) in [
        (Precision::F32, &x, Values::F32(&x), &weights),
        (Precision::F32, &rounded_x, Values::Bf16(&x16), &weights),
        (Precision::Bf16, &rounded_x, Values::F32(&x), &weights16),
        (Precision::Bf16, &rounded_x, Values::Bf16(&x16), &weights16),
    ] {
        let expected = expected(case, input, weights, &bias);
        let layer = Convolution::new(Matrix::pack(weights, case.outputs, width, precision), case.window);
        let epilogue = Epilogue { bias: Some(&bias), ..Epilogue::default() };
        for isa in Isa::all() {
            let mut got = vec![f32::NAN; expected.len()];
            layer.run(isa, &case.volume(values), &epilogue, Out::Rows(&mut got));
            assert_close(&got, &expected, 0.0, &format!("{isa} {precision}"));
        }
    }
}

/// Value and permitted error of every output of a depthwise convolution, `[sites, channels]`; weights `[taps, channels]`.
fn expected_depthwise(case: &Case, x: &[f32], weights: &[f32], bias: &[f32]) -> Vec<(f64, f64)> {
    let channels = case.channels;
    let mut results = Vec::new();
    for seen in case.seen() {
        for c in 0..channels {
            let products = seen
                .iter()
                .map(|&(tap, site)| f64::from(x[site * channels + c]) * f64::from(weights[tap * channels + c]));
            let (mut sum, mut sizes) = (f64::from(bias[c]), f64::from(bias[c].abs()));
            for product in products {
                sum += product;
                sizes += product.abs();
            }
            results.push((sum, (case.taps() as f64 + 1.0) * f64::from(f32::EPSILON) * sizes));
        }
    }
    results
}

fn check_depthwise(case: &Case) {
    let (x, weights) = (case.input(), noise(2, case.taps() * case.channels));
    let bias = noise(3, case.channels);
    let layer = Depthwise::new(&weights, &bias, case.window);
    let x16 = rounded(&x);
    for (input, values) in [(x.clone(), Values::F32(&x)), (widened(&x16), Values::Bf16(&x16))] {
        let expected = expected_depthwise(case, &input, &weights, &bias);
        for isa in Isa::all() {
            let mut got = vec![f32::NAN; expected.len()];
            layer.run(isa, &case.volume(values), None, Out::Rows(&mut got));
            assert_close(&got, &expected, 0.0, &format!("depthwise {isa}"));
        }
    }
}

/// On every instruction set, from f32 and bf16; as exact as comparisons are.
fn check_max_pool(case: &Case, x: &[f32]) {
    let channels = case.channels;
    let x16 = rounded(x);
    for (input, values) in [(x.to_vec(), Values::F32(x)), (widened(&x16), Values::Bf16(&x16))] {
        let greatest = |a: f32, b: f32| if a.is_nan() || a > b { a } else { b };
        let mut expected = Vec::new();
        for seen in case.seen() {
            for c in 0..channels {
                let values = seen.iter().map(|&(_, site)| input[site * channels + c]);
                expected.push(values.fold(f32::NEG_INFINITY, greatest));
            }
        }
        for isa in Isa::all() {
            let mut got = vec![7.0; expected.len()];
            max_pool(isa, &case.volume(values), &case.window, Out::Rows(&mut got));
            for (i, (got, expected)) in got.iter().zip(&expected).enumerate() {
                assert!(got == expected || got.is_nan() && expected.is_nan(), "{isa} {i}: {got}, expected {expected}");
            }
            let mut rows = vec![bf16::ZERO; expected.len()];
            max_pool(isa, &case.volume(Values::Bf16(&x16)), &case.window, Out::Bf16(&mut rows));
            if matches!(values, Values::Bf16(_)) {
                let same = |(got, x): (&f32, &bf16)| *got == x.to_f32() || got.is_nan() && x.is_nan();
                assert!(got.iter().zip(&rows).all(same), "{isa}: bf16 in and out");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn max_pools_agree_with_plain_loops(case in cases(), poison in prop::collection::vec((0..10_000_usize, 0..3_usize), 0..4)) {
        let mut x = case.input();
        let len = x.len();
        for (place, kind) in poison {
            x[place % len] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY][kind];
        }
        check_max_pool(&case, &x);
    }

    #[test]
    fn convolutions_agree_with_plain_loops(case in cases()) {
        check(&case);
    }

    #[test]
    fn depthwise_convolutions_agree_with_plain_loops(case in cases()) {
        check_depthwise(&case);
    }
}

/// The kinds of layer that I3D has (Carreira and Zisserman, arXiv 1705.07750), at a fraction of their size: enough outputs for
/// several tasks.
#[test]
fn layers_of_i3d() {
    check(&Case::new([6, 30, 30], 3, 64, 7, 2));
    check(&Case::new([4, 14, 14], 64, 48, 3, 1));
    check(&Case::new([4, 14, 14], 24, 64, 3, 1));
    check(&Case::new([2, 7, 7], 112, 96, 1, 1));
    check(&Case::new([2, 7, 7], 144, 64, 3, 1));
}

/// The pools that I3D has, at a fraction of their size; all negative, so that zeros of a padding would win.
#[test]
fn pools_of_i3d() {
    let pool = |kernel: [usize; 3], stride, size| Case {
        batch: 2,
        size,
        channels: 48,
        outputs: 48,
        window: Window { kernel, stride, padding: Padding::Same },
    };
    for case in [
        pool([1, 3, 3], [1, 2, 2], [3, 28, 28]),
        pool([3, 3, 3], [2, 2, 2], [5, 14, 14]),
        pool([2, 2, 2], [2, 2, 2], [3, 7, 7]),
        pool([3, 3, 3], [1, 1, 1], [4, 7, 7]),
    ] {
        let negative: Vec<f32> = case.input().iter().map(|x| -1.0 - x.abs()).collect();
        check_max_pool(&case, &negative);
    }
}

#[test]
fn layers_of_efficientnet_lite() {
    let pictures = |size: usize, channels: usize, outputs: usize, kernel: usize, stride: usize| Case {
        batch: 2,
        size: [1, size, size],
        channels,
        outputs,
        window: Window::flat(kernel, stride, Padding::Same),
    };
    check(&pictures(65, 3, 32, 3, 2));
    check_depthwise(&pictures(33, 96, 96, 3, 2));
    check_depthwise(&pictures(17, 144, 144, 5, 1));
    check_depthwise(&pictures(9, 720, 720, 5, 2));
}

#[test]
fn tensorflows_same_puts_the_odd_zero_at_the_end() {
    let window = Window::flat(3, 2, Padding::Same);
    assert_eq!(window.output([1, 4, 5]), [1, 2, 3]);
    // Four wide: one zero, behind. Five wide: one on either side.
    let layer = Depthwise::new(&[1.0; 9], &[0.0], window);
    let mut got = [0.0; 2];
    let picture: Vec<f32> = (1..=16).map(|x| x as f32).collect();
    let mut all = [0.0; 4];
    layer.run(Isa::PORTABLE, &Volume::pictures(&picture, 1, [4, 4], 1), None, Out::Rows(&mut all));
    assert_eq!(all, [54.0, 45.0, 72.0, 54.0]);
    layer.run(Isa::PORTABLE, &Volume::pictures(&picture[..4], 1, [1, 4], 1), None, Out::Rows(&mut got));
    assert_eq!(got, [6.0, 7.0]);
}

#[test]
fn what_follows_a_convolution_is_that_of_a_product() {
    let case = Case::new([3, 9, 10], 20, 40, 3, 1);
    let width = case.taps() * case.channels;
    let (x, weights, bias) = (case.input(), noise(2, case.outputs * width), noise(3, case.outputs));
    let mut values = expected(&case, &x, &weights, &bias);
    for (value, _) in &mut values {
        *value = value.clamp(0.0, 6.0);
    }
    let layer = Convolution::new(Matrix::pack(&weights, case.outputs, width, Precision::F32), case.window);
    let epilogue = Epilogue { bias: Some(&bias), activation: Some(Activation::Relu6), scale: None };
    let volume = case.volume(Values::F32(&x));
    for isa in Isa::all() {
        let mut rows = vec![bf16::NAN; values.len()];
        layer.run(isa, &volume, &epilogue, Out::Bf16(&mut rows));
        assert_close(&widened(&rows), &values, f64::from(bf16::EPSILON.to_f32()) / 2.0, "bf16 rows");

        // Side by side with others, which stay as they are.
        let (width, first) = (70, 13);
        let mut wide = vec![-7.0; values.len() / 40 * width];
        layer.run(isa, &volume, &epilogue, Out::Columns(Columns { rows: &mut wide, width, first }));
        let mut wide16 = vec![bf16::NEG_ONE; wide.len()];
        layer.run(isa, &volume, &epilogue, Out::Bf16Columns(Columns { rows: &mut wide16, width, first }));
        let inside = |i: &usize| (first..first + 40).contains(&(i % width));
        let (ours, others): (Vec<usize>, Vec<usize>) = (0..wide.len()).partition(inside);
        assert!(others.iter().all(|i| wide[*i] == -7.0 && wide16[*i] == bf16::NEG_ONE), "columns of others");
        let columns: Vec<f32> = ours.iter().map(|i| wide[*i]).collect();
        assert_close(&columns, &values, 0.0, "columns");
        assert_eq!(ours.iter().map(|i| wide16[*i]).collect::<Vec<_>>(), rows, "bf16 columns");

        let mut sums = vec![1.0; values.len()];
        layer.run(isa, &volume, &epilogue, Out::Add(&mut sums));
        let one_more: Vec<_> = values.iter().map(|(value, bound)| (value + 1.0, bound + 1e-6)).collect();
        assert_close(&sums, &one_more, 0.0, "sums");

        // Into an operand, and out of it by the identity.
        let mut operand = Operand::new(Precision::F32);
        layer.run(isa, &volume, &epilogue, Out::Operand(&mut operand));
        assert_close(&contents(isa, &operand), &values, 0.0, "operand");
    }
}

#[test]
fn pools_fill_operands() {
    let case = Case::new([3, 5, 6], 40, 40, 3, 1);
    let x = case.input();
    for isa in Isa::all() {
        let (mut rows, mut operand) = (vec![f32::NAN; x.len()], Operand::new(Precision::F32));
        max_pool(isa, &case.volume(Values::F32(&x)), &case.window, Out::Rows(&mut rows));
        max_pool(isa, &case.volume(Values::F32(&x)), &case.window, Out::Operand(&mut operand));
        assert_eq!(operand.to_rows(), rows, "{isa}");
    }
}

#[test]
fn depthwise_convolutions_fill_operands() {
    let case = Case { window: Window::flat(3, 1, Padding::Same), ..Case::new([1, 9, 10], 40, 40, 3, 1) };
    let (x, weights, bias) = (case.input(), noise(2, case.taps() * case.channels), noise(3, case.channels));
    let mut values = expected_depthwise(&case, &x, &weights, &bias);
    for (value, _) in &mut values {
        *value = value.clamp(0.0, 6.0);
    }
    let layer = Depthwise::new(&weights, &bias, case.window);
    for isa in Isa::all() {
        for (precision, relative) in [(Precision::F32, 0.0), (Precision::Bf16, 2.0_f64.powi(-8))] {
            let mut operand = Operand::new(precision);
            let volume = case.volume(Values::F32(&x));
            layer.run(isa, &volume, Some(Activation::Relu6), Out::Operand(&mut operand));
            assert_close(&contents(isa, &operand), &values, relative, &format!("operand {isa} {precision}"));
        }
    }
}

/// An operand's values, by a product with the identity.
fn contents(isa: Isa, operand: &Operand) -> Vec<f32> {
    let width = operand.width();
    let identity: Vec<f32> = (0..width * width).map(|i| f32::from(u8::from(i / width == i % width))).collect();
    let identity = Matrix::pack(&identity, width, width, operand.precision());
    let mut values = vec![f32::NAN; operand.rows() * width];
    matmul(isa, operand, &identity, &Epilogue::default(), Out::Rows(&mut values));
    values
}

#[test]
fn nan_stays_where_it_is_seen() {
    for channels in [3, 8, 16, 20] {
        let case = Case { batch: 2, ..Case::new([3, 7, 12], channels, 33, 3, 1) };
        let width = case.taps() * channels;
        let mut x = case.input();
        let site = case.size.iter().product::<usize>() + 12 * 7 + 12 * 3 + 5;
        x[site * channels] = f32::NAN;
        let sees: Vec<bool> = case.seen().iter().map(|seen| seen.iter().any(|(_, from)| *from == site)).collect();
        assert_eq!(sees.iter().filter(|sees| **sees).count(), 27);
        let volume = case.volume(Values::F32(&x));
        for isa in Isa::all() {
            for precision in [Precision::F32, Precision::Bf16] {
                let weights = Matrix::pack(&noise(2, case.outputs * width), case.outputs, width, precision);
                let mut got = vec![0.0; case.sites() * case.outputs];
                let layer = Convolution::new(weights, case.window);
                layer.run(isa, &volume, &Epilogue::default(), Out::Rows(&mut got));
                for (site, got) in got.chunks(case.outputs).enumerate() {
                    assert!(got.iter().all(|x| x.is_nan() == sees[site]), "{isa} {precision} site {site}: {got:?}");
                }
            }
            let layer = Depthwise::new(&noise(2, width), &vec![0.0; channels], case.window);
            let mut got = vec![0.0; case.sites() * channels];
            layer.run(isa, &volume, None, Out::Rows(&mut got));
            for (site, got) in got.chunks(channels).enumerate() {
                let right = |(c, x): (usize, &f32)| x.is_nan() == (sees[site] && c == 0);
                assert!(got.iter().enumerate().all(right), "depthwise {isa} site {site}: {got:?}");
            }
        }
    }
}

#[test]
fn the_average_is_over_all_sites() {
    for channels in [5, 16, 40] {
        let case = Case { batch: 3, ..Case::new([2, 3, 5], channels, 1, 1, 1) };
        // Whole in bf16.
        let x = widened(&rounded(&case.input()));
        let x16 = rounded(&x);
        let sites = 30;
        let expected: Vec<(f64, f64)> = (0..3 * channels)
            .map(|i| {
                let of_item = &x[i / channels * sites * channels..][..sites * channels];
                let values = of_item.iter().skip(i % channels).step_by(channels).map(|x| f64::from(*x));
                let (sum, sizes) = values.fold((0.0, 0.0), |(sum, sizes), x| (sum + x, sizes + x.abs()));
                (sum / 30.0, 31.0 * f64::from(f32::EPSILON) * sizes / 30.0)
            })
            .collect();
        for isa in Isa::all() {
            let mut got = vec![f32::NAN; 3 * channels];
            average_pool(isa, &case.volume(Values::F32(&x)), &mut got);
            assert_close(&got, &expected, 0.0, "average");
            let mut got16 = vec![f32::NAN; 3 * channels];
            average_pool(isa, &case.volume(Values::Bf16(&x16)), &mut got16);
            assert_eq!(got16, got, "{isa}: of bf16");
        }
    }
}

#[test]
#[should_panic(expected = "channels of the input")]
fn another_number_of_channels_is_refused() {
    let layer = Convolution::new(Matrix::pack(&[0.0; 18], 1, 18, Precision::F32), Window::flat(3, 1, Padding::Same));
    let (x, mut out) = ([0.0; 12], [0.0; 4]);
    layer.run(Isa::PORTABLE, &Volume::pictures(&x, 1, [2, 2], 3), &Epilogue::default(), Out::Rows(&mut out));
}

#[test]
#[should_panic(expected = "columns 3 to 5 of at most 4")]
fn columns_beyond_the_rows_are_refused() {
    let (x, mut rows) = ([0.0; 12], [0.0; 16]);
    let columns = Columns { rows: &mut rows, width: 4, first: 3 };
    let window = Window::flat(3, 1, Padding::Same);
    let layer = Convolution::new(Matrix::pack(&[0.0; 54], 2, 27, Precision::F32), window);
    layer.run(Isa::PORTABLE, &Volume::pictures(&x, 1, [2, 2], 3), &Epilogue::default(), Out::Columns(columns));
}

#[test]
#[should_panic(expected = "a kernel of at most 4")]
fn a_kernel_beyond_the_padding_is_refused() {
    Window::flat(5, 1, Padding::Explicit([[0, 0], [1, 1], [1, 1]])).output([1, 2, 2]);
}
