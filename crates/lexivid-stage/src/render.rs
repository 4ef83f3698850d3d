//! Scenes as pixels.

use crate::{
    Assets, StageError, World,
    backdrop::backdrop,
    scene::{Actor, SIDE, Scene, Shot, View},
    sprite::{Pose, Sprite},
};
use image::{Rgb, RgbImage};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

/// Actors as they are drawn; each once, when it is first needed.
pub struct Wardrobe<'a> {
    assets: &'a Assets,
    world: &'a World,
    sprites: Mutex<HashMap<(usize, crate::Style), Arc<Sprite>>>,
}

impl<'a> Wardrobe<'a> {
    /// Nothing is drawn yet.
    pub fn new(assets: &'a Assets, world: &'a World) -> Self {
        Self { assets, world, sprites: Mutex::default() }
    }

    fn sprite(&self, actor: &Actor) -> Result<Arc<Sprite>, StageError> {
        let key = (actor.concept, actor.style);
        let known = |sprites: &Mutex<HashMap<_, Arc<Sprite>>>| {
            sprites.lock().unwrap_or_else(|e| e.into_inner()).get(&key).cloned()
        };
        if let Some(sprite) = known(&self.sprites) {
            return Ok(sprite);
        }
        // Not under the lock: drawing takes long, and drawing twice does no harm.
        let name = &self.world.concepts[actor.concept].name;
        let picture = self
            .assets
            .sprite(actor.style, name)
            .ok_or_else(|| StageError::NoPicture { name: name.name.clone(), style: actor.style })?;
        let sprite = Arc::new(Sprite::new(&picture));
        self.sprites.lock().unwrap_or_else(|e| e.into_inner()).insert(key, sprite.clone());
        Ok(sprite)
    }
}

/// All frames of a scene, [`SIDE`] x [`SIDE`] pixels each, in order.
pub fn frames(scene: &Scene, wardrobe: &Wardrobe<'_>) -> Result<Vec<RgbImage>, StageError> {
    let mut frames = Vec::with_capacity(scene.frames());
    for shot in &scene.shots {
        frames.extend(shot_frames(shot, wardrobe)?);
    }
    Ok(frames)
}

fn shot_frames(shot: &Shot, wardrobe: &Wardrobe<'_>) -> Result<Vec<RgbImage>, StageError> {
    let (width, height) = shot.camera.world();
    let world = backdrop(shot.family, shot.backdrop, width, height);
    let mut dressed = Vec::new();
    for act in &shot.acts {
        let dress = |actor: &Actor| wardrobe.sprite(actor).map(|sprite| (sprite, actor.mirrored));
        dressed.push((act.motion, act.actors.iter().map(dress).collect::<Result<Vec<_>, _>>()?));
    }
    let frame = |i| {
        let view = shot.camera.view(i, shot.frames);
        let mut frame = seen(&world, view);
        for (motion, sprites) in &dressed {
            for (pose, (sprite, mirrored)) in motion.poses(i, shot.frames).into_iter().zip(sprites) {
                sprite.draw(
                    &mut frame,
                    Pose {
                        x: (pose.x - view.left) * view.scale,
                        y: (pose.y - view.top) * view.scale,
                        size: pose.size * view.scale,
                        turn: if *mirrored { -pose.turn } else { pose.turn },
                        ..pose
                    },
                );
            }
        }
        frame
    };
    Ok((0..shot.frames).map(frame).collect())
}

/// What the camera sees of the backdrop; bilinear.
fn seen(world: &RgbImage, view: View) -> RgbImage {
    if view == (View { left: 0.0, top: 0.0, scale: 1.0 }) && world.dimensions() == (SIDE, SIDE) {
        return world.clone();
    }
    let (last_x, last_y) = (world.width() - 1, world.height() - 1);
    RgbImage::from_fn(SIDE, SIDE, |x, y| {
        let at = |pixel: u32, from: f32, last: u32| {
            let place = ((pixel as f32 + 0.5) / view.scale + from - 0.5).clamp(0.0, last as f32);
            (place as u32, (place as u32 + 1).min(last), place.fract())
        };
        let ((left, right, u), (top, bottom, v)) = (at(x, view.left, last_x), at(y, view.top, last_y));
        let corners =
            [(left, top), (right, top), (left, bottom), (right, bottom)].map(|(x, y)| world.get_pixel(x, y).0);
        let weights = [(1.0 - u) * (1.0 - v), u * (1.0 - v), (1.0 - u) * v, u * v];
        Rgb([0, 1, 2].map(|c| {
            let sum: f32 = corners.iter().zip(weights).map(|(corner, weight)| f32::from(corner[c]) * weight).sum();
            sum.round() as u8
        }))
    })
}
