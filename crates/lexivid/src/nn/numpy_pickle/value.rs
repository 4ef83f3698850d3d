use std::{fmt, rc::Rc};

/// Levels of tuples and dictionaries in each other: a file must not be able to exhaust the stack of whoever walks through it.
pub(super) const DEEPEST: usize = 8;

/// What a pickle makes: inert.
#[derive(Debug, Clone)]
pub(super) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    Text(&'a str),
    Bytes(&'a [u8]),
    Constructor(Constructor),
    Tuple {
        items: Rc<[Value<'a>]>,
        depth: usize,
    },
    Dict {
        entries: Vec<(&'a str, Value<'a>)>,
        depth: usize,
    },
    /// numpy's type f4, little-endian.
    F32,
    /// An array before its state is set.
    EmptyArray,
    Array(Array<'a>),
}

/// An array of f32, row-major.
#[derive(Debug, Clone)]
pub(super) struct Array<'a> {
    pub shape: Vec<usize>,
    pub bytes: &'a [u8],
}

/// The globals that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Constructor {
    /// `numpy.core.multiarray._reconstruct`; `numpy._core` since numpy 2.
    Reconstruct,
    /// `numpy.ndarray`.
    NdArray,
    /// `numpy.dtype`.
    Dtype,
}

impl Constructor {
    pub fn find(module: &str, name: &str) -> Option<Self> {
        match (module, name) {
            ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => Some(Self::Reconstruct),
            ("numpy", "ndarray") => Some(Self::NdArray),
            ("numpy", "dtype") => Some(Self::Dtype),
            _ => None,
        }
    }
}

impl Value<'_> {
    /// 0 for what has nothing inside.
    pub fn depth(&self) -> usize {
        match self {
            Value::Tuple { depth, .. } | Value::Dict { depth, .. } => *depth,
            _ => 0,
        }
    }
}

/// What it is, without what is in it.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Value::None => f.write_str("None"),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Int(value) => write!(f, "{value}"),
            Value::Text(text) => write!(f, "{text:.60?}"),
            Value::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Value::Constructor(constructor) => write!(f, "constructor {constructor:?}"),
            Value::Tuple { items, .. } => write!(f, "a tuple of {}", items.len()),
            Value::Dict { entries, .. } => write!(f, "a dictionary of {}", entries.len()),
            Value::F32 => f.write_str("type f4"),
            Value::EmptyArray => f.write_str("an array without state"),
            Value::Array(Array { shape, .. }) => write!(f, "an array {shape:?}"),
        }
    }
}
