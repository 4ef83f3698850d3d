//! Norms and softmax against f64, on every instruction set.

mod support;

use lexivid_kernels::{Isa, Operand, Precision, layer_norm, rms_norm, softmax};
use proptest::prelude::*;
use support::*;

/// Normalises rows of `x`; the result as an operand of this precision holds it.
type Norm<'a> = dyn Fn(Isa, &[f32], &mut Operand) + 'a;

#[derive(Debug, Clone)]
struct Case {
    rows: usize,
    width: usize,
    seed: u64,
    /// Added to all values.
    offset: f32,
    eps: f32,
    precision: Precision,
}

fn case() -> impl Strategy<Value = Case> {
    let eps = prop::sample::select(&[1e-5, 1e-6, 1e-12]);
    (size(), size(), any::<u64>(), -20f32..20.0, eps, precision())
        .prop_map(|(rows, width, seed, offset, eps, precision)| Case { rows, width, seed, offset, eps, precision })
}

impl Case {
    fn x(&self) -> Vec<f32> {
        values(self.seed, self.rows * self.width).iter().map(|x| x + self.offset).collect()
    }

    fn gain(&self) -> Vec<f32> {
        values(self.seed ^ 1, self.width)
    }

    fn bias(&self) -> Vec<f32> {
        values(self.seed ^ 2, self.width)
    }

    /// One row in f64, with the error that [`layer_norm`] states, before the rounding to the operand.
    fn exact(&self, row: &[f32], is_rms: bool) -> Vec<(f64, f64)> {
        let width = self.width as f64;
        let row: Vec<f64> = row.iter().map(|&x| x.into()).collect();
        let mean = if is_rms { 0.0 } else { row.iter().sum::<f64>() / width };
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / width;
        let deviation = (variance + f64::from(self.eps)).sqrt();
        let greatest = row.iter().fold(0.0, |a: f64, x| a.max(x.abs()));
        let of_normalised = (width / 32.0 + 64.0) * F32 * greatest / deviation;
        let (gain, bias) = (self.gain(), self.bias());
        row.iter()
            .enumerate()
            .map(|(i, x)| {
                let bias = if is_rms { 0.0 } else { f64::from(bias[i]) };
                let gained = f64::from(gain[i]) * (x - mean) / deviation;
                let rounding = 2.0 * F32 * (gained.abs() + bias.abs());
                (gained + bias, f64::from(gain[i]).abs() * of_normalised + rounding)
            })
            .collect()
    }

    fn check(&self, norm: &Norm, is_rms: bool) {
        let x = self.x();
        let rows: Vec<_> = x.chunks(self.width).map(|row| self.exact(row, is_rms)).collect();
        let greatest: Vec<f64> = rows.iter().map(|row| row.iter().fold(0.0, |a, x| x.0.abs().max(a))).collect();
        let (exact, errors): (Vec<f64>, Vec<f64>) = rows.into_iter().flatten().unzip();
        for isa in isas() {
            let mut out = operand(self.precision);
            norm(isa, &x, &mut out);
            assert_eq!((out.rows(), out.width()), (self.rows, self.width));
            assert_within(&isa.to_string(), &contents(&out, self.precision), &exact, |i| {
                let to_bf16 = BF16 * (exact[i].abs() + errors[i]);
                errors[i]
                    + match self.precision {
                        Precision::F32 => 0.0,
                        Precision::Bf16 => to_bf16,
                        // Half a step besides.
                        Precision::Int8 => to_bf16 + 1.01 * (greatest[i / self.width] + errors[i]) / 254.0,
                    }
            });
        }
    }

    /// All of a row with a value that is not finite is NaN to the product that reads it, and other rows are what they were.
    fn check_poisoned(&self, norm: &Norm, places: &[(usize, f32)]) {
        let x = self.x();
        let mut poisoned = x.clone();
        poison(&mut poisoned, places);
        for isa in isas() {
            let [mut out, mut expected] = [operand(self.precision), operand(self.precision)];
            norm(isa, &poisoned, &mut out);
            norm(isa, &x, &mut expected);
            let mut expected = contents(&expected, self.precision);
            for (expected, row) in expected.chunks_mut(self.width).zip(poisoned.chunks(self.width)) {
                if row.iter().any(|x| !x.is_finite()) {
                    expected.fill(f32::NAN);
                }
            }
            assert_identical(&isa.to_string(), &contents(&out, self.precision), &expected);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn layer_norm_is_exact_within_the_bound(case in case(), places in places(3)) {
        let (gain, bias) = (case.gain(), case.bias());
        let norm = |isa, x: &[f32], out: &mut Operand| layer_norm(isa, x, &gain, &bias, case.eps, out);
        case.check(&norm, false);
        case.check_poisoned(&norm, &places);
    }

    #[test]
    fn rms_norm_is_exact_within_the_bound(case in case(), places in places(3)) {
        let gain = case.gain();
        let norm = |isa, x: &[f32], out: &mut Operand| rms_norm(isa, x, &gain, case.eps, out);
        case.check(&norm, true);
        case.check_poisoned(&norm, &places);
    }

    #[test]
    fn softmax_is_exact_within_the_bound(
        rows in size(), width in size(), seed: u64, factor in 0f32..30.0, places in places(3), poisoned: bool,
    ) {
        let mut x: Vec<f32> = values(seed, rows * width).iter().map(|x| x * factor).collect();
        if poisoned {
            poison(&mut x, &places);
        }
        let (exact, errors): (Vec<f64>, Vec<f64>) = x.chunks(width).flat_map(|row| {
            let greatest = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
            let sum: f64 = row.iter().map(|&x| (f64::from(x) - greatest).exp()).sum();
            row.iter().map(move |&x| {
                let below = f64::from(x) - greatest;
                let exact = below.exp() / sum;
                // Nothing is left of the greatest distances, by which there is nothing to multiply.
                let relative = (width as f64 / 8.0 + below.abs().min(1e3) + 32.0) * F32;
                (exact, relative * exact + f64::from(f32::MIN_POSITIVE))
            })
        }).unzip();
        for isa in isas() {
            let mut out = x.clone();
            softmax(isa, &mut out, width);
            assert_within(&isa.to_string(), &out, &exact, |i| errors[i]);
        }
    }
}

#[test]
fn a_softmax_of_nothing_is_not_a_number() {
    for isa in isas() {
        let mut x = [f32::NEG_INFINITY; 19];
        softmax(isa, &mut x, 19);
        assert!(x.iter().all(|x| x.is_nan()), "{isa}: {x:?}");
    }
}
