use crate::{
    Assets, Concept, Style, World,
    backdrop::{Family, backdrop},
    random::Random,
    sprite::{Pose, Sprite},
};
use image::RgbImage;
use lexivid::{
    label::{Kind, Label},
    training::contrastive::{Batch, Pictures},
};
use rayon::prelude::*;
use std::collections::HashMap;

/// What a caption may look like; the first ones are those that labels are prompted with later.
const TEMPLATES: [&str; 8] = [
    "a photo of a {}.",
    "a photo of {}.",
    "a video of {}.",
    "a picture of a {}.",
    "{}",
    "a {}.",
    "an image of a {}.",
    "there is a {} here.",
];

/// Over so many steps, pictures grow from easy ones to all kinds. An untrained model that is shown all kinds at once sees backdrops
/// and sentences, not what differs between them, and learns to tell nothing apart before it learns anything.
const EASY: u64 = 300;

/// Single sprites before backdrops, with captions: what Nano-CLIP is pretrained on. No concept of [`crate::Role::U2`] is among them.
pub struct SpritePictures {
    seed: u64,
    concepts: Vec<Concept>,
    sprites: HashMap<(Style, usize), Sprite>,
}

impl SpritePictures {
    /// Draws every known concept in every style that is trained on or chosen by.
    pub fn new(assets: &Assets, world: &World, seed: u64) -> Self {
        Self::with_styles(assets, world, seed, &[&Style::TRAIN[..], &[Style::VALIDATION]].concat())
    }

    /// Draws every known concept in the style that a model is judged by.
    pub fn for_test(assets: &Assets, world: &World, seed: u64) -> Self {
        Self::with_styles(assets, world, seed, &[Style::TEST])
    }

    /// One picture of `side` x `side` pixels of every concept that the test style has drawn, each with the index of its name: before
    /// backdrops of the test.
    pub fn test(&self, side: u32) -> Vec<(Vec<u8>, usize)> {
        self.one_each(Style::TEST, &Family::TEST, side)
    }

    fn one_each(&self, style: Style, families: &[Family], side: u32) -> Vec<(Vec<u8>, usize)> {
        let one = |i: usize| {
            let mut random = Random::new(self.seed, "validation", i as u64);
            (self.picture(i, style, families, false, &mut random, side), i)
        };
        let drawn = |i: &usize| self.sprites.contains_key(&(style, *i));
        (0..self.concepts.len()).into_par_iter().filter(drawn).map(one).collect()
    }

    fn with_styles(assets: &Assets, world: &World, seed: u64, styles: &[Style]) -> Self {
        let concepts: Vec<Concept> = world.known().into_iter().cloned().collect();
        let wanted: Vec<(Style, usize)> =
            styles.iter().flat_map(|&style| (0..concepts.len()).map(move |i| (style, i))).collect();
        let draw = |&(style, i): &(Style, usize)| {
            assets.sprite(style, &concepts[i].name).map(|picture| ((style, i), Sprite::new(&picture)))
        };
        let sprites = wanted.par_iter().filter_map(draw).collect();
        Self { seed, concepts, sprites }
    }

    /// One picture, `side` x `side`; an easy one is large and upright on one colour.
    fn picture(
        &self,
        concept: usize,
        style: Style,
        families: &[Family],
        easy: bool,
        random: &mut Random,
        side: u32,
    ) -> Vec<u8> {
        let family = *random.choose(families);
        let seed = random.below(1 << 30) as u64;
        let mut frame = match easy || random.chance(0.15) {
            true => RgbImage::from_pixel(side, side, image::Rgb([0; 3].map(|_| random.below(256) as u8))),
            false => backdrop(family, seed, side, side),
        };
        // As large as actors on Stage, and larger.
        let smallest: f32 = if easy { 0.7 } else { 0.25 };
        let size = side as f32 * random.between(smallest.ln(), 0.95f32.ln()).exp();
        let room = (side as f32 - size).max(0.0) / 2.0;
        let middle = side as f32 / 2.0;
        let tilt = if easy { 0.0 } else { 0.45 };
        let pose = Pose {
            x: middle + random.between(-room, room),
            y: middle + random.between(-room, room),
            size,
            angle: random.between(-tilt, tilt),
            turn: if random.chance(0.5) { 1.0 } else { -1.0 },
            opacity: 1.0,
        };
        if let Some(sprite) = self.sprites.get(&(style, concept)) {
            sprite.draw(&mut frame, pose);
        }
        // Light and colour of the day.
        let (light, contrast) = (random.between(-18.0, 18.0), random.between(0.8, 1.2));
        let tint = [0; 3].map(|_| random.between(0.92, 1.08));
        for pixel in frame.pixels_mut() {
            for (value, tint) in pixel.0.iter_mut().zip(tint) {
                *value = (((f32::from(*value) - 128.0) * contrast + 128.0 + light) * tint).clamp(0.0, 255.0) as u8;
            }
        }
        frame.into_raw()
    }

    /// A caption, and the phrase in it; an easy one is the plain name.
    fn caption(&self, concept: &Concept, easy: bool, random: &mut Random) -> (String, String) {
        let phrase = match random.unit() {
            _ if easy => concept.name.name.clone(),
            at if at < 0.12 && !concept.groups.is_empty() => (*random.choose(concept.groups)).to_owned(),
            at if at < 0.5 && !concept.keywords.is_empty() => random.choose(&concept.keywords).clone(),
            _ => concept.name.name.clone(),
        };
        let template = if easy { TEMPLATES[0] } else { random.choose(&TEMPLATES) };
        (template.replace("{}", &phrase), phrase)
    }
}

impl Pictures for SpritePictures {
    fn texts(&self) -> Vec<String> {
        let phrases = || self.concepts.iter().flat_map(Concept::phrases);
        phrases().map(str::to_owned).chain(phrases().map(|phrase| TEMPLATES[0].replace("{}", phrase))).collect()
    }

    fn batch(&self, step: u64, size: usize, side: u32) -> Batch {
        // Concepts go round in a new order every time, so that a batch has each at most once.
        let chosen: Vec<usize> = (0..size)
            .map(|i| {
                let place = step as usize * size + i;
                let mut order: Vec<usize> = (0..self.concepts.len()).collect();
                Random::new(self.seed, "round", (place / order.len()) as u64).shuffle(&mut order);
                order[place % order.len()]
            })
            .collect();
        let made: Vec<(Vec<u8>, String, String)> = chosen
            .par_iter()
            .enumerate()
            .map(|(i, &concept)| {
                let mut random = Random::new(self.seed, "picture", step * size as u64 + i as u64);
                let styles: Vec<Style> =
                    Style::TRAIN.into_iter().filter(|style| self.sprites.contains_key(&(*style, concept))).collect();
                let style = *random.choose(&styles);
                let easy = random.unit() >= step as f32 / EASY as f32;
                let picture = self.picture(concept, style, &Family::TRAIN, easy, &mut random, side);
                let (caption, phrase) = self.caption(&self.concepts[concept], easy, &mut random);
                (picture, caption, phrase)
            })
            .collect();
        let also = (0..size)
            .flat_map(|i| (0..size).map(move |j| (i, j)))
            .filter(|&(i, j)| i != j && self.concepts[chosen[i]].is(&made[j].2))
            .collect();
        let (mut pictures, mut captions) = (Vec::with_capacity(size), Vec::with_capacity(size));
        for (picture, caption, _) in made {
            pictures.push(picture);
            captions.push(caption);
        }
        Batch { pictures, captions, also }
    }

    fn names(&self) -> Vec<Label> {
        let label = |c: &Concept| Label { kind: Some(Kind::Entity), ..Label::new(&c.name.name) };
        self.concepts.iter().map(label).collect()
    }

    fn validation(&self, side: u32) -> Vec<(Vec<u8>, usize)> {
        self.one_each(Style::VALIDATION, &Family::VALIDATION, side)
    }
}
