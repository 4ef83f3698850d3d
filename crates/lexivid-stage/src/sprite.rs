//! An actor on a frame.

use image::{Rgb, RgbImage, RgbaImage, imageops};

/// A picture with alpha, premultiplied, at three sizes, so that small ones are not jagged.
#[derive(Debug, Clone)]
pub struct Sprite {
    /// From whole size to a quarter.
    levels: Vec<Level>,
}

#[derive(Debug, Clone)]
struct Level {
    width: usize,
    height: usize,
    /// Red, green and blue times alpha, and alpha; 0 to 255.
    pixels: Vec<[f32; 4]>,
}

/// Where and how a sprite stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pose {
    /// Its middle, in pixels of the frame.
    pub x: f32,
    /// Its middle, in pixels of the frame.
    pub y: f32,
    /// Its longer side, in pixels of the frame.
    pub size: f32,
    /// Clockwise, in radians.
    pub angle: f32,
    /// Width against its own, negative for mirrored: turning about its vertical axis.
    pub turn: f32,
    /// From 0, not there, to 1.
    pub opacity: f32,
}

impl Sprite {
    /// From a picture with alpha.
    pub fn new(picture: &RgbaImage) -> Self {
        let halved = |picture: &RgbaImage, by: u32| {
            let (width, height) = ((picture.width() / by).max(1), (picture.height() / by).max(1));
            imageops::resize(picture, width, height, imageops::FilterType::Triangle)
        };
        Self { levels: vec![Level::new(picture), Level::new(&halved(picture, 2)), Level::new(&halved(picture, 4))] }
    }

    /// Draws it over `frame`.
    pub fn draw(&self, frame: &mut RgbImage, pose: Pose) {
        let longest = |level: &Level| level.width.max(level.height) as f32;
        // The smallest level that is not enlarged.
        let fits = self.levels.iter().rev().find(|level| longest(level) >= pose.size);
        let level = fits.unwrap_or(&self.levels[0]);
        let scale = pose.size / longest(level);
        if scale <= 0.0 || pose.opacity <= 0.0 || pose.turn.abs() < 0.02 {
            return;
        }
        let (sin, cos) = pose.angle.sin_cos();
        let reach = 0.5 * scale * (level.width as f32).hypot(level.height as f32) + 1.0;
        let range = |middle: f32, length: u32| {
            let low = (middle - reach).floor().max(0.0) as u32;
            low..((middle + reach).ceil().max(0.0) as u32).min(length)
        };
        for y in range(pose.y, frame.height()) {
            for x in range(pose.x, frame.width()) {
                let (dx, dy) = (x as f32 + 0.5 - pose.x, y as f32 + 0.5 - pose.y);
                let u = (dx * cos + dy * sin) / (scale * pose.turn) + level.width as f32 / 2.0 - 0.5;
                let v = (dy * cos - dx * sin) / scale + level.height as f32 / 2.0 - 0.5;
                let [r, g, b, a] = level.at(u, v).map(|value| value * pose.opacity);
                if a > 0.0 {
                    let under = frame.get_pixel(x, y).0;
                    let over = |c: f32, under: u8| (c + f32::from(under) * (1.0 - a / 255.0)).round() as u8;
                    frame.put_pixel(x, y, Rgb([over(r, under[0]), over(g, under[1]), over(b, under[2])]));
                }
            }
        }
    }
}

impl Level {
    fn new(picture: &RgbaImage) -> Self {
        let premultiplied = picture.pixels().map(|pixel| {
            let alpha = f32::from(pixel[3]) / 255.0;
            [f32::from(pixel[0]) * alpha, f32::from(pixel[1]) * alpha, f32::from(pixel[2]) * alpha, f32::from(pixel[3])]
        });
        Self { width: picture.width() as usize, height: picture.height() as usize, pixels: premultiplied.collect() }
    }

    /// Bilinear; transparent outside.
    fn at(&self, u: f32, v: f32) -> [f32; 4] {
        let (left, top) = (u.floor(), v.floor());
        let (du, dv) = (u - left, v - top);
        let mut sum = [0.0; 4];
        for (dx, dy, weight) in
            [(0, 0, (1.0 - du) * (1.0 - dv)), (1, 0, du * (1.0 - dv)), (0, 1, (1.0 - du) * dv), (1, 1, du * dv)]
        {
            let (x, y) = (left as i64 + dx, top as i64 + dy);
            if (0..self.width as i64).contains(&x) && (0..self.height as i64).contains(&y) {
                let pixel = self.pixels[y as usize * self.width + x as usize];
                sum.iter_mut().zip(pixel).for_each(|(sum, value)| *sum += weight * value);
            }
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgba;

    #[test]
    fn stands_where_it_is_put() {
        // Left half red, right half green.
        let picture =
            RgbaImage::from_fn(40, 40, |x, _| if x < 20 { Rgba([255, 0, 0, 255]) } else { Rgba([0, 255, 0, 255]) });
        let sprite = Sprite::new(&picture);
        let straight = Pose { x: 30.0, y: 20.0, size: 20.0, angle: 0.0, turn: 1.0, opacity: 1.0 };
        let drawn = |pose| {
            let mut frame = RgbImage::new(60, 60);
            sprite.draw(&mut frame, pose);
            frame
        };
        let frame = drawn(straight);
        assert_eq!(frame.get_pixel(24, 20), &Rgb([255, 0, 0]));
        assert_eq!(frame.get_pixel(36, 20), &Rgb([0, 255, 0]));
        assert_eq!(frame.get_pixel(30, 35), &Rgb([0, 0, 0]));
        // A quarter turn clockwise takes the left to the top.
        let turned = drawn(Pose { angle: std::f32::consts::FRAC_PI_2, ..straight });
        assert_eq!(turned.get_pixel(30, 14), &Rgb([255, 0, 0]));
        let mirrored = drawn(Pose { turn: -1.0, ..straight });
        assert_eq!(mirrored.get_pixel(24, 20), &Rgb([0, 255, 0]));
        let faint = drawn(Pose { opacity: 0.5, ..straight });
        assert_eq!(faint.get_pixel(24, 20), &Rgb([128, 0, 0]));
        assert_eq!(drawn(Pose { opacity: 0.0, ..straight }), RgbImage::new(60, 60));
    }
}
