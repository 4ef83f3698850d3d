use rayon::prelude::*;
use std::ops::Range;

/// Rotary position embedding (Su et al., arXiv 2104.09864) of neighbouring pairs.
#[derive(Debug, Clone)]
pub struct Rotary {
    /// Cosine and sine of position times frequency, `[S][d / 2]`.
    turns: Vec<(f32, f32)>,
    /// d / 2.
    pairs: usize,
}

impl Rotary {
    /// For these positions, S of them, and pairs that turn by `frequencies`, `[d / 2]`, from one position to the next.
    pub fn new(positions: Range<usize>, frequencies: &[f32]) -> Self {
        let turns = positions
            .flat_map(|position| frequencies.iter().map(move |frequency| position as f32 * frequency))
            .map(|angle| (angle.cos(), angle.sin()))
            .collect();
        Self { turns, pairs: frequencies.len() }
    }

    /// Positions.
    pub fn length(&self) -> usize {
        self.turns.len() / self.pairs
    }

    /// Turns the first `heads` heads of every row of `x`, `[B * S, stride]`, by its position in its sequence of S = `length`;
    /// `back`: the other way, which is what gradients take.
    pub fn turn(&self, x: &mut [f32], stride: usize, heads: usize, length: usize, back: bool) {
        let sign = if back { -1.0 } else { 1.0 };
        x.par_chunks_exact_mut(stride).enumerate().with_min_len(8).for_each(|(row, x)| {
            let turns = &self.turns[row % length * self.pairs..][..self.pairs];
            for head in x[..heads * 2 * self.pairs].chunks_exact_mut(2 * self.pairs) {
                for (pair, (cos, sin)) in head.as_chunks_mut::<2>().0.iter_mut().zip(turns) {
                    let [a, b] = *pair;
                    *pair = [a * cos - sign * b * sin, sign * a * sin + b * cos];
                }
            }
        });
    }
}
