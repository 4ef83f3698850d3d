//! Which way up a picture is: FFmpeg's display matrix -> one of the eight orientations.

/// How stored pixels become upright ones: transposed first, then mirrored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Orientation {
    /// Rows become columns.
    pub transpose: bool,
    /// Left and right change places (after the transposition).
    pub flip_horizontal: bool,
    /// Top and bottom change places (after the transposition).
    pub flip_vertical: bool,
}

impl Orientation {
    /// From the 36 bytes of a display matrix: nine native-endian i32, `(x, y) -> (a x + c y, b x + d y)` with
    /// a = m\[0\], b = m\[1\], c = m\[3\], d = m\[4\] (libavutil/display.h). Angles between the quarter turns go to
    /// the nearest. `None`: not a display matrix.
    pub fn from_display_matrix(bytes: &[u8]) -> Option<Self> {
        let m = |i: usize| Some(i32::from_ne_bytes(bytes.get(i * 4..i * 4 + 4)?.try_into().ok()?));
        let (a, b, c, d) = (m(0)?, m(1)?, m(3)?, m(4)?);
        let transpose = b.unsigned_abs() > a.unsigned_abs();
        let (x, y) = if transpose { (c, b) } else { (a, d) };
        Some(Self { transpose, flip_horizontal: x < 0, flip_vertical: y < 0 })
    }

    /// The clockwise rotation in degrees, 0, 90, 180 or 270; a mirror image counts as the turn that keeps its top.
    pub fn degrees(self) -> u32 {
        match (self.transpose, self.flip_horizontal, self.flip_vertical) {
            (false, _, false) => 0,
            (true, true, _) => 90,
            (false, _, true) => 180,
            (true, false, _) => 270,
        }
    }

    /// Width and height after this turn of a picture that is `(width, height)` before it.
    pub fn size(self, (width, height): (u32, u32)) -> (u32, u32) {
        if self.transpose { (height, width) } else { (width, height) }
    }

    /// Turns `source`, `width x height` RGB pixels, into `target`, which is resized to fit.
    pub fn apply(self, source: &[u8], (width, height): (u32, u32), target: &mut Vec<u8>) {
        let (w, h) = (width as usize, height as usize);
        let (out_w, out_h) = if self.transpose { (h, w) } else { (w, h) };
        target.clear();
        target.reserve(source.len());
        for y in 0..out_h {
            let y = if self.flip_vertical { out_h - 1 - y } else { y };
            for x in 0..out_w {
                let x = if self.flip_horizontal { out_w - 1 - x } else { x };
                let at = 3 * if self.transpose { x * w + y } else { y * w + x };
                target.extend_from_slice(&source[at..at + 3]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(a: i32, b: i32, c: i32, d: i32) -> Vec<u8> {
        [a, b, 0, c, d, 0, 0, 0, 1 << 30].iter().flat_map(|v| v.to_ne_bytes()).collect()
    }

    const ONE: i32 = 1 << 16;

    #[test]
    fn quarter_turns() {
        for (m, degrees, turned) in [
            (matrix(ONE, 0, 0, ONE), 0, [1, 2, 3, 4, 5, 6]),
            (matrix(0, ONE, -ONE, 0), 90, [4, 1, 5, 2, 6, 3]),
            (matrix(-ONE, 0, 0, -ONE), 180, [6, 5, 4, 3, 2, 1]),
            (matrix(0, -ONE, ONE, 0), 270, [3, 6, 2, 5, 1, 4]),
        ] {
            let orientation = Orientation::from_display_matrix(&m).unwrap();
            assert_eq!(orientation.degrees(), degrees);
            // 3 x 2 pixels: 1 2 3 / 4 5 6
            let source: Vec<u8> = (1..=6).flat_map(|v| [v; 3]).collect();
            let mut target = Vec::new();
            orientation.apply(&source, (3, 2), &mut target);
            assert_eq!(target.chunks(3).map(|p| p[0]).collect::<Vec<_>>(), turned, "{degrees}");
            assert_eq!(orientation.size((3, 2)), if degrees % 180 == 0 { (3, 2) } else { (2, 3) });
        }
    }

    #[test]
    fn mirrored() {
        let mirrored = Orientation::from_display_matrix(&matrix(-ONE, 0, 0, ONE)).unwrap();
        let mut target = Vec::new();
        mirrored.apply(&[1, 1, 1, 2, 2, 2], (2, 1), &mut target);
        assert_eq!((mirrored.degrees(), target), (0, vec![2, 2, 2, 1, 1, 1]));
    }

    #[test]
    fn too_short_a_matrix_is_none() {
        assert_eq!(Orientation::from_display_matrix(&[0; 12]), None);
    }
}
