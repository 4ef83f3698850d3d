//! softmax(scale Q K^T + mask) V (Vaswani et al., arXiv 1706.03762), a head at a time, without the matrix of all scores.

use crate::{
    Isa, Operand,
    block::{BLOCK, Block, TILE},
    matrix::panel_len,
    operand::{Tiles, Writer, blocks},
    product::Element,
    scratch::{Cut, SCRATCH},
    simd::{Kernel, LANES, Simd, math},
};
use half::bf16;
use rayon::prelude::*;

/// Sizes of an attention.
#[derive(Debug, Clone, Copy)]
pub struct Attention<'a> {
    /// Independent sequences B.
    pub batch: usize,
    /// Length S of each sequence of queries.
    pub queries: usize,
    /// Length N of each sequence of keys and values.
    pub keys: usize,
    /// Heads of the queries.
    pub heads: usize,
    /// Heads of keys and values; each serves `heads / kv_heads` heads of queries in a row.
    pub kv_heads: usize,
    /// Width d of a head.
    pub head_width: usize,
    /// Positive factor on the scores; 1 / sqrt(d) as a rule.
    pub scale: f32,
    /// Who sees whom.
    pub mask: Mask<'a>,
}

/// What is added to the scores. A hidden key's value has weight 0, so it must be finite all the same.
#[derive(Debug, Clone, Copy)]
pub enum Mask<'a> {
    /// Nothing.
    None,
    /// The last query sees all keys, every other one as many fewer as it comes before the last, but at least one.
    Causal,
    /// These, `[S, N]`; minus infinity hides a key, which must be finite. A query that sees no key gets NaN.
    Add(&'a [f32]),
}

/// Vectors of all heads, row after row.
#[derive(Debug, Clone, Copy)]
pub struct Heads<'a> {
    /// `[B * length, stride]`.
    pub values: Values<'a>,
    /// Values from one row to the next.
    pub stride: usize,
    /// Where in a row the first head begins.
    pub offset: usize,
}

/// Numbers in one of two types.
#[derive(Debug, Clone, Copy)]
pub enum Values<'a> {
    /// As they are.
    F32(&'a [f32]),
    /// Rounded.
    Bf16(&'a [bf16]),
}

/// The mixed values, `[B * S, heads * d]`, into the left operand of a product. Products are bf16 unless that is an f32 operand or those are no
/// faster ([`Isa::multiplies_bf16`]); the softmax is f32.
///
/// Error against exact arithmetic on the same (rounded) inputs, before the rounding of the result: below max |v| (2 E + (2 N + 40) 2^-24), and
/// 2^-8 max |v| more with products of bf16; E = (d + 8) 2^-24 max (scale sum |q k| + |mask|) is the error of the scores. A row
/// does not depend on other queries.
///
/// # Panics
/// If shapes do not fit, there is nothing to attend to, or the scale is not positive.
pub fn attention(isa: Isa, sizes: &Attention, q: Heads, k: Heads, v: Heads, out: &mut Operand) {
    let &Attention { batch, queries, keys, heads, kv_heads, head_width, mask, .. } = sizes;
    assert!(queries > 0 && keys > 0 && heads > 0 && head_width > 0, "something to attend to, got {sizes:?}");
    assert!(sizes.scale > 0.0, "a positive scale, got {}", sizes.scale);
    assert!(kv_heads > 0 && heads.is_multiple_of(kv_heads), "{heads} heads to share {kv_heads} heads of keys");
    q.check(batch * queries, heads * head_width);
    k.check(batch * keys, kv_heads * head_width);
    v.check(batch * keys, kv_heads * head_width);
    if let Mask::Add(mask) = mask {
        assert_eq!(mask.len(), queries * keys, "values of the mask, [{queries}, {keys}]");
    }
    let in_f32 = matches!(out.tiles, Tiles::F32(_)) || !isa.multiplies_bf16();
    let writer = out.begin(batch * queries, heads * head_width);
    (0..batch * heads).into_par_iter().for_each(|i| {
        let (item, head) = (i / heads, i % heads);
        if in_f32 {
            isa.run(Head::<f32> { isa, sizes, q, k, v, item, head, writer, of: std::marker::PhantomData });
        } else {
            isa.run(Head::<bf16> { isa, sizes, q, k, v, item, head, writer, of: std::marker::PhantomData });
        }
    });
    out.complete(isa);
}

impl Heads<'_> {
    fn check(&self, rows: usize, width: usize) {
        let len = match self.values {
            Values::F32(values) => values.len(),
            Values::Bf16(values) => values.len(),
        };
        assert!(self.offset + width <= self.stride, "heads of {width} values within rows of {}", self.stride);
        assert_eq!(len, rows * self.stride, "values of [{rows}, {}]", self.stride);
    }
}

/// What attention multiplies.
trait Multiplied: Element<Weight = Self> {
    /// `from[at ..]`, as many as `to` holds: as they are, or converted into `to`.
    fn read<'a, S: Simd>(s: S, from: Values<'a>, at: usize, to: &'a mut [Self]) -> &'a [Self];
    /// Sixteen values.
    fn write<S: Simd>(s: S, x: S::F, to: &mut [Self]);
}

impl Multiplied for f32 {
    #[inline(always)]
    fn read<'a, S: Simd>(s: S, from: Values<'a>, at: usize, to: &'a mut [f32]) -> &'a [f32] {
        match from {
            Values::F32(values) => &values[at..at + to.len()],
            Values::Bf16(values) => {
                let from = &values[at..at + to.len()];
                for (to, from) in to.chunks_mut(LANES).zip(from.chunks(LANES)) {
                    match (to.as_mut_array(), from.as_array()) {
                        (Some(to), Some(from)) => s.store(s.load_bf16(from), to),
                        _ => to.iter_mut().zip(from).for_each(|(to, from)| *to = from.to_f32()),
                    }
                }
                to
            }
        }
    }
    #[inline(always)]
    fn write<S: Simd>(s: S, x: S::F, to: &mut [f32]) {
        s.store(x, to.try_into().expect("sixteen"));
    }
}

impl Multiplied for bf16 {
    #[inline(always)]
    fn read<'a, S: Simd>(s: S, from: Values<'a>, at: usize, to: &'a mut [bf16]) -> &'a [bf16] {
        match from {
            Values::Bf16(values) => &values[at..at + to.len()],
            Values::F32(values) => {
                let from = &values[at..at + to.len()];
                for (to, from) in to.chunks_mut(LANES).zip(from.chunks(LANES)) {
                    let mut lanes = [bf16::ZERO; LANES];
                    s.store_bf16(s.load_part(from, 0.0), &mut lanes);
                    to.copy_from_slice(&lanes[..to.len()]);
                }
                to
            }
        }
    }
    #[inline(always)]
    fn write<S: Simd>(s: S, x: S::F, to: &mut [bf16]) {
        s.store_bf16(x, to.try_into().expect("sixteen"));
    }
}

/// One head of one sequence.
struct Head<'a, T> {
    isa: Isa,
    sizes: &'a Attention<'a>,
    q: Heads<'a>,
    k: Heads<'a>,
    v: Heads<'a>,
    item: usize,
    head: usize,
    writer: Writer<'a>,
    of: std::marker::PhantomData<T>,
}

impl<T: Multiplied> Kernel for Head<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let &Attention { queries, keys, heads, kv_heads, head_width: d, .. } = self.sizes;
        let kv_head = self.head / (heads / kv_heads);
        let padded = keys.next_multiple_of(T::ROW.max(BLOCK));
        let k_len = padded / TILE * panel_len::<T>(d);
        let v_len = d.next_multiple_of(BLOCK) / TILE * padded * TILE;
        let q_len = BLOCK * d.next_multiple_of(T::ROW);
        let bytes = Cut::bytes::<T>(k_len)
            + Cut::bytes::<T>(v_len)
            + Cut::bytes::<T>(q_len)
            + Cut::bytes::<T>(BLOCK * padded)
            + Cut::bytes::<f32>(BLOCK * padded)
            + 2 * Cut::bytes::<T>(d);
        // SAFETY: there is such an `Isa` only where AMX is present or emulated.
        #[cfg(target_arch = "x86_64")]
        let _tiles = self.isa.has_tiles().then(|| unsafe { crate::amx::Tiles::configure() });
        // Not `with_borrow_mut`: a closure that is not inlined is not compiled for the instruction set.
        let mut scratch = SCRATCH.take();
        scratch.resize(bytes);
        let mut cut = Cut(&mut scratch);
        let (k, v, q) = (cut.off::<T>(k_len), cut.off::<T>(v_len), cut.off::<T>(q_len));
        let weights = cut.off::<T>(BLOCK * padded);
        let scores = cut.off::<f32>(BLOCK * padded);
        let (row, next) = (cut.off::<T>(d), cut.off::<T>(d));
        pack_keys(s, self.rows_of(self.k, keys, kv_head), keys, d, k, row);
        pack_values(s, self.rows_of(self.v, keys, kv_head), keys, d, v, [row, next]);
        let queries_of_head = self.rows_of(self.q, queries, self.head);
        for first in (0..queries).step_by(BLOCK) {
            let rows = BLOCK.min(queries - first);
            q.fill(T::zeroed());
            for r in 0..rows {
                put_row(q, r, d, queries_of_head.row(s, first + r, row));
            }
            self.mix(s, first, rows, q, k, v, scores, weights, padded);
        }
        SCRATCH.set(scratch);
    }
}

impl<T: Multiplied> Head<'_, T> {
    /// The rows of this sequence, from where `head` begins.
    #[inline(always)]
    fn rows_of<'a>(&self, of: Heads<'a>, length: usize, head: usize) -> Rows<'a> {
        let start = self.item * length * of.stride + of.offset + head * self.sizes.head_width;
        Rows { values: of.values, start, stride: of.stride }
    }

    /// Up to 32 queries.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)]
    fn mix<S: Simd>(
        &self,
        s: S,
        first: usize,
        rows: usize,
        q: &[T],
        k: &[T],
        v: &[T],
        scores: &mut [f32],
        weights: &mut [T],
        padded: usize,
    ) {
        let &Attention { queries, keys, head_width: d, scale, mask, .. } = self.sizes;
        let tiles = self.isa.has_tiles();
        // Query i sees keys up to i + keys - queries.
        let seen = |query: usize| match mask {
            Mask::Causal => (query + 1 + keys).saturating_sub(queries).clamp(1, keys),
            _ => keys,
        };
        let visible = seen(first + rows - 1);
        let mut block = Block::ZERO;

        // Scores [rows, visible] = Q K^T.
        let q_tiles = halves(q);
        let panel = panel_len::<T>(d);
        for key in (0..visible).step_by(BLOCK) {
            let k = &k[key / TILE * panel..][..2 * panel];
            let k = [&k[..panel], &k[panel..]];
            T::product(s, tiles, q_tiles, k, rows, &mut block);
            for (r, values) in block.0[..rows].iter().enumerate() {
                scores[r * padded + key..][..BLOCK].copy_from_slice(values);
            }
        }

        // Weights [rows, visible]: e^(score - greatest), and what they sum up to.
        let width = visible.next_multiple_of(T::ROW);
        let mut sums = [0.0; BLOCK];
        for r in 0..rows {
            let scores = &mut scores[r * padded..][..width];
            let seen = seen(first + r);
            scores[seen..].fill(f32::NEG_INFINITY);
            let scores = scores.as_chunks_mut::<LANES>().0;
            let mut greatest = s.splat(f32::NEG_INFINITY);
            for (i, x) in scores.iter_mut().enumerate() {
                let mut scaled = s.mul(s.load(x), s.splat(scale));
                if let Mask::Add(mask) = mask
                    && i * LANES < keys
                {
                    let mask = &mask[(first + r) * keys..][i * LANES..keys.min((i + 1) * LANES)];
                    scaled = s.add(scaled, s.load_part(mask, 0.0));
                }
                s.store(scaled, x);
                greatest = s.max(greatest, scaled);
            }
            let greatest = s.splat(s.maximum(greatest));
            let mut sum = s.splat(0.0);
            let (tile, row) = (r / TILE, r % TILE);
            for (i, x) in scores.iter().enumerate() {
                let weight = math::exp(s, s.sub(s.load(x), greatest));
                sum = s.add(sum, weight);
                let at = ((tile * (padded / T::ROW) + i * LANES / T::ROW) * TILE + row) * T::ROW + i * LANES % T::ROW;
                T::write(s, weight, &mut weights[at..at + LANES]);
            }
            sums[r] = s.sum(sum);
        }

        // Mixed [rows, d] = weights V / sums.
        let of_tiles = width * TILE;
        let [upper, lower] = halves(weights);
        let weights = [&upper[..of_tiles], &lower[..of_tiles]];
        for column in (0..d).step_by(BLOCK) {
            let v = &v[column / TILE * padded * TILE..];
            let v = [&v[..of_tiles], &v[padded * TILE..][..of_tiles]];
            T::product(s, tiles, weights, v, rows, &mut block);
            for (r, values) in block.0[..rows].iter().enumerate() {
                let inverse = s.splat(1.0 / sums[r]);
                let out_row = self.item * queries + first + r;
                for (i, x) in values.as_chunks::<LANES>().0.iter().enumerate() {
                    let from = column + i * LANES;
                    if from < d {
                        let x = s.mul(s.load(x), inverse);
                        // SAFETY: the columns of this head in this row are this task's.
                        unsafe { self.put(s, out_row, from, x) };
                    }
                }
            }
        }
    }

    /// Columns `from ..` of this head.
    ///
    /// # Safety
    /// No other task writes them.
    #[inline(always)]
    unsafe fn put<S: Simd>(&self, s: S, row: usize, from: usize, x: S::F) {
        let d = self.sizes.head_width;
        let column = self.head * d + from;
        // SAFETY: the caller's.
        unsafe {
            if d.is_multiple_of(LANES) {
                self.writer.write(s, row, column, x);
            } else {
                let mut lanes = [0.0; LANES];
                s.store(x, &mut lanes);
                self.writer.write_part(row, column, &lanes[..LANES.min(d - from)]);
            }
        }
    }
}

/// The two rows of tiles of 32 rows.
#[inline(always)]
fn halves<T>(tiles: &[T]) -> [&[T]; 2] {
    let (first, second) = tiles.split_at(tiles.len() / 2);
    [first, second]
}

/// One row into two rows of tiles.
#[inline(always)]
fn put_row<T: Element>(tiles: &mut [T], r: usize, d: usize, row: &[T]) {
    for (block, part) in row.chunks(T::ROW).enumerate() {
        let at = ((r / TILE * blocks::<T>(d) + block) * TILE + r % TILE) * T::ROW;
        tiles[at..at + part.len()].copy_from_slice(part);
    }
}

/// The rows of one head of one sequence.
#[derive(Clone, Copy)]
struct Rows<'a> {
    values: Values<'a>,
    start: usize,
    stride: usize,
}

impl<'a> Rows<'a> {
    /// `[d]`, as it is or converted into `to`.
    #[inline(always)]
    fn row<'r, S: Simd, T: Multiplied>(self, s: S, row: usize, to: &'r mut [T]) -> &'r [T]
    where
        'a: 'r,
    {
        T::read(s, self.values, self.start + row * self.stride, to)
    }
}

/// Keys as panels of sixteen: `[N / 16][d / GROUP][16][GROUP]`.
#[inline(always)]
fn pack_keys<S: Simd, T: Multiplied>(s: S, from: Rows, keys: usize, d: usize, panels: &mut [T], row: &mut [T]) {
    panels.fill(T::zeroed());
    let panel = panel_len::<T>(d);
    for key in 0..keys {
        let to = &mut panels[key / TILE * panel..][..panel];
        let groups = to.chunks_exact_mut(TILE * T::GROUP);
        for (to, values) in groups.zip(from.row(s, key, row).chunks(T::GROUP)) {
            // Not `copy_from_slice`, which would be a call for every one or two values.
            for (i, value) in values.iter().enumerate() {
                to[key % TILE * T::GROUP + i] = *value;
            }
        }
    }
}

/// Values as panels of sixteen columns: `[d / 16][N / GROUP][16][GROUP]`.
#[inline(always)]
fn pack_values<S: Simd, T: Multiplied>(s: S, from: Rows, keys: usize, d: usize, panels: &mut [T], tmp: [&mut [T]; 2]) {
    panels.fill(T::zeroed());
    let panel = panels.len() / (d.next_multiple_of(BLOCK) / TILE);
    let [first, second] = tmp;
    for key in (0..keys).step_by(T::GROUP) {
        let row = from.row(s, key, first);
        let next = if T::GROUP == 2 && key + 1 < keys { from.row(s, key + 1, second) } else { &[] };
        for (column, values) in row.chunks(TILE).enumerate() {
            let to = &mut panels[column * panel + key * TILE..][..TILE * T::GROUP];
            match values.as_array::<TILE>() {
                Some(values) if T::GROUP == 1 => to.copy_from_slice(values),
                _ => values.iter().zip(to.iter_mut().step_by(T::GROUP)).for_each(|(value, to)| *to = *value),
            }
            for (i, value) in next.iter().skip(column * TILE).take(TILE).enumerate() {
                to[i * T::GROUP + 1] = *value;
            }
        }
    }
}
