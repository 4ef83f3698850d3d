//! The left side of a product: activations, in tiles.

use crate::{
    Isa, Precision,
    aligned::Aligned,
    block::{BLOCK, TILE},
    product::Element,
    shared::Shared,
    simd::{Kernel, LANES, Simd},
};
use half::bf16;
use rayon::prelude::*;

/// Activations `[M, K]` in the layout that products read: tiles of 16 rows of 64 bytes, `[M / 16][K / ROW][16][ROW]`, ROW = 16 f32, 32
/// bf16 or 64 bytes, padded to whole tiles. Kept from one product to the next, so that its memory is reused.
#[derive(Debug, Clone)]
pub struct Operand {
    pub(crate) rows: usize,
    pub(crate) width: usize,
    pub(crate) tiles: Tiles,
}

#[derive(Debug, Clone)]
pub(crate) enum Tiles {
    F32(Aligned<f32>),
    Bf16(Aligned<bf16>),
    Int8(Bytes),
}

/// 8-bit activations. A row's scale is known only when all of it is there, so values are first kept in bf16.
#[derive(Debug, Clone)]
pub(crate) struct Bytes {
    /// `[M, K padded to 16]`, row-major.
    pub staged: Aligned<bf16>,
    /// Values plus 128.
    pub tiles: Aligned<u8>,
    /// `[M padded to 32]`.
    pub scales: Vec<f32>,
}

impl Operand {
    /// Empty.
    pub fn new(precision: Precision) -> Self {
        let tiles = match precision {
            Precision::F32 => Tiles::F32(Aligned::zeroed(0)),
            Precision::Bf16 => Tiles::Bf16(Aligned::zeroed(0)),
            Precision::Int8 => {
                Tiles::Int8(Bytes { staged: Aligned::zeroed(0), tiles: Aligned::zeroed(0), scales: Vec::new() })
            }
        };
        Self { rows: 0, width: 0, tiles }
    }

    /// M.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// K.
    pub fn width(&self) -> usize {
        self.width
    }

    /// What it is stored in.
    pub fn precision(&self) -> Precision {
        match self.tiles {
            Tiles::F32(_) => Precision::F32,
            Tiles::Bf16(_) => Precision::Bf16,
            Tiles::Int8(_) => Precision::Int8,
        }
    }

    /// Takes the values of `x`, `[M, width]`, row-major.
    ///
    /// # Panics
    /// If `width` is 0, or `x` not a number of whole rows.
    pub fn fill(&mut self, isa: Isa, x: &[f32], width: usize) {
        assert!(width > 0 && x.len().is_multiple_of(width), "rows of {width} values, got {} values", x.len());
        self.write_rows(isa, x.len() / width, width, |row, to| to.copy_from_slice(&x[row * width..][..width]));
    }

    /// The values, `[M, K]`, row-major: as they were stored, bf16 widened.
    ///
    /// # Panics
    /// For int8, whose values are not what was written.
    pub fn to_rows(&self) -> Vec<f32> {
        let mut rows = vec![0.0; self.rows * self.width];
        match &self.tiles {
            Tiles::F32(tiles) => read_tiles(tiles, self.width, &mut rows, |x| x),
            Tiles::Bf16(tiles) => read_tiles(tiles, self.width, &mut rows, bf16::to_f32),
            Tiles::Int8(_) => panic!("values of an f32 or bf16 operand, got int8"),
        }
        rows
    }

    /// Takes M rows of `width` values that `row` writes, one row a call, in any order.
    ///
    /// # Panics
    /// If `width` is 0.
    pub fn write_rows(&mut self, isa: Isa, rows: usize, width: usize, row: impl Fn(usize, &mut [f32]) + Sync) {
        assert!(width > 0, "rows of at least one value");
        let writer = self.begin(rows, width);
        (0..rows.div_ceil(TILE)).into_par_iter().for_each(|tile| {
            let mut values = vec![0.0; width];
            for r in tile * TILE..rows.min((tile + 1) * TILE) {
                row(r, &mut values);
                isa.run(WriteRow { writer, row: r, values: &values });
            }
        });
        self.complete(isa);
    }

    /// Sets the shape and hands out the right to write; [`Operand::complete`] is called when all is written.
    pub(crate) fn begin(&mut self, rows: usize, width: usize) -> Writer<'_> {
        self.rows = rows;
        self.width = width;
        match &mut self.tiles {
            Tiles::F32(tiles) => Writer::F32(begin_tiles(tiles, rows, width), blocks::<f32>(width)),
            Tiles::Bf16(tiles) => Writer::Bf16(begin_tiles(tiles, rows, width), blocks::<bf16>(width)),
            Tiles::Int8(bytes) => {
                let padded = width.next_multiple_of(LANES);
                bytes.staged.resize(rows * padded);
                if padded != width {
                    bytes.staged.fill(bf16::ZERO); // the padding has part in a row's scale
                }
                Writer::Staged(Shared::new(&mut bytes.staged), padded)
            }
        }
    }

    /// Quantises what was staged, row by row: x ~ scale * (byte - 128), scale = max |x| / 127.
    pub(crate) fn complete(&mut self, isa: Isa) {
        let (rows, width) = (self.rows, self.width);
        let Tiles::Int8(bytes) = &mut self.tiles else { return };
        let padded = width.next_multiple_of(LANES);
        begin_tiles(&mut bytes.tiles, rows, width);
        bytes.scales.resize(rows.next_multiple_of(BLOCK), 0.0);
        let staged = &*bytes.staged;
        bytes
            .tiles
            .par_chunks_mut(TILE * <u8 as Element>::ROW * blocks::<u8>(width))
            .zip(bytes.scales.par_chunks_mut(TILE))
            .enumerate()
            .for_each(|(tile, (bytes, scales))| {
                for (r, row) in (tile * TILE..rows.min((tile + 1) * TILE)).enumerate() {
                    let values = &staged[row * padded..][..padded];
                    scales[r] = isa.run(QuantiseRow { values, row: r, tiles: bytes });
                }
            });
    }
}

/// Tile rows along K.
pub(crate) fn blocks<T: Element>(width: usize) -> usize {
    width.div_ceil(T::ROW)
}

fn begin_tiles<T: Element>(tiles: &mut Aligned<T>, rows: usize, width: usize) -> Shared<'_, T> {
    tiles.resize(rows.next_multiple_of(BLOCK) * blocks::<T>(width) * T::ROW);
    if !width.is_multiple_of(T::ROW) {
        tiles.fill(T::zeroed()); // the padding along K is multiplied
    }
    Shared::new(tiles)
}

fn read_tiles<T: Element>(tiles: &[T], width: usize, rows: &mut [f32], widen: impl Fn(T) -> f32 + Sync) {
    rows.par_chunks_mut(width.max(1)).with_min_len(TILE).enumerate().for_each(|(row, to)| {
        for (i, to) in to.chunks_mut(T::ROW).enumerate() {
            let from = &tiles[address::<T>(row, i * T::ROW, blocks::<T>(width))..];
            to.iter_mut().zip(from).for_each(|(to, from)| *to = widen(*from));
        }
    });
}

/// The right to write an operand, in pieces of sixteen values of a row.
#[derive(Clone, Copy)]
pub(crate) enum Writer<'a> {
    /// With the number of tiles along K.
    F32(Shared<'a, f32>, usize),
    Bf16(Shared<'a, bf16>, usize),
    /// With the length of a row.
    Staged(Shared<'a, bf16>, usize),
}

impl Writer<'_> {
    /// Writes columns `column ..` of `row`; `column` is a multiple of 16.
    ///
    /// # Safety
    /// No other task writes these.
    #[inline(always)]
    pub unsafe fn write<S: Simd>(self, s: S, row: usize, column: usize, x: S::F) {
        // SAFETY: the caller's.
        unsafe {
            match self {
                Writer::F32(tiles, blocks) => {
                    let at = address::<f32>(row, column, blocks);
                    let to = tiles.part(at..at + LANES);
                    s.store(x, to.try_into().expect("sixteen"));
                }
                Writer::Bf16(tiles, blocks) => {
                    let at = address::<bf16>(row, column, blocks);
                    let to = tiles.part(at..at + LANES);
                    s.store_bf16(x, to.try_into().expect("sixteen"));
                }
                Writer::Staged(rows, width) => {
                    let at = row * width + column;
                    let to = rows.part(at..at + LANES);
                    s.store_bf16(x, to.try_into().expect("sixteen"));
                }
            }
        }
    }

    /// Where column `column` of `row` is, or would be.
    #[inline(always)]
    pub fn address(self, row: usize, column: usize) -> *const u8 {
        match self {
            Writer::F32(tiles, blocks) => tiles.address(address::<f32>(row, column, blocks)).cast(),
            Writer::Bf16(tiles, blocks) => tiles.address(address::<bf16>(row, column, blocks)).cast(),
            Writer::Staged(rows, width) => rows.address(row * width + column).cast(),
        }
    }

    /// Writes columns `column ..` of `row`, wherever they begin.
    ///
    /// # Safety
    /// No other task writes these.
    pub unsafe fn write_part(self, row: usize, column: usize, x: &[f32]) {
        for (i, &x) in x.iter().enumerate() {
            let column = column + i;
            // SAFETY: the caller's.
            unsafe {
                match self {
                    Writer::F32(tiles, blocks) => {
                        let at = address::<f32>(row, column, blocks);
                        tiles.part(at..at + 1)[0] = x;
                    }
                    Writer::Bf16(tiles, blocks) => {
                        let at = address::<bf16>(row, column, blocks);
                        tiles.part(at..at + 1)[0] = bf16::from_f32(x);
                    }
                    Writer::Staged(rows, width) => {
                        let at = row * width + column;
                        rows.part(at..at + 1)[0] = bf16::from_f32(x);
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn address<T: Element>(row: usize, column: usize, blocks: usize) -> usize {
    ((row / TILE * blocks + column / T::ROW) * TILE + row % TILE) * T::ROW + column % T::ROW
}

struct WriteRow<'a> {
    writer: Writer<'a>,
    row: usize,
    values: &'a [f32],
}

impl Kernel for WriteRow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for (i, values) in self.values.chunks(LANES).enumerate() {
            // SAFETY: a row is written by one task.
            unsafe { self.writer.write(s, self.row, i * LANES, s.load_part(values, 0.0)) };
        }
    }
}

/// One row of a row of tiles. Returns its scale.
struct QuantiseRow<'a> {
    values: &'a [bf16],
    row: usize,
    tiles: &'a mut [u8],
}

impl Kernel for QuantiseRow<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f32 {
        let values = self.values.as_chunks::<LANES>().0;
        let (mut greatest, mut zero_or_nan) = (s.splat(0.0), s.splat(0.0));
        for x in values {
            let x = s.load_bf16(x);
            greatest = s.max(s.max(x, s.sub(s.splat(0.0), x)), greatest);
            // `max` forgets a NaN; 0 x is NaN for NaN and infinities.
            zero_or_nan = s.mul_add(x, s.splat(0.0), zero_or_nan);
        }
        let greatest = s.maximum(greatest);
        let is_finite = s.sum(zero_or_nan) == 0.0;
        // A row of zeros, or one that is not finite, has no scale of its own.
        let scale = if greatest > 0.0 && is_finite { greatest / 127.0 } else { 1.0 };
        let inverse = s.splat(1.0 / scale);
        for (i, x) in values.iter().enumerate() {
            let x = s.mul(s.load_bf16(x), inverse);
            let x = s.round(s.max(s.splat(-127.0), s.min(s.splat(127.0), x)));
            let at = (i * LANES / <u8 as Element>::ROW * TILE + self.row) * <u8 as Element>::ROW
                + i * LANES % <u8 as Element>::ROW;
            let to = self.tiles[at..].first_chunk_mut().expect("sixteen columns of a tile");
            s.store_bytes(s.add(x, s.splat(128.0)), to);
        }
        if is_finite { scale } else { f32::NAN }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_filled_in_can_be_read() {
        let x: Vec<f32> = (0..37 * 21).map(|i| i as f32 - 300.5).collect();
        for (isa, precision) in Isa::all().into_iter().flat_map(|isa| [(isa, Precision::F32), (isa, Precision::Bf16)]) {
            let mut operand = Operand::new(precision);
            operand.fill(isa, &x, 21);
            let expected: Vec<f32> = match precision {
                Precision::F32 => x.clone(),
                _ => x.iter().map(|x| bf16::from_f32(*x).to_f32()).collect(),
            };
            assert_eq!(operand.to_rows(), expected, "{precision}");
        }
    }
}
