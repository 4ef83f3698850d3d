//! What a product is cut into, on tiles and on vectors alike.

use bytemuck::{Pod, Zeroable};

/// Rows and columns of a block of the result; two by two tiles.
pub(crate) const BLOCK: usize = 32;
/// Rows of a tile of the left operand, columns of a panel of the right one.
pub(crate) const TILE: usize = 16;

/// A block of the result.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
pub(crate) struct Block(pub [[f32; BLOCK]; BLOCK]);

impl Block {
    pub const ZERO: Self = Self([[0.0; BLOCK]; BLOCK]);
}

/// The panels of two times sixteen columns, each `[K / GROUP][16][GROUP]`, K padded with zeros to whole tile rows.
pub(crate) type Panels<'a, W> = [&'a [W]; 2];
