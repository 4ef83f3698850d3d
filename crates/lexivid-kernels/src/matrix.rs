//! The right side of a product: constant weights, packed once.

use crate::{
    Precision,
    aligned::{Aligned, LINE},
    block::{BLOCK, TILE},
    mapped::{MappedFile, Panels},
    product::Element,
};
use half::bf16;
use rayon::prelude::*;
use std::io::{self, Write};

/// Weights W of `x W^T`, `[N, K]`, in panels of sixteen columns of the product: `[N / 16][K / GROUP][16][GROUP]`, GROUP = 1 f32, 2 bf16 or 4
/// bytes; the same bytes for every instruction set. K is padded to whole rows of tiles, N to 32.
#[derive(Debug, Clone)]
pub struct Matrix {
    pub(crate) columns: usize,
    pub(crate) width: usize,
    pub(crate) panels: Weights,
}

#[derive(Debug, Clone)]
pub(crate) enum Weights {
    F32(Panels<f32>),
    Bf16(Panels<bf16>),
    Int8 {
        panels: Panels<i8>,
        /// `[N]`: W ~ scale * byte.
        scales: Vec<f32>,
        /// `[N]`: 128 times the sum of a column's bytes.
        offsets: Vec<f32>,
    },
}

impl Matrix {
    /// Packs W `[columns, width]`, row-major: how linear layers are stored. Here and below, bytes are at most 66,311 wide, so that their products
    /// can be summed up in 32 bits.
    ///
    /// # Panics
    /// If there are no weights, more or fewer than the shape says, or too many bytes in a row.
    pub fn pack(weights: &[f32], columns: usize, width: usize, precision: Precision) -> Self {
        assert_eq!(weights.len(), columns * width, "weights [{columns}, {width}]");
        Self::pack_with(columns, width, precision, |column, k| weights[column * width + k])
    }

    /// Packs the transpose of W `[width, columns]`, row-major: for gradients, and for weights that are stored the other way.
    ///
    /// # Panics
    /// As [`Matrix::pack`].
    pub fn pack_transposed(weights: &[f32], columns: usize, width: usize, precision: Precision) -> Self {
        assert_eq!(weights.len(), columns * width, "weights [{width}, {columns}]");
        Self::pack_with(columns, width, precision, |column, k| weights[k * columns + column])
    }

    /// Packs gate and values, `[columns, width]` each, for [`crate::Out::Gated`]: sixteen columns of either in turn. `columns` is a
    /// multiple of 16.
    ///
    /// # Panics
    /// As [`Matrix::pack`], and if `columns` is no such multiple.
    pub fn pack_gated(gate: &[f32], up: &[f32], columns: usize, width: usize, precision: Precision) -> Self {
        assert!(gate.len() == columns * width && up.len() == gate.len(), "two times weights [{columns}, {width}]");
        assert!(columns.is_multiple_of(TILE), "gated columns: expected a multiple of {TILE}, got {columns}");
        Self::pack_with(2 * columns, width, precision, |column, k| {
            let from = if (column / TILE).is_multiple_of(2) { gate } else { up };
            from[(column / (2 * TILE) * TILE + column % TILE) * width + k]
        })
    }

    fn pack_with(
        columns: usize,
        width: usize,
        precision: Precision,
        weight: impl Fn(usize, usize) -> f32 + Sync,
    ) -> Self {
        assert!(columns > 0 && width > 0, "weights [{columns}, {width}]");
        let panels = match precision {
            Precision::F32 => Weights::F32(panels::<f32>(columns, width, &weight)),
            Precision::Bf16 => {
                Weights::Bf16(panels::<bf16>(columns, width, |column, k| bf16::from_f32(weight(column, k))))
            }
            Precision::Int8 => {
                const WIDEST: usize = i32::MAX as usize / (255 * 127);
                assert!(width <= WIDEST, "weights of bytes: expected at most {WIDEST} in a row, got {width}");
                let scales: Vec<f32> = (0..columns)
                    .map(|column| {
                        if !(0..width).all(|k| weight(column, k).is_finite()) {
                            return f32::NAN;
                        }
                        let greatest = (0..width).map(|k| weight(column, k).abs()).fold(0.0, f32::max);
                        if greatest > 0.0 { greatest / 127.0 } else { 1.0 }
                    })
                    .collect();
                let byte = |column: usize, k: usize| (weight(column, k) / scales[column]).round() as i8;
                let offsets = (0..columns)
                    .map(|column| 128.0 * (0..width).map(|k| i32::from(byte(column, k))).sum::<i32>() as f32)
                    .collect();
                Weights::Int8 { panels: panels::<u8>(columns, width, byte), scales, offsets }
            }
        };
        Self { columns, width, panels }
    }

    /// The transpose, packed from what is stored here: for gradients with respect to the left operand. Not for int8.
    pub fn transposed(&self) -> Self {
        let at = |len: usize, group: usize, column: usize, k: usize| {
            column / TILE * len + (k / group * TILE + column % TILE) * group + k % group
        };
        let panels = match &self.panels {
            Weights::F32(panels) => {
                let len = panel_len::<f32>(self.width);
                Weights::F32(self::panels::<f32>(self.width, self.columns, |k, column| panels[at(len, 1, column, k)]))
            }
            Weights::Bf16(panels) => {
                let len = panel_len::<bf16>(self.width);
                Weights::Bf16(self::panels::<bf16>(self.width, self.columns, |k, column| panels[at(len, 2, column, k)]))
            }
            Weights::Int8 { .. } => panic!("the transpose of f32 or bf16 weights, got int8"),
        };
        Self { columns: self.width, width: self.columns, panels }
    }

    /// Writes what is stored, so that [`Matrix::map`] finds it again: bytes of this machine, a multiple of 64.
    ///
    /// # Errors
    /// When `to` cannot be written to.
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let mut parts: Vec<&[u8]> = match &self.panels {
            Weights::F32(panels) => vec![bytemuck::cast_slice(panels)],
            Weights::Bf16(panels) => vec![bytemuck::cast_slice(panels)],
            Weights::Int8 { panels, scales, offsets } => {
                vec![bytemuck::cast_slice(panels), bytemuck::cast_slice(scales), bytemuck::cast_slice(offsets)]
            }
        };
        let rest = parts.iter().map(|part| part.len()).sum::<usize>().next_multiple_of(LINE);
        let filler = vec![0; rest - parts.iter().map(|part| part.len()).sum::<usize>()];
        parts.push(&filler);
        parts.into_iter().try_for_each(|part| to.write_all(part))
    }

    /// Bytes that [`Matrix::write`] writes of such a matrix.
    pub fn written_len(columns: usize, width: usize, precision: Precision) -> usize {
        let panels = columns.next_multiple_of(BLOCK) / TILE;
        match precision {
            Precision::F32 => panels * panel_len::<f32>(width) * size_of::<f32>(),
            Precision::Bf16 => panels * panel_len::<bf16>(width) * size_of::<bf16>(),
            Precision::Int8 => {
                (panels * panel_len::<u8>(width) + 2 * columns * size_of::<f32>()).next_multiple_of(LINE)
            }
        }
    }

    /// What was written at `offset` of `file`, a multiple of 64; its panels stay in the file, of which the system reads what is used. None where the file ends before.
    ///
    /// # Panics
    /// If `offset` is no such multiple.
    pub fn map(file: &MappedFile, offset: usize, columns: usize, width: usize, precision: Precision) -> Option<Self> {
        assert!(offset.is_multiple_of(LINE), "expected an offset that is a multiple of {LINE}, got {offset}");
        let panels = columns.next_multiple_of(BLOCK) / TILE;
        let panels = match precision {
            Precision::F32 => Weights::F32(file.panels(offset, panels * panel_len::<f32>(width))?),
            Precision::Bf16 => Weights::Bf16(file.panels(offset, panels * panel_len::<bf16>(width))?),
            Precision::Int8 => {
                let len = panels * panel_len::<u8>(width);
                let numbers = |from: usize| Some(file.panels::<f32>(offset + len + from, columns)?.to_vec());
                Weights::Int8 {
                    panels: file.panels(offset, len)?,
                    scales: numbers(0)?,
                    offsets: numbers(columns * size_of::<f32>())?,
                }
            }
        };
        Some(Self { columns, width, panels })
    }

    /// N.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// K.
    pub fn width(&self) -> usize {
        self.width
    }

    /// What it is stored in.
    pub fn precision(&self) -> Precision {
        match self.panels {
            Weights::F32(_) => Precision::F32,
            Weights::Bf16(_) => Precision::Bf16,
            Weights::Int8 { .. } => Precision::Int8,
        }
    }
}

/// Elements of one panel.
pub(crate) fn panel_len<T: Element>(width: usize) -> usize {
    width.next_multiple_of(T::ROW) * TILE
}

fn panels<T: Element>(
    columns: usize,
    width: usize,
    weight: impl Fn(usize, usize) -> T::Weight + Sync,
) -> Panels<T::Weight> {
    let len = panel_len::<T>(width);
    let mut packed = Aligned::<T::Weight>::zeroed(columns.next_multiple_of(BLOCK) / TILE * len);
    packed.par_chunks_mut(len).enumerate().for_each(|(panel, to)| {
        for column in panel * TILE..columns.min((panel + 1) * TILE) {
            for k in 0..width {
                to[(k / T::GROUP * TILE + column % TILE) * T::GROUP + k % T::GROUP] = weight(column, k);
            }
        }
    });
    Panels::Memory(packed)
}
