//! Gradients against central differences of f64 references, on every path.

mod support;

use lexivid_kernels::{
    Activation, Attention, Heads, Isa, Mask, Operand, Precision, Values, activate, activation_gradient,
    attention_gradient, gate, gate_gradient, layer_norm_gradient, rms_norm_gradient,
};
use support::{contents, isas, values};

/// d sum(dy * f(x)) / dx by central differences.
fn differences(x: &[f32], dy: &[f32], f: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    const STEP: f64 = 1e-5;
    let x: Vec<f64> = x.iter().map(|&x| x.into()).collect();
    let along = |x: &[f64]| f(x).iter().zip(dy).map(|(y, &dy)| y * f64::from(dy)).sum::<f64>();
    (0..x.len())
        .map(|i| {
            let moved = |by: f64| {
                let mut x = x.clone();
                x[i] += by;
                along(&x)
            };
            (moved(STEP) - moved(-STEP)) / (2.0 * STEP)
        })
        .collect()
}

fn assert_close(what: &str, isa: Isa, got: &[f32], expected: &[f64]) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let size = expected.iter().fold(1.0, |a: f64, b| a.max(b.abs()));
    for (i, (&got, &expected)) in got.iter().zip(expected).enumerate() {
        let error = (f64::from(got) - expected).abs();
        assert!(error < 2e-5 * size, "{what} on {isa} at {i}: {got}, by differences {expected}");
    }
}

/// Rows of `width`, normalised by mean and deviation or by the root mean square.
fn normalised(x: &[f64], gain: &[f32], eps: f64, centred: bool) -> Vec<f64> {
    let row = |x: &[f64]| -> Vec<f64> {
        let n = x.len() as f64;
        let mean = if centred { x.iter().sum::<f64>() / n } else { 0.0 };
        let deviation = (x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n + eps).sqrt();
        x.iter().zip(gain).map(|(x, &gain)| (x - mean) / deviation * f64::from(gain)).collect()
    };
    x.chunks(gain.len()).flat_map(row).collect()
}

#[test]
fn norms() {
    for (rows, width) in [(1, 1), (3, 16), (2, 37), (17, 5)] {
        let (x, dy, gain) = (values(1, rows * width), values(2, rows * width), values(3, width));
        let before = values(4, rows * width);
        for isa in isas() {
            let mut dx = before.clone();
            layer_norm_gradient(isa, &x, &dy, &gain, 0.1, &mut dx);
            let expected = differences(&x, &dy, |x| normalised(x, &gain, f64::from(0.1f32), true));
            let added: Vec<f64> = expected.iter().zip(&before).map(|(a, &b)| a + f64::from(b)).collect();
            assert_close("layer norm", isa, &dx, &added);

            let mut dx = vec![0.0; rows * width];
            rms_norm_gradient(isa, &x, &dy, &gain, 0.1, &mut dx);
            let expected = differences(&x, &dy, |x| normalised(x, &gain, f64::from(0.1f32), false));
            assert_close("RMS norm", isa, &dx, &expected);
        }
    }
}

/// By the series of erf; beyond 4, where its terms cancel badly, that is 1 within 2e-8.
fn gelu(x: f64) -> f64 {
    let z = x / 2f64.sqrt();
    if z.abs() > 4.0 {
        return x.max(0.0);
    }
    let (mut term, mut sum) = (z, z);
    for n in 1..200 {
        term *= -z * z / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    0.5 * x * (1.0 + std::f64::consts::FRAC_2_SQRT_PI * sum)
}

fn swish(x: f64, a: f64) -> f64 {
    x / (1.0 + (-a * x).exp())
}

#[test]
fn activations() {
    let tanh = |x: f64| swish(x, 2.0 * (2.0 / std::f64::consts::PI).sqrt() * (1.0 + 0.044715 * x * x));
    type Function = Box<dyn Fn(f64) -> f64>;
    let functions: [(Activation, Function); 6] = [
        (Activation::Gelu, Box::new(gelu)),
        (Activation::GeluTanh, Box::new(tanh)),
        (Activation::QuickGelu, Box::new(|x| swish(x, 1.702))),
        (Activation::Silu, Box::new(|x| swish(x, 1.0))),
        (Activation::Relu, Box::new(|x| x.max(0.0))),
        (Activation::Relu6, Box::new(|x| x.clamp(0.0, 6.0))),
    ];
    let (rows, width) = (5, 21);
    // No value lies within a step of a corner.
    let (x, dy) = (values(5, rows * width), values(6, rows * width));
    for (activation, function) in functions {
        let reference = |x: &[f64]| -> Vec<f64> { x.iter().map(|&x| function(x)).collect() };
        let expected = differences(&x, &dy, reference);
        for isa in isas() {
            let mut out = Operand::new(Precision::F32);
            activation_gradient(isa, &x, &dy, width, activation, &mut out);
            assert_close(&format!("{activation:?}'"), isa, &contents(&out, Precision::F32), &expected);
            activate(isa, &x, width, activation, &mut out);
            let value = reference(&x.iter().map(|&x| x.into()).collect::<Vec<_>>());
            assert_close(&format!("{activation:?}"), isa, &contents(&out, Precision::F32), &value);
        }
    }
}

#[test]
fn gates() {
    let (rows, width) = (3, 48);
    let (x, dy) = (values(7, rows * 2 * width), values(8, rows * width));
    let reference = |x: &[f64]| -> Vec<f64> {
        x.chunks(32).flat_map(|pair| (0..16).map(|i| swish(pair[i], 1.0) * pair[16 + i]).collect::<Vec<_>>()).collect()
    };
    let expected = differences(&x, &dy, reference);
    for isa in isas() {
        let mut out = Operand::new(Precision::F32);
        gate_gradient(isa, &x, &dy, width, &mut out);
        assert_close("gate'", isa, &contents(&out, Precision::F32), &expected);
        gate(isa, &x, width, &mut out);
        let value = reference(&x.iter().map(|&x| x.into()).collect::<Vec<_>>());
        assert_close("gate", isa, &contents(&out, Precision::F32), &value);
    }
}

/// Stacked `[B * S, (H + 2 G) d]` -> mixed values `[B * S, H d]`.
fn mixed(x: &[f64], sizes: &Attention) -> Vec<f64> {
    let &Attention { batch, queries: n, heads, kv_heads, head_width: d, scale, mask, .. } = sizes;
    let stride = (heads + 2 * kv_heads) * d;
    let mut out = vec![0.0; batch * n * heads * d];
    for (item, query, head) in (0..batch * n * heads).map(|i| (i / heads / n, i / heads % n, i % heads)) {
        let vector = |row: usize, head: usize| &x[(item * n + row) * stride + head * d..][..d];
        let group = head / (heads / kv_heads);
        let seen = if matches!(mask, Mask::Causal) { query + 1 } else { n };
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let weights: Vec<f64> = (0..seen)
            .map(|key| (dot(vector(query, head), vector(key, heads + group)) * f64::from(scale)).exp())
            .collect();
        let sum: f64 = weights.iter().sum();
        for (key, weight) in weights.iter().enumerate() {
            let to = &mut out[(item * n + query) * heads * d + head * d..][..d];
            for (to, v) in to.iter_mut().zip(vector(key, heads + kv_heads + group)) {
                *to += weight / sum * v;
            }
        }
    }
    out
}

#[test]
fn attentions() {
    for (batch, n, heads, kv_heads, head_width) in [(1, 1, 1, 1, 4), (2, 5, 4, 2, 6), (1, 35, 2, 1, 3)] {
        for mask in [Mask::None, Mask::Causal] {
            let sizes = Attention { batch, queries: n, keys: n, heads, kv_heads, head_width, scale: 0.3, mask };
            let stride = (heads + 2 * kv_heads) * head_width;
            let x: Vec<f32> = values(9, batch * n * stride).iter().map(|x| x / 4.0).collect();
            let dy = values(10, batch * n * heads * head_width);
            let expected = differences(&x, &dy, |x| mixed(x, &sizes));
            for isa in isas() {
                let part = |head: usize| Heads { values: Values::F32(&x), stride, offset: head * head_width };
                let mut gradient = vec![f32::NAN; x.len()];
                let parts = [part(0), part(heads), part(heads + kv_heads)];
                attention_gradient(isa, &sizes, parts, &dy, &mut gradient);
                assert_close(&format!("{sizes:?}"), isa, &gradient, &expected);
            }
        }
    }
}
