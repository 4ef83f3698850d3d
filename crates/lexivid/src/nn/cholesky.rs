//! Solving symmetric positive definite systems, in double precision.

use rayon::prelude::*;

/// Solves `A X = B` by Cholesky's factorisation A = L L^T. `a`: `[n, n]` row-major, symmetric; `b`: `[n, m]` row-major,
/// overwritten with X. `None` when A is not positive definite.
pub fn solve_positive_definite(mut a: Vec<f64>, b: &mut [f64], n: usize) -> Option<()> {
    factorise(&mut a, n)?;
    let m = b.len() / n;
    // Every column of B is its own system: transposed, they are contiguous and run in parallel.
    let mut columns: Vec<f64> = (0..m).flat_map(|j| (0..n).map(move |i| (i, j))).map(|(i, j)| b[i * m + j]).collect();
    // L^T by rows, so that the second substitution reads along rows too.
    let upper: Vec<f64> = (0..n * n).map(|at| a[at % n * n + at / n]).collect();
    columns.par_chunks_mut(n).for_each(|x| {
        for i in 0..n {
            x[i] = (x[i] - dot(&a[i * n..i * n + i], &x[..i])) / a[i * n + i]; // L y = b
        }
        for i in (0..n).rev() {
            x[i] = (x[i] - dot(&upper[i * n + i + 1..(i + 1) * n], &x[i + 1..])) / a[i * n + i]; // L^T x = y
        }
    });
    for (at, value) in b.iter_mut().enumerate() {
        *value = columns[at % m * n + at / m];
    }
    Some(())
}

/// The lower triangle of `a` becomes L, column by column.
fn factorise(a: &mut [f64], n: usize) -> Option<()> {
    for j in 0..n {
        let (above, below) = a.split_at_mut((j + 1) * n);
        let row = &mut above[j * n..];
        let square = row[j] - dot(&row[..j], &row[..j]);
        if square <= 0.0 || square.is_nan() {
            return None;
        }
        row[j] = square.sqrt();
        let row = &*row;
        below.par_chunks_mut(n).for_each(|other| {
            other[j] = (other[j] - dot(&other[..j], &row[..j])) / row[j];
        });
    }
    Some(())
}

/// Eight sums side by side, which lets the compiler use vector registers.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut sums = [0.0; 8];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f64>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::pseudo_random::pseudo_random;

    #[test]
    fn solves_what_it_was_given() {
        let (n, m) = (37, 3);
        let half: Vec<f64> = pseudo_random(1, n * n).into_iter().map(f64::from).collect();
        let mut a = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..n {
                a[i * n + j] = dot(&half[i * n..][..n], &half[j * n..][..n]) + if i == j { 0.1 } else { 0.0 };
            }
        }
        let x: Vec<f64> = pseudo_random(2, n * m).into_iter().map(f64::from).collect();
        let mut b = vec![0.0; n * m];
        for i in 0..n {
            for j in 0..m {
                b[i * m + j] = (0..n).map(|k| a[i * n + k] * x[k * m + j]).sum();
            }
        }
        solve_positive_definite(a, &mut b, n).expect("positive definite");
        let worst = b.iter().zip(&x).map(|(b, x)| (b - x).abs()).fold(0.0, f64::max);
        assert!(worst < 1e-9, "max abs difference {worst}");
    }

    #[test]
    fn refuses_indefinite_matrices() {
        assert!(solve_positive_definite(vec![1.0, 2.0, 2.0, 1.0], &mut [1.0, 1.0], 2).is_none());
    }
}
