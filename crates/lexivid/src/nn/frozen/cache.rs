//! Keys and values of what was read already, so that a text can be gone on with one token after the other.

use super::{Block, Rotary, block::Workspace};
use lexivid_kernels::{Attention, Heads, Mask, Values, attention};

/// Keys and values of one text, of every block of a stack.
#[derive(Debug)]
pub struct Cache {
    /// `[N, 2 G d]` each: keys, rotated, and values.
    pub(super) blocks: Vec<Vec<f32>>,
}

impl Block {
    /// As [`Block::forward`] for `x`, the next T positions of one text, `[T, W]`, of which `cache` has the N before; they are
    /// added to it. `rotary` is for these T positions.
    pub(super) fn extend(&self, x: &mut [f32], cache: &mut Vec<f32>, rotary: &Rotary, workspace: &mut Workspace) {
        let Workspace { narrow, qkv, .. } = workspace;
        self.norm1.apply(self.isa, x, narrow);
        let rows = narrow.rows();
        self.project(narrow, rows, Some(rotary), qkv);
        let sizes = self.attention;
        let stored = 2 * sizes.kv_heads * sizes.head_width;
        for row in qkv.chunks_exact(sizes.stacked()) {
            cache.extend_from_slice(&row[sizes.stacked() - stored..]);
        }
        let q = Heads { values: Values::F32(qkv), stride: sizes.stacked(), offset: 0 };
        let at = |offset| Heads { values: Values::F32(cache), stride: stored, offset };
        let of = Attention { keys: cache.len() / stored, ..sizes.of(1, rows, Mask::Causal) };
        attention(self.isa, &of, q, at(0), at(stored / 2), narrow); // [T, H d]
        self.finish(x, workspace);
    }
}
