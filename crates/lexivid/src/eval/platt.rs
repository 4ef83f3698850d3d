//! Fitting scale and bias: p = sigmoid(scale * s + bias).

use super::EvalError;
use crate::label_embedding::Calibration;

/// Newton steps after which fitting is given up; it takes less than ten as a rule.
const STEPS: usize = 100;

/// The scale and bias that make known pairs of similarity and presence most likely.
///
/// Platt's method (1999) with his targets, (n+ + 1) / (n+ + 2) and 1 / (n- + 2) instead of 1 and 0, so that the scale stays
/// finite where positives and negatives do not overlap; Newton's method with backtracking after Lin, Lin and Weng (2007).
/// The pairs are gone through several times.
///
/// # Errors
/// Without a positive or a negative, and when positives are not more similar than negatives.
pub fn fit(pairs: impl Iterator<Item = (f32, bool)> + Clone) -> Result<Calibration, EvalError> {
    let nothing = |reason: String| EvalError::NothingToFit { reason };
    let (mut positives, mut n, mut sum, mut squares) = (0.0, 0.0, 0.0, 0.0);
    for (s, present) in pairs.clone() {
        let s = f64::from(s);
        (n, sum, squares) = (n + 1.0, sum + s, squares + s * s);
        positives += f64::from(u8::from(present));
    }
    let negatives = n - positives;
    if positives == 0.0 || negatives == 0.0 {
        return Err(nothing(format!("{positives} positives and {negatives} negatives")));
    }
    // Centred and of unit spread, the two parameters are about equally large.
    let centre = sum / n;
    let spread = (squares / n - centre * centre).max(0.0).sqrt();
    if !(spread.is_finite() && spread > 1e-9) {
        return Err(nothing(format!("similarities that are all {centre:.4}")));
    }
    let targets = [1.0 / (negatives + 2.0), (positives + 1.0) / (positives + 2.0)];
    let examples = pairs.map(|(s, present)| ((f64::from(s) - centre) / spread, targets[usize::from(present)]));

    let loss = |a: f64, b: f64| -> f64 { examples.clone().map(|(x, t)| softplus(a * x + b) - t * (a * x + b)).sum() };
    let (mut a, mut b) = (0.0, ((positives + 1.0) / (negatives + 1.0)).ln());
    let mut now = loss(a, b);
    for _ in 0..STEPS {
        let [mut gradient_a, mut gradient_b, mut h_aa, mut h_ab, mut h_bb] = [0.0; 5];
        for (x, t) in examples.clone() {
            let p = 1.0 / (1.0 + (-(a * x + b)).exp());
            let (residual, curvature) = (p - t, p * (1.0 - p));
            (gradient_a, gradient_b) = (gradient_a + residual * x, gradient_b + residual);
            (h_aa, h_ab, h_bb) = (h_aa + curvature * x * x, h_ab + curvature * x, h_bb + curvature);
        }
        if gradient_a.hypot(gradient_b) <= 1e-9 * n {
            break;
        }
        // A ridge far below what matters keeps the matrix invertible where all probabilities are saturated.
        let ridge = 1e-12 * n;
        let (h_aa, h_bb) = (h_aa + ridge, h_bb + ridge);
        let determinant = h_aa * h_bb - h_ab * h_ab;
        let step_a = (h_bb * gradient_a - h_ab * gradient_b) / determinant;
        let step_b = (h_aa * gradient_b - h_ab * gradient_a) / determinant;
        let slope = gradient_a * step_a + gradient_b * step_b;
        let mut size = 1.0;
        loop {
            let (next_a, next_b) = (a - size * step_a, b - size * step_b);
            let next = loss(next_a, next_b);
            if next <= now - 1e-4 * size * slope {
                (a, b, now) = (next_a, next_b, next);
                break;
            }
            size /= 2.0;
            if size < 1e-10 {
                // As good as f64 can tell.
                return calibration(a / spread, b - a * centre / spread);
            }
        }
    }
    calibration(a / spread, b - a * centre / spread)
}

fn calibration(scale: f64, bias: f64) -> Result<Calibration, EvalError> {
    if scale > 0.0 && scale.is_finite() && bias.is_finite() {
        Ok(Calibration { scale: scale as f32, bias: bias as f32 })
    } else {
        Err(EvalError::NothingToFit { reason: format!("a scale of {scale:.4}") })
    }
}

/// ln(1 + e^x).
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}
