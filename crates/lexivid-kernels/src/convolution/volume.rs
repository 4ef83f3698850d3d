use crate::Values;

/// Activations `[N, T, H, W, C]`, channels last.
#[derive(Debug, Clone, Copy)]
pub struct Volume<'a> {
    /// N T H W C of them.
    pub values: Values<'a>,
    /// Independent items N.
    pub batch: usize,
    /// T, H, W.
    pub size: [usize; 3],
    /// C.
    pub channels: usize,
}

impl<'a> Volume<'a> {
    /// Pictures `[N, H, W, C]`.
    pub fn pictures(values: &'a [f32], batch: usize, [height, width]: [usize; 2], channels: usize) -> Self {
        Self { values: Values::F32(values), batch, size: [1, height, width], channels }
    }

    /// Panics where the number of values is not that of the shape.
    pub(super) fn check(&self) {
        let len = match self.values {
            Values::F32(values) => values.len(),
            Values::Bf16(values) => values.len(),
        };
        let Self { batch, size: [t, h, w], channels, .. } = *self;
        assert_eq!(len, batch * t * h * w * channels, "values of [{batch}, {t}, {h}, {w}, {channels}]");
    }
}
