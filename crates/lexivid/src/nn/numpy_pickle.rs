//! Reading of numpy arrays out of a pickle of dictionaries (a flax checkpoint), without running any code.
//!
//! Protocol 4 (PEP 3154; opcodes as in CPython's `Lib/pickletools.py`), and of that only what such a file has: names, numbers, bytes, and
//! the three constructors that numpy writes for an array. Everything else is refused by name. candle's reader of pickles is one of PyTorch's
//! protocol 2.

mod machine;
mod value;

use candle_core::{Device, Tensor};
use std::collections::HashMap;
use value::{Array, Value};

/// Why a pickle was not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PickleError {
    /// It ends too early.
    #[error("byte {at}: expected {expected} bytes, got {got}")]
    Truncated {
        /// Where.
        at: usize,
        /// Bytes that are due.
        expected: usize,
        /// Bytes that are left.
        got: usize,
    },
    /// An operation that arrays in dictionaries do not need.
    #[error("byte {at}: expected an operation that makes arrays and dictionaries, got {code:#04x}")]
    Operation {
        /// Where.
        at: usize,
        /// The opcode.
        code: u8,
    },
    /// A global that is none of numpy's constructors.
    #[error("byte {at}: expected one of numpy's constructors of an array, got {name}")]
    Global {
        /// Where.
        at: usize,
        /// Module and name.
        name: String,
    },
    /// Another object than is due.
    #[error("byte {at}: expected {expected}, got {got}")]
    Object {
        /// Where.
        at: usize,
        /// What is due.
        expected: &'static str,
        /// What is there.
        got: String,
    },
    /// An array's bytes are not those of its shape.
    #[error("byte {at}: expected an array of f32 with the shape of its {bytes} bytes, got {shape:?}")]
    Shape {
        /// Where.
        at: usize,
        /// Bytes of the array.
        bytes: usize,
        /// Its shape.
        shape: Vec<i64>,
    },
    /// The tensor engine failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

/// The f32 arrays of a pickled dictionary of dictionaries, by their keys with `/` between them.
///
/// # Errors
/// [`PickleError`] on anything that is not that: other objects, other types of number, arrays in Fortran's order, other globals.
pub fn read_arrays(pickle: &[u8]) -> Result<HashMap<String, Tensor>, PickleError> {
    let mut arrays = HashMap::new();
    collect(machine::unpickle(pickle)?, "", pickle.len(), &mut arrays)?;
    Ok(arrays)
}

/// Puts the arrays of `value` into `arrays`. Values are not deep: [`value::DEEPEST`].
fn collect(value: Value, name: &str, end: usize, arrays: &mut HashMap<String, Tensor>) -> Result<(), PickleError> {
    match value {
        Value::Dict { entries, .. } => {
            for (key, value) in entries {
                let name = if name.is_empty() { key.to_owned() } else { format!("{name}/{key}") };
                collect(value, &name, end, arrays)?;
            }
            Ok(())
        }
        Value::Array(Array { shape, bytes }) => {
            let values: Vec<f32> = bytes.as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect();
            arrays.insert(name.to_owned(), Tensor::from_vec(values, shape, &Device::Cpu)?);
            Ok(())
        }
        other => Err(PickleError::Object { at: end, expected: "arrays in dictionaries", got: other.to_string() }),
    }
}

#[cfg(test)]
mod tests;
