//! Every entry with random sizes: it panics if the documentation says so, and never otherwise.

mod support;

use half::bf16;
use lexivid_kernels::{
    Attention, Epilogue, Heads, Isa, Mask, Matrix, Operand, Out, Precision, Values, attention, layer_norm, matmul,
    rms_norm, softmax,
};
use proptest::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use support::*;

/// Runs `entry`, which is to panic if the sizes do not fit.
fn assert_panics_unless(fits: bool, entry: impl FnOnce()) {
    let panicked = catch_unwind(AssertUnwindSafe(entry)).is_err();
    assert_eq!(panicked, !fits, "panicked (left), and should have (right)");
}

/// Small, with the sizes about which tiles begin.
fn small() -> impl Strategy<Value = usize> {
    prop_oneof![1 => Just(0), 8 => 1..=20usize, 4 => prop::sample::select(&[15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 70])]
}

/// By how much a length is wrong: not at all, as a rule.
fn wrong() -> impl Strategy<Value = isize> {
    prop_oneof![12 => Just(0), 1 => -2..=2isize]
}

fn isa() -> impl Strategy<Value = Isa> {
    prop::sample::select(isas())
}

fn off(len: usize, by: isize) -> usize {
    len.saturating_add_signed(by)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn packing(columns in small(), width in small(), by in [wrong(), wrong()], precision in precision(), seed: u64) {
        let len = off(columns * width, by[0]);
        let up_len = off(columns * width, by[1]);
        let (weights, up) = (values(seed, len), values(seed, up_len));
        let fits = columns > 0 && width > 0 && len == columns * width;
        assert_panics_unless(fits, || drop(Matrix::pack(&weights, columns, width, precision)));
        assert_panics_unless(fits, || drop(Matrix::pack_transposed(&weights, columns, width, precision)));
        let fits = fits && up_len == len && columns.is_multiple_of(16);
        assert_panics_unless(fits, || drop(Matrix::pack_gated(&weights, &up, columns, width, precision)));
    }

    #[test]
    fn rows(isa in isa(), rows in small(), width in small(), by in [wrong(), wrong()], precision in precision(), seed: u64) {
        let mut x = values(seed, off(rows * width, by[0]));
        let (gain, bias) = (values(seed, width), values(seed, off(width, by[1])));
        let fits = width > 0 && x.len().is_multiple_of(width);
        let mut out = operand(precision);
        assert_panics_unless(fits, || out.fill(isa, &x, width));
        assert_panics_unless(fits, || rms_norm(isa, &x, &gain, 1e-5, &mut out));
        assert_panics_unless(fits && bias.len() == width, || layer_norm(isa, &x, &gain, &bias, 1e-5, &mut out));
        assert_panics_unless(fits, || softmax(isa, &mut x, width));
        assert_panics_unless(width > 0, || out.write_rows(isa, rows, width, |row, to| to.fill(row as f32)));
    }

    #[test]
    fn products(
        isa in isa(),
        (m, n, k) in (small(), small(), small()),
        by in [wrong(), wrong(), wrong()],
        precisions in prop_oneof![6 => precision().prop_map(|p| (p, p)), 1 => (precision(), precision())],
        to in (0..5, precision()),
        seed: u64,
    ) {
        let (n, k) = (n.max(1), k.max(1));
        let a = filled(isa, &values(seed, m * k), k, precisions.0);
        let b_width = off(k, by[0]).max(1);
        let b = Matrix::pack(&values(seed ^ 1, n * b_width), n, b_width, precisions.1);
        let bias = values(seed, off(n, by[1]));
        let mut rows = vec![0.0; off(m * n, by[2])];
        let mut rounded = vec![bf16::ZERO; rows.len()];
        let mut next = operand(to.1);
        let has_rows = rows.len() == m * n;
        let (out, out_fits) = match to.0 {
            0 => (Out::Rows(&mut rows), has_rows),
            1 => (Out::Add(&mut rows), has_rows),
            2 => (Out::Bf16(&mut rounded), has_rows),
            3 => (Out::Operand(&mut next), true),
            _ => (Out::Gated(&mut next), n.is_multiple_of(32)),
        };
        let fits = b_width == k && precisions.0 == precisions.1 && bias.len() == n && out_fits;
        assert_panics_unless(fits, || matmul(isa, &a, &b, &Epilogue { bias: Some(&bias), ..Epilogue::default() }, out));
    }

    #[test]
    fn attentions(
        isa in isa(),
        (batch, queries, keys) in (0..=3usize, small(), small()),
        (heads, kv_heads, head_width) in (0..=4usize, 0..=3usize, small()),
        scale in prop_oneof![9 => 0.01f32..1.0, 1 => Just(0.0), 1 => Just(-1.0)],
        (offset, stride) in (0..5usize, wrong()),
        by in [wrong(), wrong(), wrong(), wrong()],
        mask in 0..3usize,
        precision in precision(),
        seed: u64,
    ) {
        let widths = [heads * head_width, kv_heads * head_width, kv_heads * head_width];
        let lengths = [queries, keys, keys].map(|length| batch * length);
        let stride = off(offset + widths[0].max(widths[1]), stride);
        let qkv: [Vec<f32>; 3] = std::array::from_fn(|i| values(seed, off(lengths[i] * stride, by[i])));
        let [q, k, v] = std::array::from_fn(|i| Heads { values: Values::F32(&qkv[i]), stride, offset });
        let added = values(seed, off(queries * keys, by[3]));
        let mask = [Mask::None, Mask::Causal, Mask::Add(&added)][mask];
        let fits = [queries, keys, heads, kv_heads, head_width].iter().all(|size| *size > 0)
            && heads.is_multiple_of(kv_heads)
            && scale > 0.0
            && widths.iter().all(|width| offset + width <= stride)
            && (0..3).all(|i| qkv[i].len() == lengths[i] * stride)
            && (!matches!(mask, Mask::Add(_)) || added.len() == queries * keys);
        let sizes = Attention { batch, queries, keys, heads, kv_heads, head_width, scale, mask };
        let mut out = Operand::new(precision);
        assert_panics_unless(fits, || attention(isa, &sizes, q, k, v, &mut out));
    }
}

#[test]
fn sums_of_bytes_that_would_overflow_are_refused() {
    assert_panics_unless(true, || drop(Matrix::pack(&[1.0; 66_311], 1, 66_311, Precision::Int8)));
    assert_panics_unless(false, || drop(Matrix::pack(&[1.0; 66_312], 1, 66_312, Precision::Int8)));
    let a = filled(Isa::PORTABLE, &[1.0; 66_311], 66_311, Precision::Int8);
    let b = Matrix::pack(&[1.0; 66_311], 1, 66_311, Precision::Int8);
    for isa in isas() {
        let mut sum = [0.0];
        matmul(isa, &a, &b, &Epilogue::default(), Out::Rows(&mut sum));
        assert_within(&isa.to_string(), &sum, &[66_311.0], |_| 8.0 * F32 * 66_311.0);
    }
}
