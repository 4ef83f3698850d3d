//! Upright pictures -> a model's pixels, resized as Pillow does it: convolution with the filter widened by the scale, in
//! 8 bits, horizontally and then vertically (Pillow, `src/libImaging/Resample.c`).

use super::{Filter, FramePixels, Preprocessing, View};
use crate::video::Picture;
use fast_image_resize::{
    FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer,
    images::{Image, ImageRef},
};
use image::RgbImage;
use tracing::debug_span;

/// A part of a picture's area, in the coordinates that the picture has once it is resized.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Region {
    /// Size that the whole picture would be resized to.
    pub whole: (u64, u64),
    /// Left edge.
    pub x: u64,
    /// Top edge.
    pub y: u64,
    /// Width and height, both at least 1.
    pub size: (u32, u32),
}

/// Resizes as Pillow does, keeping its buffers.
#[derive(Default)]
pub(super) struct PillowResizer {
    resizer: Resizer,
    /// The picture after the horizontal pass.
    narrowed: Vec<u8>,
}

impl PillowResizer {
    /// `region` of `picture` resized, `size.1 * size.0 * 3` bytes. Only the region is computed, so that a picture a
    /// million times as wide as high costs no more than any other.
    pub fn resize(&mut self, picture: &Picture, region: Region, filter: Filter) -> Vec<u8> {
        let _span = debug_span!("resize").entered();
        let (width, height) = region.size;
        // (start, length) of the region in the picture's pixels; rounding must not lead outside.
        let part = |start: u64, length: u32, whole: u64, source: u32| {
            let scale = f64::from(source) / whole as f64;
            let start = start as f64 * scale;
            (start, (f64::from(length) * scale).min(f64::from(source) - start))
        };
        let columns = part(region.x, width, region.whole.0, picture.width);
        let rows = part(region.y, height, region.whole.1, picture.height);
        // One call for each pass: fast_image_resize would begin with the vertical one, and what a filter overshoots
        // is cut off between the passes, so that their order can be seen at sharp edges.
        self.narrowed.resize(width as usize * picture.height as usize * 3, 0);
        let full_height = (0.0, f64::from(picture.height));
        let mut narrowed = std::mem::take(&mut self.narrowed);
        let source = (&picture.rgb[..], (picture.width, picture.height));
        self.pass(source, (&mut narrowed, (width, picture.height)), columns, full_height, filter);
        let mut out = vec![0; width as usize * height as usize * 3];
        let source = (&narrowed[..], (width, picture.height));
        self.pass(source, (&mut out, (width, height)), (0.0, f64::from(width)), rows, filter);
        self.narrowed = narrowed;
        out
    }

    /// `columns` and `rows` (start, length) of `source` resized into `target`; both are pixels and their size.
    fn pass(
        &mut self,
        (source, (source_width, source_height)): (&[u8], (u32, u32)),
        (target, (width, height)): (&mut [u8], (u32, u32)),
        columns: (f64, f64),
        rows: (f64, f64),
        filter: Filter,
    ) {
        let filter = match filter {
            Filter::Bilinear => FilterType::Bilinear,
            Filter::Bicubic => FilterType::CatmullRom,
            Filter::Lanczos => FilterType::Lanczos3,
        };
        let options =
            ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter)).crop(columns.0, rows.0, columns.1, rows.1);
        let source = ImageRef::new(source_width, source_height, source, PixelType::U8x3);
        let target = Image::from_slice_u8(width, height, target, PixelType::U8x3);
        let resized = match (source, target) {
            (Ok(source), Ok(mut target)) => self.resizer.resize(&source, &mut target, &options).is_ok(),
            _ => false,
        };
        debug_assert!(resized, "buffers of the stated size and a region inside the picture always fit");
    }
}

/// Takes a model's views out of pictures.
pub(super) struct Preprocessor {
    preprocessing: Preprocessing,
    resizer: PillowResizer,
}

impl Preprocessor {
    pub fn new(preprocessing: &Preprocessing) -> Self {
        Self { preprocessing: preprocessing.clone(), resizer: PillowResizer::default() }
    }

    /// One picture a view. The sample aspect ratio is taken care of by the same resize.
    pub fn views(&mut self, picture: &Picture) -> Vec<RgbImage> {
        let Preprocessing { size: (height, width), ref views, filter, .. } = self.preprocessing;
        let resizer = &mut self.resizer;
        let view = |view: &View| {
            let resized = |edge| shortest_edge_size(picture.display_size(), edge);
            let (pixels, (width, height)) = match *view {
                View::CentreCrop { shortest_edge } => {
                    let size = (width, height);
                    (centre_crop(resizer, picture, resized(shortest_edge), size, filter), size)
                }
                View::Whole { shortest_edge, longest_edge } => {
                    let whole = resized(shortest_edge);
                    let size = (whole.0.min(longest_edge.into()) as u32, whole.1.min(longest_edge.into()) as u32);
                    (centre_crop(resizer, picture, whole, size, filter), size)
                }
                View::Stretch => {
                    let size = (width, height);
                    let whole = (width.into(), height.into());
                    (resizer.resize(picture, Region { whole, x: 0, y: 0, size }, filter), size)
                }
            };
            RgbImage::from_raw(width, height, pixels).expect("three bytes a pixel")
        };
        views.iter().map(view).collect()
    }
}

/// The pixels that a model takes of a still picture, which stands at time 0. Pixels are square.
pub fn preprocess(picture: RgbImage, preprocessing: &Preprocessing) -> FramePixels {
    let (width, height) = picture.dimensions();
    let picture = Picture { width, height, pixel_aspect: 1.0, rgb: picture.into_raw() };
    FramePixels { time: 0.0, views: Preprocessor::new(preprocessing).views(&picture) }
}

/// Size after a resize of the shorter side to `edge`, as transformers' `get_resize_output_image_size` rounds it:
/// the longer side is rounded down.
fn shortest_edge_size((width, height): (u32, u32), edge: u32) -> (u64, u64) {
    let (width, height, edge) = (u64::from(width), u64::from(height), u64::from(edge));
    if width <= height { (edge, edge * height / width) } else { (edge * width / height, edge) }
}

/// The middle of `picture` once it is resized to `whole`, as transformers' `center_crop` cuts it: offsets are rounded
/// down, and a crop that is larger than the picture is filled up with zeros.
fn centre_crop(
    resizer: &mut PillowResizer,
    picture: &Picture,
    whole: (u64, u64),
    crop: (u32, u32),
    filter: Filter,
) -> Vec<u8> {
    // (start in the picture, start in the crop, length), along one axis
    let overlap = |whole: u64, crop: u32| {
        let wide = u64::from(crop);
        if whole >= wide {
            ((whole - wide) / 2, 0, crop)
        } else {
            (0, (wide - whole).div_ceil(2) as usize, whole as u32)
        }
    };
    let (x, pad_x, width) = overlap(whole.0, crop.0);
    let (y, pad_y, height) = overlap(whole.1, crop.1);
    let resized = resizer.resize(picture, Region { whole, x, y, size: (width, height) }, filter);
    if (width, height) == crop {
        return resized;
    }
    let mut padded = vec![0; crop.0 as usize * crop.1 as usize * 3];
    let (from, to) = (width as usize * 3, crop.0 as usize * 3);
    for (source, target) in resized.chunks_exact(from).zip(padded.chunks_exact_mut(to).skip(pad_y)) {
        target[pad_x * 3..pad_x * 3 + from].copy_from_slice(source);
    }
    padded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Golden {
        width: u32,
        height: u32,
        filter: Filter,
        /// 0: stretched.
        shortest_edge: u32,
        size: (u32, u32),
        rgb: String,
    }

    /// The picture that scripts/goldens/preprocessing.py makes.
    fn picture(width: u32, height: u32) -> Picture {
        let value = |x: u32, y: u32, c: u32| {
            if (x / 7 + y / 4).is_multiple_of(5) {
                0
            } else if (x / 5 + y / 3).is_multiple_of(4) {
                255
            } else {
                ((x * x * 3 + y * y * 5 + x * y * (c + 1) + 40 * c) / 7 % 256) as u8
            }
        };
        let rgb = (0..height).flat_map(|y| (0..width).flat_map(move |x| [0, 1, 2].map(|c| value(x, y, c)))).collect();
        Picture { width, height, pixel_aspect: 1.0, rgb }
    }

    fn preprocessor(size: (u32, u32), view: View, filter: Filter) -> Preprocessor {
        Preprocessor::new(&Preprocessing { size, views: vec![view], filter, mean: [0.0; 3], std: [1.0; 3] })
    }

    #[test]
    fn as_pillow_and_transformers() {
        let goldens: Vec<Golden> =
            serde_json::from_str(include_str!("../../tests/goldens/preprocessing.json")).unwrap();
        let (mut largest, mut count, mut unequal) = (0, 0, 0);
        for golden in &goldens {
            let view = match golden.shortest_edge {
                0 => View::Stretch,
                shortest_edge => View::CentreCrop { shortest_edge },
            };
            let views = preprocessor(golden.size, view, golden.filter).views(&picture(golden.width, golden.height));
            assert_eq!(views[0].len() * 2, golden.rgb.len());
            for (i, got) in views[0].iter().enumerate() {
                let expected = u8::from_str_radix(&golden.rgb[i * 2..i * 2 + 2], 16).unwrap();
                largest = largest.max(got.abs_diff(expected));
                count += 1;
                unequal += usize::from(*got != expected);
            }
        }
        // Levels of 255.
        assert!(largest <= 1, "largest difference {largest}, {unequal} of {count} differ");
        assert!(unequal * 100 <= count, "{unequal} of {count} differ");
    }

    #[test]
    fn a_whole_view_has_the_frames_shape_up_to_a_length() {
        let picture = picture(90, 40);
        let view = |longest_edge| {
            let view = View::Whole { shortest_edge: 20, longest_edge };
            preprocessor((7, 7), view, Filter::Bilinear).views(&picture).remove(0)
        };
        let whole = view(50);
        assert_eq!(whole.dimensions(), (45, 20));
        let region = Region { whole: (45, 20), x: 0, y: 0, size: (45, 20) };
        assert_eq!(*whole, PillowResizer::default().resize(&picture, region, Filter::Bilinear));
        let middle = view(31);
        assert_eq!(middle.dimensions(), (31, 20));
        for (x, y, pixel) in middle.enumerate_pixels() {
            let expected = whole.get_pixel(x + 7, y);
            assert!((0..3).all(|c| pixel[c].abs_diff(expected[c]) <= 1), "{x}, {y}: {pixel:?}, expected {expected:?}");
        }
    }

    #[test]
    fn wide_pixels_are_resized_in_the_same_step() {
        // 8 x 8 pixels, each twice as wide as high: shown 16 x 8, so that the middle half of the columns is cropped.
        let mut stored = picture(8, 8);
        stored.pixel_aspect = 2.0;
        for (i, pixel) in stored.rgb.chunks_exact_mut(3).enumerate() {
            pixel.fill(if (2..6).contains(&(i % 8)) { 200 } else { 10 });
        }
        let views = preprocessor((4, 4), View::CentreCrop { shortest_edge: 4 }, Filter::Bilinear).views(&stored);
        let row: Vec<u8> = views[0].chunks_exact(3).map(|p| p[0]).take(4).collect();
        assert_eq!(row, [200; 4]);
    }

    #[test]
    fn a_hair_costs_no_more_than_a_square() {
        let views = preprocessor((16, 16), View::CentreCrop { shortest_edge: 16 }, Filter::Bicubic).views(&Picture {
            width: 60_000,
            height: 1,
            pixel_aspect: 1.0,
            rgb: vec![7; 180_000],
        });
        assert_eq!(*views[0], [7; 16 * 16 * 3]);
    }
}
