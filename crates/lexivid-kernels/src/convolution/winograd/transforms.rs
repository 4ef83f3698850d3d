//! G, B and A of F(4, 3) and F(3, 4): both see six values at a time, and have the points 0, 1, -1, 2, -2 and infinity in common (Lavin and
//! Gray, arXiv 1509.09308, section 4.3).

use super::{super::number::Number, ELEMENTS, IN};
use crate::{
    block::{BLOCK, Block},
    simd::{LANES, Simd},
};

/// G of a kernel of this many taps: what one tap gives to one element.
pub(super) fn g(element: usize, tap: usize, taps: usize) -> f64 {
    const POINTS: [(f64, f64); IN - 1] =
        [(0.0, 1.0 / 4.0), (1.0, -1.0 / 6.0), (-1.0, -1.0 / 6.0), (2.0, 1.0 / 24.0), (-2.0, 1.0 / 24.0)];
    match POINTS.get(element) {
        Some((point, scale)) => scale * point.powi(tap as i32),
        None => f64::from(tap + 1 == taps),
    }
}

/// B^T d.
#[inline(always)]
fn forward_line<S: Simd>(s: S, d: [S::F; IN]) -> [S::F; IN] {
    let (two, four, five) = (s.splat(2.0), s.splat(-4.0), s.splat(-5.0));
    let (even, odd) = (s.mul_add(four, d[2], d[4]), s.mul_add(four, d[1], d[3]));
    let (even_2, odd_2) = (s.sub(d[4], d[2]), s.mul(two, s.sub(d[3], d[1])));
    let quadruple = |x| s.mul(s.splat(4.0), x);
    [
        s.mul_add(five, d[2], s.add(quadruple(d[0]), d[4])),
        s.add(even, odd),
        s.sub(even, odd),
        s.add(even_2, odd_2),
        s.sub(even_2, odd_2),
        s.mul_add(five, d[3], s.add(quadruple(d[1]), d[5])),
    ]
}

/// A^T m.
#[inline(always)]
fn inverse_line<S: Simd, const OUT: usize>(s: S, m: [S::F; IN]) -> [S::F; OUT] {
    let (near, near_odd) = (s.add(m[1], m[2]), s.sub(m[1], m[2]));
    let (far, far_odd) = (s.add(m[3], m[4]), s.sub(m[3], m[4]));
    let finite = [
        s.add(s.add(m[0], near), far),
        s.mul_add(s.splat(2.0), far_odd, near_odd),
        s.mul_add(s.splat(4.0), far, near),
        s.mul_add(s.splat(8.0), far_odd, near_odd),
    ];
    let mut y = [s.splat(0.0); OUT];
    y.copy_from_slice(&finite[..OUT]);
    y[OUT - 1] = s.add(y[OUT - 1], m[5]);
    y
}

/// B^T d B for sixteen channels from `channel` on: `places`, where the elements of d begin in `x`, zeros where there is none. Element i goes to
/// `to[i * step..]`.
#[inline(always)]
pub(super) fn forward<S: Simd, X: Number>(
    s: S,
    x: &[X],
    places: &[Option<usize>; ELEMENTS],
    channel: usize,
    to: &mut [f32],
    step: usize,
) {
    let mut half = [[s.splat(0.0); IN]; IN];
    for column in 0..IN {
        let mut line = [s.splat(0.0); IN];
        for (row, to) in line.iter_mut().enumerate() {
            if let Some(at) = places[row * IN + column] {
                *to = X::load(s, x[at + channel..].first_chunk().expect("sixteen channels"));
            }
        }
        for (row, value) in forward_line(s, line).into_iter().enumerate() {
            half[row][column] = value;
        }
    }
    for (row, line) in half.into_iter().enumerate() {
        for (column, value) in forward_line(s, line).into_iter().enumerate() {
            let to = &mut to[(row * IN + column) * step..];
            s.store(value, to.first_chunk_mut().expect("sixteen channels"));
        }
    }
}

/// A^T M A of one row of the 36 products, which are `step` blocks apart: the outputs of one tile, 32 columns each.
#[inline(always)]
pub(super) fn inverse<S: Simd, const OUT: usize>(
    s: S,
    products: &[Block],
    step: usize,
    row: usize,
) -> [[[f32; BLOCK]; OUT]; OUT] {
    let mut pixels = [[[0.0; BLOCK]; OUT]; OUT];
    for first in [0, LANES] {
        let mut half = [[s.splat(0.0); IN]; OUT];
        for column in 0..IN {
            let mut line = [s.splat(0.0); IN];
            for (i, to) in line.iter_mut().enumerate() {
                let values = &products[(i * IN + column) * step].0[row];
                *to = s.load(values[first..].first_chunk().expect("sixteen columns"));
            }
            for (i, value) in inverse_line::<S, OUT>(s, line).into_iter().enumerate() {
                half[i][column] = value;
            }
        }
        for (y, line) in half.into_iter().enumerate() {
            for (x, value) in inverse_line::<S, OUT>(s, line).into_iter().enumerate() {
                s.store(value, pixels[y][x][first..].first_chunk_mut().expect("sixteen columns"));
            }
        }
    }
    pixels
}
