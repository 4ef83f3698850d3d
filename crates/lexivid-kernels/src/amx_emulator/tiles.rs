//! The tile state of one thread, and what the instructions do with it: the pseudocode of the SDM.

use std::ptr::copy_nonoverlapping;

// The limits of palette 1.
pub const TILES: usize = 8;
const ROWS: usize = 16;
const ROW_BYTES: usize = 64;

/// 16 elements of 32 bits. What lies beyond a tile's configured size is undefined here and zero in the SDM: no
/// instruction shows the difference, as none reaches beyond the configured size and LDTILECFG zeroes everything.
type Row = [u32; ROW_BYTES / 4];
type Tile = [Row; ROWS];

/// Why the instruction faults.
pub type Fault = &'static str;

/// A memory operand: `start` is base + displacement, `stride` is index * scale, both in bytes.
pub struct Memory {
    pub start: usize,
    pub stride: usize,
}

/// Pairs of bf16, or quadruples of bytes.
pub enum Product {
    Bf16,
    Int8 { left_signed: bool, right_signed: bool },
}

/// Where start_row lies in a configuration.
const START_ROW: usize = 1;

/// The tile state of one thread.
pub struct Unit {
    /// As LDTILECFG takes it: palette, start_row, 14 reserved bytes, 16 `colsb` (u16), 16 `rows` (u8). All zero when
    /// tiles are not configured. start_row is where an interrupted instruction resumes; completed ones zero it.
    config: [u8; 64],
    tiles: [Tile; TILES],
}

impl Unit {
    pub const INITIAL: Unit = Unit { config: [0; 64], tiles: [[[0; ROW_BYTES / 4]; ROWS]; TILES] };

    pub fn load_config(&mut self, Memory { start, stride }: Memory) -> Result<(), Fault> {
        *self = Unit::INITIAL;
        // SAFETY: the instruction reads these 64 bytes.
        let config = unsafe { *(start.wrapping_add(stride) as *const [u8; 64]) };
        match config[0] {
            0 => return Ok(()), // "not configured", whatever follows
            1 => {}
            _ => return Err("#GP: LDTILECFG: the palette is neither 0 nor 1"),
        }
        if config[2..16].iter().chain(&config[32..48]).chain(&config[56..]).any(|&byte| byte != 0) {
            return Err("#GP: LDTILECFG: reserved bytes are not zero");
        }
        self.config = config;
        for (rows, bytes) in (0..TILES).map(|tile| self.size(tile)) {
            if rows > ROWS || bytes > ROW_BYTES {
                return Err("#GP: LDTILECFG: a tile has more than 16 rows or 64 bytes a row");
            }
            if (rows == 0) != (bytes == 0) {
                return Err("#GP: LDTILECFG: only one of rows and colsb is zero");
            }
        }
        Ok(())
    }

    pub fn store_config(&self, Memory { start, stride }: Memory) -> Result<(), Fault> {
        // SAFETY: the instruction writes these 64 bytes.
        unsafe { *(start.wrapping_add(stride) as *mut [u8; 64]) = self.config };
        Ok(())
    }

    /// Rows, and bytes of a row, in the configuration.
    fn size(&self, tile: usize) -> (usize, usize) {
        let colsb = [self.config[16 + 2 * tile], self.config[17 + 2 * tile]];
        (usize::from(self.config[48 + tile]), usize::from(u16::from_le_bytes(colsb)))
    }

    /// [`Self::size`] of a tile that an instruction names.
    fn checked_size(&self, tile: usize) -> Result<(usize, usize), Fault> {
        match self.size(tile) {
            _ if self.config[0] == 0 => Err("#UD: tiles are not configured"),
            (0, _) => Err("#UD: the tile has no rows in the configuration"),
            (_, bytes) if bytes % 4 != 0 => Err("#UD: the tile's colsb is not a multiple of four"),
            size => Ok(size),
        }
    }

    pub fn zero(&mut self, tile: usize) -> Result<(), Fault> {
        self.checked_size(tile)?;
        self.tiles[tile] = Unit::INITIAL.tiles[0];
        self.config[START_ROW] = 0;
        Ok(())
    }

    pub fn load(&mut self, tile: usize, memory: Memory) -> Result<(), Fault> {
        // SAFETY: the instruction reads these bytes; a row holds 64, the most that `bytes` is.
        self.each_row(tile, memory, |row, address, bytes| unsafe { copy_nonoverlapping(address, row, bytes) })
    }

    pub fn store(&mut self, tile: usize, memory: Memory) -> Result<(), Fault> {
        // SAFETY: the instruction writes these bytes; a row holds 64, the most that `bytes` is.
        self.each_row(tile, memory, |row, address, bytes| unsafe { copy_nonoverlapping(row, address, bytes) })
    }

    /// Hands each row from start_row on to `copy`: the row, its address in memory, its length in bytes.
    fn each_row(
        &mut self,
        tile: usize,
        Memory { start, stride }: Memory,
        copy: impl Fn(*mut u8, *mut u8, usize),
    ) -> Result<(), Fault> {
        let (rows, bytes) = self.checked_size(tile)?;
        let first = usize::from(self.config[START_ROW]);
        if first >= rows {
            return Err("#UD: start_row is not below the tile's rows");
        }
        for (index, row) in self.tiles[tile].iter_mut().enumerate().take(rows).skip(first) {
            copy(row.as_mut_ptr().cast(), start.wrapping_add(index.wrapping_mul(stride)) as *mut u8, bytes);
        }
        self.config[START_ROW] = 0;
        Ok(())
    }

    pub fn dot(&mut self, product: Product, sum: usize, left: usize, right: usize) -> Result<(), Fault> {
        let (rows, bytes) = self.checked_size(sum)?;
        let (left_rows, left_bytes) = self.checked_size(left)?;
        let (inner, right_bytes) = self.checked_size(right)?;
        let Ok([sum, left, right]) = self.tiles.get_disjoint_mut([sum, left, right]) else {
            return Err("#UD: the three tiles must differ");
        };
        if left_rows != rows {
            return Err("#UD: rows of the sum differ from rows of the left tile");
        }
        if right_bytes != bytes {
            return Err("#UD: colsb of the sum differs from colsb of the right tile");
        }
        if left_bytes != 4 * inner {
            return Err("#UD: colsb of the left tile is not four times the rows of the right tile");
        }
        let (sum, right) = (&mut sum[..rows], &right[..inner]);
        // Detection is cached in an atomic and allocates nothing.
        if is_x86_feature_detected!("avx2") {
            // SAFETY: just detected.
            unsafe { dot_avx2(product, sum, left, right) };
        } else {
            dot(product, sum, left, right);
        }
        self.config[START_ROW] = 0;
        Ok(())
    }
}

/// [`dot`], with four lanes of f64 where the baseline has two.
#[target_feature(enable = "avx2")]
fn dot_avx2(product: Product, sum: &mut [Row], left: &Tile, right: &[Row]) {
    dot(product, sum, left, right);
}

/// `sum[m][n] += sum_k left[m][k] . right[k][n]`; `left` has the rows of `sum`, `right` those of k.
#[inline(always)]
fn dot(product: Product, sum: &mut [Row], left: &Tile, right: &[Row]) {
    match product {
        Product::Bf16 => dot_bf16(sum, left, right),
        Product::Int8 { left_signed, right_signed } => dot_int8(sum, left, right, left_signed, right_signed),
    }
}

/// TDPBF16PS: `sum[m][n] += sum_k left[m][k] . right[k][n]` over pairs of bf16.
///
/// The SDM sums the even and the odd elements of the pairs apart from each other, each in a chain of "FP32 FMA with
/// DAZ=FTZ=1, RNE rounding" that starts at zero, and then adds even to odd and that to the destination, both with
/// DAZ=FTZ=1 and RNE as well. MXCSR is neither consulted nor updated.
///
/// The FMA is computed in f64 and rounded to f32, which gives the same bits: the product of two bf16 has 16 bits, so it
/// is exact; where its sum with the 24 bits of the accumulator does not fit 53, the lesser is too small to move the
/// greater to a neighbour, whatever the first rounding did.
#[inline(always)]
fn dot_bf16(sum: &mut [Row], left: &Tile, right: &[Row]) {
    let low = |pair: u32| flushed(pair << 16);
    let high = |pair: u32| flushed(pair & 0xFFFF_0000);
    let accumulate = |sums: &mut [f64; 16], left: f64, right: &[f64; 16]| {
        for (sum, right) in sums.iter_mut().zip(right) {
            *sum = round(*sum + left * right);
        }
    };
    // Widened once for all rows of `left`.
    let mut halves = [([0.0; 16], [0.0; 16]); ROWS];
    for (halves, row) in halves.iter_mut().zip(right) {
        *halves = (row.map(low), row.map(high));
    }
    for (sum, left) in sum.iter_mut().zip(left) {
        let (mut even, mut odd) = ([0.0; 16], [0.0; 16]);
        for (&pair, (right_even, right_odd)) in left.iter().zip(&halves[..right.len()]) {
            accumulate(&mut even, low(pair), right_even);
            accumulate(&mut odd, high(pair), right_odd);
        }
        for (sum, (even, odd)) in sum.iter_mut().zip(even.iter().zip(&odd)) {
            *sum = (round(flushed(*sum) + round(even + odd)) as f32).to_bits();
        }
    }
}

/// The f32 of these bits, zero of the same sign if it is denormal (DAZ).
#[inline(always)]
fn flushed(bits: u32) -> f64 {
    let exponent = bits & 0x7F80_0000;
    f64::from(f32::from_bits(if exponent == 0 { bits & 0x8000_0000 } else { bits }))
}

/// `x` rounded to f32, zero of the same sign if the result is tiny (FTZ). x86 calls tiny what is below the least normal
/// number, 2^-126, once rounded to 24 bits; such are the numbers below 2^-126 - 2^-151.
#[inline(always)]
fn round(x: f64) -> f64 {
    const TINY: f64 = f32::MIN_POSITIVE as f64 * (1.0 - f32::EPSILON as f64 / 4.0);
    let bits = x.to_bits();
    let kept = if x.abs() < TINY { bits & (1 << 63) } else { bits };
    f64::from(f64::from_bits(kept) as f32)
}

/// TDPBSSD, TDPBSUD, TDPBUSD, TDPBUUD: `sum[m][n] += sum_k left[m][k] . right[k][n]` over quadruples of bytes, in 32
/// bits without saturation.
#[inline(always)]
fn dot_int8(sum: &mut [Row], left: &Tile, right: &[Row], left_signed: bool, right_signed: bool) {
    let widen = |dword: u32, byte: usize, signed: bool| {
        let byte = dword.to_le_bytes()[byte];
        if signed { i32::from(byte as i8) } else { i32::from(byte) }
    };
    for (k, right) in right.iter().enumerate() {
        for byte in 0..4 {
            let right = right.map(|dword| widen(dword, byte, right_signed));
            for (sum, left) in sum.iter_mut().zip(left) {
                let left = widen(left[k], byte, left_signed);
                for (sum, right) in sum.iter_mut().zip(right) {
                    *sum = sum.wrapping_add((left * right) as u32);
                }
            }
        }
    }
}
