/// Keys and values of what was read of one text already, of every block of a stack, so that it can be gone on with one token after the other.
#[derive(Debug)]
pub struct Cache {
    /// `[N, 2 G d]` each: keys, rotated, and values.
    pub(super) blocks: Vec<Vec<f32>>,
}
