//! Convolutions over time, height and width, channels last; one over height and width alone has T = 1.

mod average_pool;
mod dense;
mod depthwise;
mod gather;
mod lines;
mod max_pool;
mod number;
mod volume;
mod window;
mod winograd;

pub use average_pool::average_pool;
pub use dense::Convolution;
pub use depthwise::Depthwise;
pub use max_pool::max_pool;
pub use volume::Volume;
pub use window::{Padding, Window};
