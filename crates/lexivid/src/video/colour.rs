//! Decoded pixels of any format -> RGB, 8 bits a channel, with the frame's own matrix and range.
//!
//! swscale brings luma and chroma to one size and 8 bits; the matrix is ours, because the binding gives no safe way to
//! tell swscale which one to use and its default is BT.601 for everything.

use ffmpeg::{
    color::{Range, Space},
    format::Pixel,
    frame,
    software::scaling::{Context as Scaler, Flags},
};

/// What swscale is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Planes {
    /// Y'CbCr, one sample of each a pixel.
    Ycbcr,
    /// Luma only.
    Grey,
    /// R'G'B', interleaved; alpha is dropped, not blended, as PIL's `convert("RGB")` does.
    Rgb,
}

/// Converts frames, keeping its buffers from one to the next.
pub(super) struct Converter {
    scaler: Option<Scaler>,
    planes: frame::Video,
    max_width: Option<u32>,
}

impl Converter {
    /// `max_width`: wider frames are made this wide, the aspect ratio kept, when a preview is enough.
    pub fn new(max_width: Option<u32>) -> Self {
        Self { scaler: None, planes: frame::Video::empty(), max_width }
    }

    /// `frame` as RGB into `rgb`, row-major, channels last, no padding; gives width and height.
    pub fn convert(&mut self, frame: &frame::Video, rgb: &mut Vec<u8>) -> Result<(u32, u32), ffmpeg::Error> {
        let (planes, target) = target_format(frame.format());
        let (width, height) = match self.max_width {
            Some(max) if frame.width() > max => {
                (max, ((u64::from(frame.height()) * u64::from(max)) / u64::from(frame.width())).max(1) as u32)
            }
            _ => (frame.width(), frame.height()),
        };
        let fits = |s: &Scaler| {
            let (from, to) = (s.input(), s.output());
            (from.format, from.width, from.height) == (frame.format(), frame.width(), frame.height())
                && (to.format, to.width, to.height) == (target, width, height)
        };
        let scaler = match self.scaler.take().filter(fits) {
            Some(scaler) => self.scaler.insert(scaler),
            None => {
                self.planes = frame::Video::empty();
                // ACCURATE_RND and BITEXACT: the same pixels on every machine.
                let kernel = if width == frame.width() { Flags::BICUBIC } else { Flags::AREA };
                let flags = kernel | Flags::ACCURATE_RND | Flags::BITEXACT;
                self.scaler.insert(Scaler::get(
                    frame.format(),
                    frame.width(),
                    frame.height(),
                    target,
                    width,
                    height,
                    flags,
                )?)
            }
        };
        scaler.run(frame, &mut self.planes)?;

        let (w, h) = (width as usize, height as usize);
        // Not cleared: every byte is written below.
        rgb.resize(w * h * 3, 0);
        let row = |plane: usize, y: usize, bytes: usize| {
            let start = y * self.planes.stride(plane);
            &self.planes.data(plane)[start..start + bytes]
        };
        let matrix = Matrix::of(frame, planes);
        for (y, out) in rgb.chunks_exact_mut(w * 3).enumerate() {
            match planes {
                Planes::Rgb => out.copy_from_slice(row(0, y, w * 3)),
                Planes::Grey => matrix.greys(row(0, y, w), out),
                Planes::Ycbcr => matrix.colours(row(0, y, w), row(1, y, w), row(2, y, w), out),
            }
        }
        debug_assert_eq!(rgb.len(), w * h * 3);
        Ok((width, height))
    }
}

/// Formats are told apart by FFmpeg's names: the descriptor's flags are not in the binding.
fn target_format(format: Pixel) -> (Planes, Pixel) {
    let name = format.descriptor().map_or("", |d| d.name());
    let starts = |prefixes: &[&str]| prefixes.iter().any(|p| name.starts_with(p));
    if name.starts_with("yuvj") {
        // swscale would change the range of a "j" format on its way to one without.
        (Planes::Ycbcr, Pixel::YUVJ444P)
    } else if starts(&["yuv", "yuyv", "yvyu", "uyvy", "uyyv", "nv", "p0", "p2", "p4", "y2", "vuy", "ayuv", "xv"]) {
        (Planes::Ycbcr, Pixel::YUV444P)
    } else if name.starts_with("gray") {
        (Planes::Grey, Pixel::GRAY8)
    } else {
        (Planes::Rgb, Pixel::RGB24)
    }
}

/// Y'CbCr -> R'G'B' in 16-bit fixed point (ITU-R BT.601, BT.709, BT.2020: E'_R = E'_Y + 2 (1 - Kr) E'_Cr and so on).
#[derive(Debug, Clone, Copy)]
struct Matrix {
    black: i32,
    luma: i32,
    cr_to_r: i32,
    cb_to_g: i32,
    cr_to_g: i32,
    cb_to_b: i32,
}

const FIXED: f64 = 65536.0;

impl Matrix {
    /// The matrix that the frame names. Frames that name none are BT.601 with limited range, as FFmpeg itself and the
    /// tools on top of it take them; grey frames that name none are full range.
    fn of(frame: &frame::Video, planes: Planes) -> Self {
        let j = frame.format().descriptor().is_some_and(|d| d.name().starts_with("yuvj"));
        let full = match frame.color_range() {
            Range::JPEG => true,
            Range::MPEG => j,
            Range::Unspecified => j || planes == Planes::Grey,
        };
        let (kr, kb) = match frame.color_space() {
            Space::BT709 => (0.2126, 0.0722),
            Space::FCC => (0.30, 0.11),
            Space::SMPTE240M => (0.212, 0.087),
            Space::BT2020NCL | Space::BT2020CL => (0.2627, 0.0593),
            _ => (0.299, 0.114),
        };
        Self::new(kr, kb, full)
    }

    /// From the weights of red and blue in luma.
    fn new(kr: f64, kb: f64, full_range: bool) -> Self {
        let (black, luma, chroma) = if full_range { (0, 1.0, 1.0) } else { (16, 255.0 / 219.0, 255.0 / 224.0) };
        let kg = 1.0 - kr - kb;
        let fixed = |x: f64| (x * FIXED).round() as i32;
        Self {
            black,
            luma: fixed(luma),
            cr_to_r: fixed(chroma * 2.0 * (1.0 - kr)),
            cb_to_g: fixed(chroma * 2.0 * (1.0 - kb) * kb / kg),
            cr_to_g: fixed(chroma * 2.0 * (1.0 - kr) * kr / kg),
            cb_to_b: fixed(chroma * 2.0 * (1.0 - kb)),
        }
    }

    /// One row: luma `[W]`, Cb `[W]`, Cr `[W]` -> `out`, `[W, 3]`.
    fn colours(&self, luma: &[u8], cb: &[u8], cr: &[u8], out: &mut [u8]) {
        for (((&y, &cb), &cr), rgb) in luma.iter().zip(cb).zip(cr).zip(out.chunks_exact_mut(3)) {
            let y = (i32::from(y) - self.black) * self.luma + (1 << 15);
            let (cb, cr) = (i32::from(cb) - 128, i32::from(cr) - 128);
            rgb[0] = level(y + self.cr_to_r * cr);
            rgb[1] = level(y - self.cb_to_g * cb - self.cr_to_g * cr);
            rgb[2] = level(y + self.cb_to_b * cb);
        }
    }

    /// One row: luma `[W]` -> `out`, `[W, 3]`.
    fn greys(&self, luma: &[u8], out: &mut [u8]) {
        for (&y, rgb) in luma.iter().zip(out.chunks_exact_mut(3)) {
            rgb.fill(level((i32::from(y) - self.black) * self.luma + (1 << 15)));
        }
    }
}

fn level(fixed: i32) -> u8 {
    (fixed >> 16).clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Solid colour in 4:2:0, as the given space and range encode it.
    fn solid(ycbcr: [u8; 3], space: Space, range: Range) -> frame::Video {
        let mut frame = frame::Video::new(Pixel::YUV420P, 6, 4);
        frame.set_color_space(space);
        frame.set_color_range(range);
        for (plane, value) in ycbcr.into_iter().enumerate() {
            frame.data_mut(plane).fill(value);
        }
        frame
    }

    fn pixel(frame: &frame::Video) -> [u8; 3] {
        let mut rgb = Vec::new();
        assert_eq!(Converter::new(None).convert(frame, &mut rgb).unwrap(), (6, 4));
        assert!(rgb.chunks(3).all(|p| p == &rgb[..3]));
        [rgb[0], rgb[1], rgb[2]]
    }

    /// Saturated red has a code in every standard: Y' = 16 + 219 Kr, Cr = 240, Cb = 128 - 112 Kr / (1 - Kb).
    #[test]
    fn red_is_red_in_every_space() {
        for (space, ycbcr) in
            [(Space::BT709, [63, 102, 240]), (Space::SMPTE170M, [81, 90, 240]), (Space::BT2020NCL, [74, 97, 240])]
        {
            let [r, g, b] = pixel(&solid(ycbcr, space, Range::MPEG));
            assert!(r >= 253 && g <= 2 && b <= 2, "{space:?}: {r} {g} {b}");
        }
    }

    #[test]
    fn an_unnamed_space_is_bt601() {
        assert_eq!(
            pixel(&solid([81, 90, 240], Space::Unspecified, Range::Unspecified)),
            pixel(&solid([81, 90, 240], Space::SMPTE170M, Range::MPEG))
        );
    }

    #[test]
    fn range() {
        assert_eq!(pixel(&solid([16, 128, 128], Space::BT709, Range::MPEG)), [0; 3]);
        assert_eq!(pixel(&solid([235, 128, 128], Space::BT709, Range::MPEG)), [255; 3]);
        assert_eq!(pixel(&solid([16, 128, 128], Space::BT709, Range::JPEG)), [16; 3]);
    }

    #[test]
    fn previews_keep_the_aspect_ratio() {
        let mut rgb = Vec::new();
        let frame = solid([235, 128, 128], Space::BT709, Range::MPEG);
        assert_eq!(Converter::new(Some(3)).convert(&frame, &mut rgb).unwrap(), (3, 2));
        assert_eq!(rgb, [255; 18]);
    }
}
