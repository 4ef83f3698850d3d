//! Kernels for frozen networks on CPUs: weights are packed once, activations stay in the layout that the next product wants,
//! and everything that follows a product happens while its result is in the first cache.
//!
//! ```
//! use lexivid_kernels::{Epilogue, Isa, Matrix, Operand, Out, Precision, matmul};
//!
//! let isa = Isa::from_env()?;
//! // y = x W^T + b, W: [2, 3]
//! let weights = Matrix::pack(&[1.0, 0.0, 0.0, 0.0, 1.0, 1.0], 2, 3, Precision::F32);
//! let mut x = Operand::new(Precision::F32);
//! x.fill(isa, &[1.0, 2.0, 3.0], 3);
//! let mut y = [0.0; 2];
//! matmul(isa, &x, &weights, &Epilogue { bias: Some(&[0.5, 0.5]), ..Epilogue::default() }, Out::Rows(&mut y));
//! assert_eq!(y, [1.5, 5.5]);
//! # Ok::<(), lexivid_kernels::UnknownIsa>(())
//! ```
//!
//! Every kernel is written once over sixteen lanes (`simd`) and compiled for every instruction set ([`Isa`]); products of
//! bf16 and bytes also run on AMX tiles (`amx`). Work is shared out over rayon's current pool.
//!
//! Shapes are the caller's to get right: kernels panic, saying what they expected, rather than compute with wrong ones.

mod aligned;
#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(all(feature = "amx-emulator", target_arch = "x86_64", target_os = "linux"))]
pub mod amx_emulator;
mod attention;
mod block;
mod convolution;
mod epilogue;
mod gradient;
mod isa;
mod mapped;
mod matmul;
mod matrix;
mod norm;
mod operand;
mod precision;
mod product;
mod scratch;
mod shared;
mod simd;
mod softmax;
mod task;
mod widened;

pub use attention::{Attention, Heads, Mask, Values, attention};
pub use convolution::{Convolution, Depthwise, Padding, Volume, Window, average_pool, max_pool};
pub use epilogue::{Activation, Columns, Epilogue, Out};
pub use gradient::{
    activate, activation_gradient, attention_gradient, gate, gate_gradient, layer_norm_gradient, rms_norm_gradient,
};
pub use isa::{ISA_VARIABLE, Isa, UnknownIsa};
pub use mapped::MappedFile;
pub use matmul::matmul;
pub use matrix::Matrix;
pub use norm::{layer_norm, layer_norm_rows, rms_norm};
pub use operand::Operand;
pub use precision::Precision;
pub use softmax::softmax;
