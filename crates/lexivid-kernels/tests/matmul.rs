//! Products against f64, on every instruction set.

mod support;

use half::bf16;
use lexivid_kernels::{Activation, Epilogue, Isa, Matrix, Operand, Out, Precision, matmul};
use proptest::prelude::*;
use support::*;

const ACTIVATIONS: [Option<Activation>; 7] = [
    None,
    Some(Activation::Gelu),
    Some(Activation::GeluTanh),
    Some(Activation::QuickGelu),
    Some(Activation::Silu),
    Some(Activation::Relu),
    Some(Activation::Relu6),
];

/// The values of a row as a product sees them, by the documentation of [`Precision`].
fn seen(row: &[f32], precision: Precision) -> Vec<f64> {
    match precision {
        Precision::F32 => row.iter().map(|&x| x.into()).collect(),
        Precision::Bf16 => row.iter().map(|&x| bf16::from_f32(x).into()).collect(),
        Precision::Int8 => {
            let row: Vec<f32> = row.iter().map(|&x| bf16::from_f32(x).into()).collect();
            let scale = row.iter().fold(0f32, |greatest, x| greatest.max(x.abs())) / 127.0;
            row.iter().map(|x| f64::from(scale) * f64::from((x * (1.0 / scale)).round_ties_even())).collect()
        }
    }
}

/// The same of a weight's row.
fn seen_weights(row: &[f32], precision: Precision) -> Vec<f64> {
    match precision {
        Precision::Int8 => {
            let scale = row.iter().fold(0f32, |greatest, x| greatest.max(x.abs())) / 127.0;
            row.iter().map(|x| f64::from(scale) * f64::from((x / scale).round())).collect()
        }
        _ => seen(row, precision),
    }
}

fn exact(activation: Option<Activation>, x: f64) -> f64 {
    let swish = |a: f64| x / (1.0 + (-a * x).exp());
    match activation {
        None => x,
        Some(Activation::Gelu) => x * 0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2),
        Some(Activation::GeluTanh) => {
            x / (1.0 + (-2.0 * (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).exp())
        }
        Some(Activation::QuickGelu) => swish(1.702),
        Some(Activation::Silu) => swish(1.0),
        Some(Activation::Relu) if x.is_nan() => x,
        Some(Activation::Relu) => x.max(0.0),
        Some(Activation::Relu6) => x.clamp(0.0, 6.0),
    }
}

/// The error after an activation of a value with an error: no activation is steeper than 1.13.
fn after(activation: Option<Activation>, x: f64, error: f64) -> f64 {
    if activation.is_none() { error } else { 1.13 * error + 2e-7 * x.abs().max(1.0) }
}

#[derive(Debug, Clone)]
struct Case {
    m: usize,
    n: usize,
    k: usize,
    seed: u64,
    precision: Precision,
    scale: Option<f32>,
    has_bias: bool,
    activation: Option<Activation>,
}

fn case() -> impl Strategy<Value = Case> {
    let epilogue = (prop::option::of(-2f32..2.0), any::<bool>(), prop::sample::select(&ACTIVATIONS));
    (size(), size(), size(), any::<u64>(), precision(), epilogue).prop_map(
        |(m, n, k, seed, precision, (scale, has_bias, activation))| Case {
            m,
            n,
            k,
            seed,
            precision,
            scale,
            has_bias,
            activation,
        },
    )
}

/// Inputs of a case, what comes out before the activation, and the error that [`matmul`] states for it.
struct Product {
    a: Vec<f32>,
    w: Vec<f32>,
    bias: Option<Vec<f32>>,
    sums: Vec<f64>,
    errors: Vec<f64>,
}

impl Product {
    fn of(case: &Case) -> Self {
        Self::with(case, values(case.seed, case.m * case.k), values(case.seed ^ 1, case.n * case.k))
    }

    fn with(case: &Case, a: Vec<f32>, w: Vec<f32>) -> Self {
        let &Case { n, k, precision, .. } = case;
        let bias = case.has_bias.then(|| values(case.seed ^ 2, n));
        let seen_a: Vec<f64> = a.chunks(k).flat_map(|row| seen(row, precision)).collect();
        let seen_w: Vec<f64> = w.chunks(k).flat_map(|row| seen_weights(row, precision)).collect();
        let (mut sums, mut errors) = product(&seen_a, &seen_w, k);
        let scale = f64::from(case.scale.unwrap_or(1.0));
        for (i, (sum, error)) in sums.iter_mut().zip(&mut errors).enumerate() {
            let bias = bias.as_ref().map_or(0.0, |bias| f64::from(bias[i % n]));
            *sum = scale * *sum + bias;
            let sizes = if precision == Precision::Int8 {
                let greatest = a[i / n * k..][..k].iter().fold(0f32, |greatest, x| greatest.max(x.abs()));
                let weights: f64 = seen_w[i % n * k..][..k].iter().map(|w| w.abs()).sum();
                f64::from(greatest) * (1.0 + BF16) * weights
            } else {
                *error
            };
            let roundings = if precision == Precision::Int8 { 8 } else { k + 4 };
            *error = roundings as f64 * F32 * (scale.abs() * sizes + bias.abs());
        }
        Self { a, w, bias, sums, errors }
    }

    fn run(&self, isa: Isa, case: &Case, out: Out) {
        let a = filled(isa, &self.a, case.k, case.precision);
        let w = Matrix::pack(&self.w, case.n, case.k, case.precision);
        matmul(isa, &a, &w, &self.epilogue(case), out);
    }

    fn epilogue(&self, case: &Case) -> Epilogue<'_> {
        Epilogue { scale: case.scale, bias: self.bias.as_deref(), activation: case.activation }
    }

    /// Result and error after the activation.
    fn activated(&self, case: &Case) -> (Vec<f64>, Vec<f64>) {
        self.sums
            .iter()
            .zip(&self.errors)
            .map(|(&sum, &error)| (exact(case.activation, sum), after(case.activation, sum, error)))
            .unzip()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// Long enough to be summed up in parts.
    #[test]
    fn parts_of_k_make_a_whole(case in case(), m in 1..100usize, n in 1..300usize, k in 250..1700usize) {
        let case = Case { m, n, k, ..case };
        let product = Product::of(&case);
        let (exact, errors) = product.activated(&case);
        for isa in isas() {
            let mut out = vec![f32::NAN; m * n];
            product.run(isa, &case, Out::Rows(&mut out));
            assert_within(&isa.to_string(), &out, &exact, |i| errors[i]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn rows_are_exact_within_the_bound(case in case()) {
        let product = Product::of(&case);
        let (exact, errors) = product.activated(&case);
        for isa in isas() {
            let mut out = vec![f32::NAN; case.m * case.n];
            product.run(isa, &case, Out::Rows(&mut out));
            assert_within(&isa.to_string(), &out, &exact, |i| errors[i]);
        }
    }

    /// Large enough to be shared out among threads.
    #[test]
    fn parts_make_a_whole(case in case(), m in 200..400usize, n in 200..400usize) {
        let case = Case { m, n, k: case.k.max(53), ..case };
        let product = Product::of(&case);
        let (exact, errors) = product.activated(&case);
        for isa in isas() {
            let mut out = vec![f32::NAN; case.m * case.n];
            product.run(isa, &case, Out::Rows(&mut out));
            assert_within(&isa.to_string(), &out, &exact, |i| errors[i]);
        }
    }

    #[test]
    fn residuals_are_added(case in case()) {
        let product = Product::of(&case);
        let residual = values(case.seed ^ 3, case.m * case.n);
        let (mut exact, errors) = product.activated(&case);
        exact.iter_mut().zip(&residual).for_each(|(exact, residual)| *exact += f64::from(*residual));
        for isa in isas() {
            let mut out = residual.clone();
            product.run(isa, &case, Out::Add(&mut out));
            assert_within(&isa.to_string(), &out, &exact, |i| errors[i] + F32 * (exact[i].abs() + errors[i]));
        }
    }

    #[test]
    fn bf16_results_are_rounded(case in case()) {
        let product = Product::of(&case);
        let (exact, errors) = product.activated(&case);
        for isa in isas() {
            let mut out = vec![bf16::NAN; case.m * case.n];
            product.run(isa, &case, Out::Bf16(&mut out));
            let out: Vec<f32> = out.iter().map(|x| x.to_f32()).collect();
            assert_within(&isa.to_string(), &out, &exact, |i| errors[i] + BF16 * (exact[i].abs() + errors[i]));
        }
    }

    /// Rounded as by [`Operand::fill`] of the rows.
    #[test]
    fn results_go_into_the_next_operand(case in case(), next in precision()) {
        let product = Product::of(&case);
        for isa in isas() {
            let mut rows = vec![f32::NAN; case.m * case.n];
            product.run(isa, &case, Out::Rows(&mut rows));
            let mut out = operand(next);
            product.run(isa, &case, Out::Operand(&mut out));
            prop_assert_eq!((out.rows(), out.width()), (case.m, case.n));
            let expected = contents(&filled(isa, &rows, case.n, next), next);
            assert_identical(&isa.to_string(), &contents(&out, next), &expected);
        }
    }

    #[test]
    fn gates_are_multiplied(case in case(), next in precision()) {
        let case = Case { n: case.n.next_multiple_of(16), activation: None, has_bias: false, ..case };
        let gate = Product::of(&case);
        let up = Product::with(&case, gate.a.clone(), values(case.seed ^ 4, case.n * case.k));
        let (exact, errors): (Vec<f64>, Vec<f64>) = (0..case.m * case.n).map(|i| {
            let silu = exact(Some(Activation::Silu), gate.sums[i]);
            let silu_error = after(Some(Activation::Silu), gate.sums[i], gate.errors[i]);
            let exact = silu * up.sums[i];
            let error = silu.abs() * up.errors[i] + (up.sums[i].abs() + up.errors[i]) * silu_error;
            (exact, error + F32 * (exact.abs() + error))
        }).unzip();
        let greatest: Vec<f64> = exact.chunks(case.n).map(|row| row.iter().fold(0.0, |a, x| x.abs().max(a))).collect();
        for isa in isas() {
            let a = filled(isa, &gate.a, case.k, case.precision);
            let w = Matrix::pack_gated(&gate.w, &up.w, case.n, case.k, case.precision);
            let mut out = operand(next);
            matmul(isa, &a, &w, &Epilogue { scale: case.scale, ..Epilogue::default() }, Out::Gated(&mut out));
            assert_within(&isa.to_string(), &contents(&out, next), &exact, |i| errors[i] + match next {
                Precision::F32 => 0.0,
                Precision::Bf16 => BF16 * (exact[i].abs() + errors[i]),
                // Half a step, after rounding to bf16.
                Precision::Int8 => BF16 * (exact[i].abs() + errors[i]) + 1.01 * (greatest[i / case.n] + errors[i]) / 254.0,
            });
        }
    }

    /// Bit for bit.
    #[test]
    fn rows_do_not_depend_on_each_other(case in case(), row in 0..150usize) {
        let product = Product::of(&case);
        let row = row % case.m;
        let alone = Case { m: 1, ..case.clone() };
        let product_alone = Product::with(&alone, product.a[row * case.k..][..case.k].to_vec(), product.w.clone());
        for isa in isas() {
            let (mut all, mut one) = (vec![f32::NAN; case.m * case.n], vec![f32::NAN; case.n]);
            product.run(isa, &case, Out::Rows(&mut all));
            product_alone.run(isa, &alone, Out::Rows(&mut one));
            assert_identical(&isa.to_string(), &all[row * case.n..][..case.n], &one);
        }
    }

    /// NaN and infinities are where arithmetic has them, and all else is as exact as ever.
    #[test]
    fn what_is_not_finite_stays_in_its_place(case in case(), in_a in places(3), in_w in places(3), both in any::<bool>()) {
        let precision = if case.precision == Precision::Int8 { Precision::Bf16 } else { case.precision };
        let case = Case { precision, ..case };
        let (mut a, mut w) = (values(case.seed, case.m * case.k), values(case.seed ^ 1, case.n * case.k));
        poison(&mut a, &in_a);
        if both {
            poison(&mut w, &in_w);
        }
        let product = Product::with(&case, a, w);
        let (exact, errors) = product.activated(&case);
        let to_next = values(case.seed ^ 5, 8 * case.n).iter().map(|x| x.abs() + 1.0).collect::<Vec<_>>();
        let to_next = Matrix::pack(&to_next, 8, case.n, precision);
        for isa in isas() {
            let mut rows = vec![0.0; case.m * case.n];
            product.run(isa, &case, Out::Rows(&mut rows));
            assert_within(&isa.to_string(), &rows, &exact, |i| errors[i]);
            // What follows shows what the operand holds beyond its width.
            let mut out = operand(precision);
            product.run(isa, &case, Out::Operand(&mut out));
            let [mut next, mut expected] = [(); 2].map(|()| vec![0.0; case.m * 8]);
            matmul(isa, &out, &to_next, &Epilogue::default(), Out::Rows(&mut next));
            let rows = filled(isa, &rows, case.n, precision);
            matmul(isa, &rows, &to_next, &Epilogue::default(), Out::Rows(&mut expected));
            assert_identical(&isa.to_string(), &next, &expected);
        }
    }

    /// Bytes have no NaN: a row of A, or of W, with a value that is not finite makes NaN of all that it has part in.
    #[test]
    fn bytes_that_are_not_finite_make_nan(case in case(), in_a in places(3), in_w in places(3)) {
        let case = Case { precision: Precision::Int8, activation: None, ..case };
        let (mut a, mut w) = (values(case.seed, case.m * case.k), values(case.seed ^ 1, case.n * case.k));
        let mut clean = Product::with(&case, a.clone(), w.clone());
        poison(&mut a, &in_a);
        poison(&mut w, &in_w);
        let is_finite = |row: &[f32]| row.iter().all(|x| x.is_finite());
        for (i, row) in a.chunks(case.k).enumerate() {
            for (j, weights) in w.chunks(case.k).enumerate() {
                if !is_finite(row) || !is_finite(weights) {
                    clean.sums[i * case.n + j] = f64::NAN;
                }
            }
        }
        let product = Product { a, w, ..clean };
        for isa in isas() {
            let mut out = vec![0.0; case.m * case.n];
            product.run(isa, &case, Out::Rows(&mut out));
            assert_within(&isa.to_string(), &out, &product.sums, |i| product.errors[i]);
        }
    }

    #[test]
    fn transposed_weights_are_the_same_weights(case in case()) {
        let product = Product::of(&case);
        let transposed: Vec<f32> = (0..case.k * case.n).map(|i| product.w[i % case.n * case.k + i / case.n]).collect();
        let transposed = Matrix::pack_transposed(&transposed, case.n, case.k, case.precision);
        prop_assert_eq!((transposed.columns(), transposed.width()), (case.n, case.k));
        prop_assert_eq!(transposed.precision(), case.precision);
        for isa in isas() {
            let [mut out, mut expected] = [(); 2].map(|()| vec![f32::NAN; case.m * case.n]);
            let a = filled(isa, &product.a, case.k, case.precision);
            matmul(isa, &a, &transposed, &product.epilogue(&case), Out::Rows(&mut out));
            product.run(isa, &case, Out::Rows(&mut expected));
            assert_identical(&isa.to_string(), &out, &expected);
        }
    }

    /// [`Operand::fill`] and what takes rows from a function.
    #[test]
    fn operands_hold_what_was_written(m in size(), k in size(), seed: u64, precision in precision()) {
        let x = values(seed, m * k);
        let exact: Vec<f64> = x.chunks(k).flat_map(|row| seen(row, precision)).collect();
        for isa in isas() {
            let mut written = operand(precision);
            written.write_rows(isa, m, k, |row, to| to.copy_from_slice(&x[row * k..][..k]));
            for operand in [written, filled(isa, &x, k, precision)] {
                prop_assert_eq!((operand.rows(), operand.width()), (m, k));
                let error = if precision == Precision::Int8 { 8.0 * F32 * 8.0 } else { 0.0 };
                assert_within(&isa.to_string(), &contents(&operand, precision), &exact, |_| error);
            }
        }
    }
}

#[test]
fn a_product_of_no_rows_is_empty() {
    for isa in isas() {
        for precision in PRECISIONS {
            let w = Matrix::pack(&[1.0; 15], 3, 5, precision);
            let a = filled(isa, &[], 5, precision);
            matmul(isa, &a, &w, &Epilogue::default(), Out::Rows(&mut []));
            let mut out = Operand::new(precision);
            matmul(isa, &a, &w, &Epilogue::default(), Out::Operand(&mut out));
            assert_eq!((out.rows(), out.width()), (0, 3));
        }
    }
}
