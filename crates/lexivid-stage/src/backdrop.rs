//! What actors stand before: textures made of noise, none of them of anything.

use crate::random::Random;
use image::{Rgb, RgbImage};

/// A way of making backdrops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Sky above uneven ground.
    Land,
    /// A gradient with grain.
    Grain,
    /// Rows of bricks.
    Bricks,
    /// Discs of light, out of focus.
    Lights,
    /// Rings of wood.
    Wood,
    /// Patches of cloud.
    Clouds,
    /// Cells with edges.
    Cells,
    /// Veins in stone.
    Marble,
    /// Waves of sand.
    Dunes,
}

impl Family {
    /// Those that are trained on.
    pub const TRAIN: [Self; 4] = [Self::Land, Self::Grain, Self::Bricks, Self::Lights];
    /// Those for choosing.
    pub const VALIDATION: [Self; 2] = [Self::Wood, Self::Clouds];
    /// Those for judging.
    pub const TEST: [Self; 3] = [Self::Cells, Self::Marble, Self::Dunes];
}

/// A backdrop of `width` x `height` pixels, the same for the same family and seed.
pub fn backdrop(family: Family, seed: u64, width: u32, height: u32) -> RgbImage {
    let mut random = Random::new(seed, "backdrop", family as u64);
    let noise = Noise { seed: seed ^ (family as u64) << 48 };
    let palette = Palette::new(&mut random);
    let grain = random.between(0.0, 0.05);
    let scale = random.between(0.6, 1.6) / 24.0;
    let angle = random.between(0.0, std::f32::consts::TAU);
    let (sin, cos) = angle.sin_cos();
    let horizon = random.between(0.35, 0.7) * height as f32;
    let discs: Vec<[f32; 5]> = (0..14)
        .map(|_| {
            let at = (random.between(0.0, width as f32), random.between(0.0, height as f32));
            [at.0, at.1, random.between(5.0, 22.0), random.unit(), random.between(0.2, 0.7)]
        })
        .collect();
    let points: Vec<(f32, f32, f32)> = (0..(width * height / 500).max(8))
        .map(|_| (random.between(0.0, width as f32), random.between(0.0, height as f32), random.unit()))
        .collect();

    let value = |x: f32, y: f32| -> f32 {
        let (u, v) = ((x * cos + y * sin) * scale, (y * cos - x * sin) * scale);
        match family {
            Family::Land => {
                let ground = horizon + 14.0 * (noise.fractal(x * scale * 0.7, 3.0) - 0.5);
                match y < ground {
                    true => 0.75 + 0.2 * noise.fractal(x * scale * 0.5, y * scale),
                    false => 0.15 + 0.45 * noise.fractal(x * scale * 2.0, y * scale * 4.0),
                }
            }
            Family::Grain => 0.5 + 0.35 * (v / (scale * height as f32)) + 0.15 * (noise.fractal(u, v) - 0.5),
            Family::Bricks => {
                let row = (y * scale * 3.0).floor();
                let (a, b) = ((x * scale * 1.5 + 0.5 * (row % 2.0)).fract(), (y * scale * 3.0).fract());
                let brick = (x * scale * 1.5 + 0.5 * (row % 2.0)).floor();
                match a < 0.08 || b < 0.14 {
                    true => 0.9,
                    false => 0.25 + 0.3 * noise.at(brick as i64, row as i64) + 0.15 * noise.fractal(u * 3.0, v * 3.0),
                }
            }
            Family::Lights => {
                let mut sum = 0.2 + 0.1 * noise.fractal(u, v);
                for [cx, cy, radius, tone, strength] in &discs {
                    let inside = (radius - (x - cx).hypot(y - cy)).clamp(0.0, 2.0) / 2.0;
                    sum += inside * strength * (tone - 0.2);
                }
                sum
            }
            Family::Wood => {
                let ring = (u * u * 0.3 + v * v * 6.0).sqrt() * 4.0 + 2.0 * noise.fractal(u * 0.6, v * 2.0);
                0.35 + 0.3 * (ring.fract() - 0.5).abs() * 2.0 + 0.1 * noise.fractal(u * 2.0, v * 12.0)
            }
            Family::Clouds => ((noise.fractal(u * 0.8, v * 1.4) - 0.35) * 2.2).clamp(0.0, 1.0),
            Family::Cells => {
                let (mut first, mut second, mut tone) = (f32::MAX, f32::MAX, 0.0);
                for (cx, cy, own) in &points {
                    let distance = (x - cx).hypot(y - cy);
                    if distance < first {
                        (second, first, tone) = (first, distance, *own);
                    } else if distance < second {
                        second = distance;
                    }
                }
                if second - first < 1.5 { 0.05 } else { 0.25 + 0.6 * tone }
            }
            Family::Marble => 0.5 + 0.45 * ((u * 2.0 + 5.0 * noise.fractal(u, v)).sin()),
            Family::Dunes => {
                0.5 + 0.3 * (v * 9.0 + 3.0 * noise.fractal(u * 0.5, v * 0.5)).sin() * noise.fractal(u * 0.4, v * 0.7)
            }
        }
    };
    RgbImage::from_fn(width, height, |x, y| {
        let speckle = grain * (noise.at(i64::from(x) + 7919, i64::from(y)) - 0.5);
        palette.at((value(x as f32, y as f32) + speckle).clamp(0.0, 1.0))
    })
}

/// Three colours along a line.
struct Palette([[f32; 3]; 3]);

impl Palette {
    fn new(random: &mut Random) -> Self {
        let mut colour = |low, high| {
            let light = random.between(low, high);
            [0; 3].map(|_| (light + random.between(-0.18, 0.18)).clamp(0.0, 1.0) * 255.0)
        };
        let mut line = [colour(0.1, 0.35), colour(0.35, 0.65), colour(0.6, 0.95)];
        if random.chance(0.3) {
            line.reverse();
        }
        Self(line)
    }

    fn at(&self, value: f32) -> Rgb<u8> {
        let part = usize::from(value >= 0.5);
        let between = value * 2.0 - part as f32;
        Rgb([0, 1, 2].map(|c| (self.0[part][c] * (1.0 - between) + self.0[part + 1][c] * between) as u8))
    }
}

/// Value noise: a hash at whole coordinates, smooth between them.
struct Noise {
    seed: u64,
}

impl Noise {
    /// From 0 to 1.
    fn at(&self, x: i64, y: i64) -> f32 {
        let mut hash =
            self.seed ^ (x as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (y as u64).wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((hash ^ (hash >> 31)) >> 40) as f32 / (1 << 24) as f32
    }

    fn smooth(&self, x: f32, y: f32) -> f32 {
        let (left, top) = (x.floor(), y.floor());
        let fade = |t: f32| t * t * (3.0 - 2.0 * t);
        let (u, v) = (fade(x - left), fade(y - top));
        let corner = |dx, dy| self.at(left as i64 + dx, top as i64 + dy);
        let upper = corner(0, 0) * (1.0 - u) + corner(1, 0) * u;
        let lower = corner(0, 1) * (1.0 - u) + corner(1, 1) * u;
        upper * (1.0 - v) + lower * v
    }

    /// Four octaves; from 0 to 1.
    fn fractal(&self, x: f32, y: f32) -> f32 {
        let octaves = [(1.0, 0.5), (2.0, 0.25), (4.0, 0.15), (8.0, 0.1)];
        octaves.iter().map(|(frequency, weight)| weight * self.smooth(x * frequency, y * frequency)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_differ_and_seeds_decide() {
        let all: Vec<Family> = [&Family::TRAIN[..], &Family::VALIDATION, &Family::TEST].concat();
        for (i, &family) in all.iter().enumerate() {
            let picture = backdrop(family, 5, 64, 48);
            assert_eq!(picture, backdrop(family, 5, 64, 48));
            assert_ne!(picture, backdrop(family, 6, 64, 48), "{family:?}");
            let (low, high) = picture.pixels().fold((255, 0), |(low, high), p| (p[1].min(low), p[1].max(high)));
            assert!(high > low + 10, "{family:?} is a flat colour: {low} to {high}");
            assert!(all[..i].iter().all(|&other| backdrop(other, 5, 64, 48) != picture), "families share no picture");
        }
    }
}
