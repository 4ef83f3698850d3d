use crate::{
    Isa,
    aligned::Aligned,
    attention::{Attention, Heads, Mask, Values},
    block::{BLOCK, Block, TILE},
    matrix::panel_len,
    norm::lanes,
    operand::blocks,
    product::Element,
    shared::Shared,
    simd::{Kernel, LANES, Simd, math},
};
use rayon::prelude::*;
use std::cell::RefCell;

/// The gradients of [`crate::attention`] with respect to queries, keys and values. `dy`: that of the mixed values, `[B * S, heads * d]`. `dq`, `dk`
/// and `dv` are overwritten where the heads of `q`, `k` and `v` lie, so that the three may be parts of one stacked buffer `[B * S, stride]`: `q`, `k`
/// and `v` have the same length, stride and f32 values, and so has `gradient`.
///
/// With P the weights: dV = P^T dY, dP = dY V^T, dS = P * (dP - rowsum(P * dP)) * scale, dQ = dS K, dK = dS^T Q.
pub fn attention_gradient(isa: Isa, sizes: &Attention, [q, k, v]: [Heads; 3], dy: &[f32], gradient: &mut [f32]) {
    let &Attention { batch, queries, keys, heads, kv_heads, head_width: d, mask, .. } = sizes;
    assert_eq!(queries, keys, "queries and keys of one sequence");
    assert!(kv_heads > 0 && heads.is_multiple_of(kv_heads), "{heads} heads to share {kv_heads} heads of keys");
    assert!(!matches!(mask, Mask::Add(_)), "a gradient through no mask or the causal one");
    let stride = q.stride;
    assert!(stride == k.stride && stride == v.stride, "queries, keys and values in rows of one length");
    assert_eq!(dy.len(), batch * queries * heads * d, "values of the gradient, [{}, {}]", batch * queries, heads * d);
    assert_eq!(gradient.len(), batch * queries * stride, "values of the gradients");
    let stacked = [q, k, v].map(|part| match part.values {
        Values::F32(values) if values.len() == gradient.len() => values,
        _ => panic!("f32 queries, keys and values of [{}, {stride}]", batch * queries),
    });
    let gradient = Shared::new(gradient);
    (0..batch * kv_heads).into_par_iter().for_each(|i| {
        let (item, group) = (i / kv_heads, i % kv_heads);
        isa.run(Group { sizes, offsets: [q.offset, k.offset, v.offset], stride, stacked, dy, gradient, item, group });
    });
}

/// One head of keys and values of one sequence, and the heads of queries that it serves.
struct Group<'a> {
    sizes: &'a Attention<'a>,
    offsets: [usize; 3],
    stride: usize,
    stacked: [&'a [f32]; 3],
    dy: &'a [f32],
    gradient: Shared<'a, f32>,
    item: usize,
    group: usize,
}

/// An `[rows, columns]` matrix somewhere in a slice.
#[derive(Clone, Copy)]
struct View<'a> {
    values: &'a [f32],
    start: usize,
    row: usize,
    column: usize,
}

impl<'a> View<'a> {
    fn transposed(self) -> Self {
        Self { row: self.column, column: self.row, ..self }
    }

    fn square(values: &'a [f32], side: usize) -> Self {
        Self { values, start: 0, row: side, column: 1 }
    }
}

thread_local! {
    /// Packed operands; the weights and their gradients `[S, S]`; sums of dK and dV `[S, d]`.
    static SCRATCH: RefCell<[Aligned<f32>; 6]> = RefCell::new(std::array::from_fn(|_| Aligned::zeroed(0)));
}

impl Kernel for Group<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let &Attention { queries: n, heads, kv_heads, head_width: d, scale, mask, .. } = self.sizes;
        let served = heads / kv_heads;
        let padded = n.next_multiple_of(LANES);
        let first_row = self.item * n;
        let view = |part: usize, head: usize| View {
            values: self.stacked[part],
            start: first_row * self.stride + self.offsets[part] + head * d,
            row: self.stride,
            column: 1,
        };
        // Not `with_borrow_mut`: what is in its closure would not be compiled for the instruction set.
        let mut scratch = SCRATCH.take();
        let [left, right, weights, gradients, dk, dv] = &mut scratch;
        weights.resize(n * padded);
        gradients.resize(n * padded);
        dk.resize(n * d);
        dv.resize(n * d);
        dk.fill(0.0);
        dv.fill(0.0);
        let (k, v) = (view(1, self.group), view(2, self.group));
        for head in self.group * served..(self.group + 1) * served {
            let q = view(0, head);
            let dy = View { values: self.dy, start: first_row * heads * d + head * d, row: heads * d, column: 1 };
            // P [n, n]
            product(s, q, k, (n, n, d), [left, right], |row, column, x| put(s, weights, padded, row, column, x));
            for row in 0..n {
                let seen = if matches!(mask, Mask::Causal) { row + 1 } else { n };
                softmax(s, &mut weights[row * padded..][..padded], seen, scale);
            }
            // dP [n, n], then dS
            product(s, dy, v, (n, n, d), [left, right], |row, column, x| put(s, gradients, padded, row, column, x));
            for row in 0..n {
                let at = row * padded..(row + 1) * padded;
                through_softmax(s, &weights[at.clone()], &mut gradients[at], scale);
            }
            let p = View { row: padded, ..View::square(weights, n) };
            product(s, p.transposed(), dy.transposed(), (n, d, n), [left, right], |row, column, x| {
                add(&mut dv[row * d..][..d], column, x);
            });
            let ds = View { row: padded, ..View::square(gradients, n) };
            product(s, ds.transposed(), q.transposed(), (n, d, n), [left, right], |row, column, x| {
                add(&mut dk[row * d..][..d], column, x);
            });
            product(s, ds, k.transposed(), (n, d, n), [left, right], |row, column, x| {
                let start = (first_row + row) * self.stride + self.offsets[0] + head * d + column;
                let end = start + x.len().min(d - column);
                // SAFETY: a head of queries is one task's.
                let to = unsafe { self.gradient.part(start..end) };
                to.copy_from_slice(&x[..to.len()]);
            });
        }
        for (part, values) in [(1, dk), (2, dv)] {
            for (row, values) in values.chunks_exact(d).enumerate() {
                let start = (first_row + row) * self.stride + self.offsets[part] + self.group * d;
                // SAFETY: a head of keys or values is one task's.
                unsafe { self.gradient.part(start..start + d) }.copy_from_slice(values);
            }
        }
        SCRATCH.set(scratch);
    }
}

#[inline(always)]
fn put<S: Simd>(_: S, to: &mut [f32], stride: usize, row: usize, column: usize, x: &[f32; BLOCK]) {
    let end = stride.min(column + BLOCK);
    to[row * stride + column..row * stride + end].copy_from_slice(&x[..end - column]);
}

#[inline(always)]
fn add(to: &mut [f32], column: usize, x: &[f32; BLOCK]) {
    for (to, x) in to[column..].iter_mut().zip(x) {
        *to += x;
    }
}

/// Weights of the first `seen` scores, in place; 0 for the others.
#[inline(always)]
fn softmax<S: Simd>(s: S, scores: &mut [f32], seen: usize, scale: f32) {
    scores[seen..].fill(f32::NEG_INFINITY);
    let scores = scores.as_chunks_mut::<LANES>().0;
    let mut greatest = s.splat(f32::NEG_INFINITY);
    for x in scores.iter() {
        greatest = s.max(greatest, s.load(x));
    }
    let greatest = s.splat(s.maximum(greatest) * scale);
    let mut sum = s.splat(0.0);
    for x in scores.iter_mut() {
        let weight = math::exp(s, s.sub(s.mul(s.load(x), s.splat(scale)), greatest));
        sum = s.add(sum, weight);
        s.store(weight, x);
    }
    let inverse = s.splat(1.0 / s.sum(sum));
    for x in scores.iter_mut() {
        s.store(s.mul(s.load(x), inverse), x);
    }
}

/// dP -> dS of one row.
#[inline(always)]
fn through_softmax<S: Simd>(s: S, weights: &[f32], gradients: &mut [f32], scale: f32) {
    let (weights, gradients) = (weights.as_chunks::<LANES>().0, gradients.as_chunks_mut::<LANES>().0);
    let mut sum = s.splat(0.0);
    for (p, dp) in weights.iter().zip(gradients.iter()) {
        sum = s.mul_add(s.load(p), s.load(dp), sum);
    }
    let sum = s.splat(s.sum(sum));
    for (p, dp) in weights.iter().zip(gradients.iter_mut()) {
        let ds = s.mul(s.mul(s.load(p), s.sub(s.load(dp), sum)), s.splat(scale));
        s.store(ds, dp);
    }
}

/// Up to sixteen rows and columns of a view.
#[inline(always)]
fn put_tile<S: Simd>(s: S, from: View, rows: usize, columns: usize, tile: &mut [[f32; LANES]; TILE]) {
    let (rows, columns) = (rows.min(TILE), columns.min(LANES));
    if rows == 0 || columns == 0 {
        return;
    }
    let values = &from.values[from.start..];
    if from.column == 1 {
        for (row, to) in tile.iter_mut().take(rows).enumerate() {
            let values = &values[row * from.row..][..columns];
            s.store(lanes(s, values, 0.0), to);
        }
    } else {
        for column in 0..columns {
            for (row, value) in values[column * from.column..].iter().step_by(from.row).take(rows).enumerate() {
                tile[row][column] = *value;
            }
        }
    }
}

/// A B^T, A `[m, k]`, B `[n, k]`; `each` gets the rows of its blocks.
#[inline(always)]
fn product<S: Simd>(
    s: S,
    a: View,
    b: View,
    (m, n, k): (usize, usize, usize),
    [left, right]: [&mut Aligned<f32>; 2],
    mut each: impl FnMut(usize, usize, &[f32; BLOCK]),
) {
    let of_tiles = blocks::<f32>(k) * TILE * f32::ROW;
    left.resize(m.next_multiple_of(BLOCK) / TILE * of_tiles);
    left.fill(0.0);
    for (row, to) in left.chunks_exact_mut(of_tiles).enumerate() {
        let count = m.saturating_sub(row * TILE).min(TILE);
        for (block, tile) in to.as_chunks_mut::<LANES>().0.as_chunks_mut::<TILE>().0.iter_mut().enumerate() {
            put_tile(
                s,
                View { start: a.start + row * TILE * a.row + block * LANES * a.column, ..a },
                count,
                k - block * LANES,
                tile,
            );
        }
    }
    let panel = panel_len::<f32>(k);
    right.resize(n.next_multiple_of(BLOCK) / TILE * panel);
    right.fill(0.0);
    for (column, to) in right.chunks_exact_mut(panel).enumerate() {
        let count = n.saturating_sub(column * TILE).min(TILE);
        let b = b.transposed();
        for (block, tile) in to.as_chunks_mut::<LANES>().0.as_chunks_mut::<TILE>().0.iter_mut().enumerate() {
            put_tile(
                s,
                View { start: b.start + block * TILE * b.row + column * LANES * b.column, ..b },
                k - block * TILE,
                count,
                tile,
            );
        }
    }
    let mut block = Block::ZERO;
    for column in (0..n).step_by(BLOCK) {
        let b = &right[column / TILE * panel..][..2 * panel];
        for row in (0..m).step_by(BLOCK) {
            let a = &left[row / TILE * of_tiles..][..2 * of_tiles];
            let rows = BLOCK.min(m - row);
            f32::product(s, false, [&a[..of_tiles], &a[of_tiles..]], [&b[..panel], &b[panel..]], rows, &mut block);
            for (r, values) in block.0[..rows].iter().enumerate() {
                each(row + r, column, values);
            }
        }
    }
}
