//! How a frame becomes the pixels that a model was trained on.

/// One way of cutting the model's input out of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum View {
    /// Resize the shorter side to `shortest_edge` (bicubic, antialiased, as PIL does), then crop the centre. CLIP.
    CentreCrop {
        /// Length of the shorter side after the resize, in pixels.
        shortest_edge: u32,
    },
    /// Resize the whole frame to the input size, aspect ratio not kept. SigLIP; the starter's second view.
    Stretch,
}

/// What a model wants done to a frame, from `preprocessor_config.json` or the model's own constants.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Preprocessing {
    /// Input height and width in pixels.
    pub size: (u32, u32),
    /// The views taken of every frame, at least one.
    pub views: Vec<View>,
    /// Interpolation of the resize.
    pub filter: Filter,
    /// Channel means, RGB, on the 0..1 scale.
    pub mean: [f32; 3],
    /// Channel standard deviations, RGB, on the 0..1 scale.
    pub std: [f32; 3],
}

/// Interpolation, by Pillow's names; all are antialiased as Pillow does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Filter {
    /// Pillow's BILINEAR.
    Bilinear,
    /// Pillow's BICUBIC (a = -0.5).
    Bicubic,
    /// Pillow's LANCZOS.
    Lanczos,
}

/// The pixels of one frame as a model takes them, not normalised yet (8 bits travel cheaply between threads).
#[derive(Debug, Clone, PartialEq)]
pub struct FramePixels {
    /// Presentation time in seconds from the video's first frame.
    pub time: f64,
    /// One RGB picture a view, `size.0 * size.1 * 3` bytes, row-major, channels last.
    pub views: Vec<Vec<u8>>,
}
