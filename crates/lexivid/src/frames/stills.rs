//! Full frames, upright and undistorted, for a report.

use super::{
    Filter,
    resize::{PillowResizer, Region},
    walk::{Skipping, walk},
};
use crate::video::{DecodeOptions, Decoder, Frame, Picture, VideoError, watch};
use image::RgbImage;
use std::path::Path;

/// The frames of `source`, a file or URL, on display at `times` (seconds from the first frame, in any order), one a
/// time. Pixels are square; the longer side has `max_side` pixels, or fewer when the frame is smaller. A time after
/// the end gets the last frame.
///
/// # Errors
/// [`VideoError`] when the source cannot be opened, has no frames, or makes no progress for `options.stall_timeout`.
pub fn stills(
    source: &Path,
    options: &DecodeOptions,
    times: &[f64],
    max_side: u32,
) -> Result<Vec<RgbImage>, VideoError> {
    let mut order: Vec<usize> = (0..times.len()).collect();
    order.sort_by(|a, b| times[*a].total_cmp(&times[*b]));
    let targets: Vec<f64> = order.iter().map(|i| times[*i]).collect();
    let path = source.to_path_buf();
    let shown: Vec<RgbImage> = watch(source, options.stall_timeout, 1, move |pulse, outlet| {
        let (mut decoder, first) = Decoder::open(&path, None, &pulse)?;
        let (mut picture, mut shown) = (Picture::default(), Vec::with_capacity(targets.len()));
        let mut resizer = PillowResizer::default();
        let mut last = thumbnail(&mut decoder, &first, &mut picture, &mut resizer, max_side)?;
        walk(&mut decoder, first, &targets, Skipping::Exact, |decoder, frame, served| {
            last = thumbnail(decoder, frame, &mut picture, &mut resizer, max_side)?;
            shown.extend(served.map(|_| last.clone()));
            Ok(true)
        })?;
        shown.resize(targets.len(), last);
        outlet.send(shown);
        Ok(())
    })?
    .only()?;
    let mut stills: Vec<(usize, RgbImage)> = order.into_iter().zip(shown).collect();
    stills.sort_by_key(|(i, _)| *i);
    Ok(stills.into_iter().map(|(_, still)| still).collect())
}

fn thumbnail(
    decoder: &mut Decoder,
    frame: &Frame,
    picture: &mut Picture,
    resizer: &mut PillowResizer,
    max_side: u32,
) -> Result<RgbImage, VideoError> {
    decoder.picture(frame, picture)?;
    let (width, height) = picture.display_size();
    let scale = (f64::from(max_side) / f64::from(width.max(height))).min(1.0);
    let side = |full: u32| ((f64::from(full) * scale).round() as u32).max(1);
    let size = (side(width), side(height));
    let whole = Region { whole: (size.0.into(), size.1.into()), x: 0, y: 0, size };
    let rgb = resizer.resize(picture, whole, Filter::Bicubic);
    Ok(RgbImage::from_fn(size.0, size.1, |x, y| {
        let at = 3 * (y as usize * size.0 as usize + x as usize);
        image::Rgb([rgb[at], rgb[at + 1], rgb[at + 2]])
    }))
}
