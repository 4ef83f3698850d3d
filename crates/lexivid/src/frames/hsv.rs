//! RGB -> HSV as OpenCV has it for 8 bits (`cv::cvtColor`, `COLOR_RGB2HSV`): H in 0..180, S and V in 0..256, in the same
//! 12-bit fixed point (modules/imgproc/src/color_hsv.simd.hpp, `RGB2HSV_b`).

use std::sync::LazyLock;

const SHIFT: u32 = 12;

/// `round(full * 4096 / i)`.
fn reciprocals(full: f64) -> [i32; 256] {
    std::array::from_fn(|i| if i == 0 { 0 } else { (full * f64::from(1 << SHIFT) / i as f64).round_ties_even() as i32 })
}

static SATURATION: LazyLock<[i32; 256]> = LazyLock::new(|| reciprocals(255.0));
static HUE: LazyLock<[i32; 256]> = LazyLock::new(|| reciprocals(180.0 / 6.0));

/// `[N, 3]` -> `[N, 3]`, in place.
pub(super) fn rgb_to_hsv(pixels: &mut [u8]) {
    let (saturation, hue) = (&*SATURATION, &*HUE);
    for pixel in pixels.chunks_exact_mut(3) {
        let [r, g, b] = [pixel[0], pixel[1], pixel[2]].map(i32::from);
        let value = r.max(g).max(b);
        let range = value - r.min(g).min(b);
        let sector = if value == r {
            g - b
        } else if value == g {
            b - r + 2 * range
        } else {
            r - g + 4 * range
        };
        let fixed = |x: i32| (x + (1 << (SHIFT - 1))) >> SHIFT;
        let h = fixed(sector * hue[range as usize]);
        pixel[0] = if h < 0 { h + 180 } else { h } as u8;
        pixel[1] = fixed(range * saturation[value as usize]) as u8;
        pixel[2] = value as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corners_of_the_colour_cube() {
        for (rgb, hsv) in [
            ([255, 0, 0], [0, 255, 255]),
            ([0, 255, 0], [60, 255, 255]),
            ([0, 0, 255], [120, 255, 255]),
            ([255, 0, 255], [150, 255, 255]),
            ([128, 128, 128], [0, 0, 128]),
            ([0, 0, 0], [0, 0, 0]),
        ] {
            let mut pixel = rgb;
            rgb_to_hsv(&mut pixel);
            assert_eq!(pixel, hsv, "{rgb:?}");
        }
    }
}
