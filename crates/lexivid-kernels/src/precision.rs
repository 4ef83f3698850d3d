use std::{fmt, str::FromStr};

/// What products multiply. Sums are always f32 (or exact integers), as is everything between products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Precision {
    /// 32-bit floating point.
    F32,
    /// Both sides rounded to bf16: 8 bits of mantissa.
    Bf16,
    /// Weights in 8 bits with a scale a column, activations in 8 bits with a scale a row (found as they come): greatest size / 127. There are no
    /// bytes for NaN and infinities: everything that such a row or column has part in is NaN.
    Int8,
}

impl Precision {
    /// Bytes of one weight.
    pub fn bytes(self) -> usize {
        match self {
            Precision::F32 => 4,
            Precision::Bf16 => 2,
            Precision::Int8 => 1,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
            Precision::Int8 => "int8",
        })
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "f32" => Ok(Precision::F32),
            "bf16" => Ok(Precision::Bf16),
            "int8" => Ok(Precision::Int8),
            _ => Err(format!("expected f32, bf16 or int8, got {name:?}")),
        }
    }
}
