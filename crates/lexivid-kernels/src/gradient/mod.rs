//! Gradients with respect to inputs; weights are constants and get none. That of a product is a product with
//! [`crate::Matrix::transposed`].

mod attention;
mod elementwise;
mod norm;

pub use attention::attention_gradient;
pub use elementwise::{activate, activation_gradient, gate, gate_gradient};
pub use norm::{layer_norm_gradient, rms_norm_gradient};
