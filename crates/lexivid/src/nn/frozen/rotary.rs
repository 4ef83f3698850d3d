use rayon::prelude::*;

/// Rotary position embedding (Su et al., arXiv 2104.09864) of neighbouring pairs, as llama.cpp stores the projections of
/// queries and keys.
#[derive(Debug, Clone)]
pub struct Rotary {
    /// Cosine and sine of position times frequency, `[S][d / 2]`.
    turns: Vec<(f32, f32)>,
    /// d / 2.
    pairs: usize,
}

impl Rotary {
    /// For positions below `length` and heads of `head_width`: pair i turns by base^(-2 i / d) a position.
    pub fn new(length: usize, head_width: usize, base: f32) -> Self {
        let pairs = head_width / 2;
        let turns = (0..length * pairs)
            .map(|at| {
                let angle = (at / pairs) as f32 * base.powf(-((at % pairs) as f32) / pairs as f32);
                (angle.cos(), angle.sin())
            })
            .collect();
        Self { turns, pairs }
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
