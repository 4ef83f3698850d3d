use crate::util::{Media, lexivid, run, stage_assets};
use image::RgbImage;
use lexivid::{
    dataset::{Manifest, Media as Source, Vocabulary},
    frames::stills,
    video::{DecodeOptions, probe},
};
use lexivid_stage::{
    Assets, Size, Stage, World,
    render::{Wardrobe, frames},
    scene::{RATE, SIDE},
};
use std::{fs, path::Path};

#[test]
fn small_is_rendered_as_planned_and_goes_on_where_it_was() {
    let media = Media::new();
    let directory = media.path("stage");
    let render = || run(&mut lexivid(["stage", "render", "small", "-o", &directory, "--seed", "7", "--json"]));
    let summary = render().json();
    let at = |name: &str| Path::new(&directory).join(name);
    let count: u64 = ["train", "val", "test"].map(|s| summary["splits"][s]["videos"].as_u64().unwrap()).iter().sum();
    let manifest = Manifest::read(&at("manifest.jsonl")).unwrap();
    assert_eq!(manifest.examples().len() as u64, count);
    let vocabulary = Vocabulary::read(&at("vocabulary.json")).unwrap();
    assert_eq!(vocabulary.warnings(), &[] as &[String]);
    assert_eq!(manifest.truths(&vocabulary).unwrap().1, [] as [String; 0], "all names are labels");

    let assets = Assets::open(Path::new(&stage_assets())).unwrap();
    let (world, stage) = (World::new(&assets), Stage::new(&assets, Size::Small, 7));
    let wardrobe = Wardrobe::new(&assets, &world);
    for (scene, example) in stage.scenes.iter().zip(manifest.examples()).step_by(9) {
        let Source::Video(path) = manifest.media(example) else { panic!("a video") };
        let (path, options) = (Path::new(&path), DecodeOptions::default());
        let info = probe(path, &options).unwrap();
        assert_eq!((info.width, info.height, info.codec.as_str()), (SIDE, SIDE, "h264"));
        assert_eq!((info.duration * f64::from(RATE)).round() as usize, scene.frames(), "{info:?}");
        let drawn = frames(scene, &wardrobe).unwrap();
        let times: Vec<f64> = (0..drawn.len()).map(|i| (i as f64 + 0.5) / f64::from(RATE)).collect();
        let read = stills(path, &options, &times, SIDE).unwrap();
        for (i, (read, drawn)) in read.iter().zip(&drawn).enumerate() {
            let away = difference(read, drawn);
            assert!(away < 8.0, "{}, frame {i}: {away:.1} of 255 away from what was drawn", path.display());
        }
    }

    let text = fs::read(at("manifest.jsonl")).unwrap();
    let kept = at("videos/train/00001.mp4");
    let changed = fs::metadata(&kept).unwrap().modified().unwrap();
    fs::remove_file(at("videos/train/00000.mp4")).unwrap();
    assert_eq!(render().json(), summary);
    assert!(at("videos/train/00000.mp4").exists());
    assert_eq!(fs::metadata(&kept).unwrap().modified().unwrap(), changed, "whole videos are kept");
    assert_eq!(fs::read(at("manifest.jsonl")).unwrap(), text);

    let other = run(&mut lexivid(["stage", "render", "small", "-o", &directory, "--seed", "8"]));
    assert_eq!(other.code, Some(2));
    assert!(other.stderr.contains("seed 8, got stage Small, version 1, seed 7"), "{}", other.stderr);
    assert!(other.stderr.contains("hint: "), "{}", other.stderr);
}

/// Mean over pixels and channels.
fn difference(one: &RgbImage, other: &RgbImage) -> f64 {
    assert_eq!(one.dimensions(), other.dimensions());
    let sum: f64 = one.as_raw().iter().zip(other.as_raw()).map(|(a, b)| f64::from(a.abs_diff(*b))).sum();
    sum / one.as_raw().len() as f64
}

#[test]
fn broken_assets_are_named() {
    let media = Media::new();
    let assets = media.path("assets");
    fs::create_dir(&assets).unwrap();
    let render = || run(&mut lexivid(["stage", "render", "small", "-o", &media.path("out"), "--assets", &assets]));
    let missing = render();
    assert_eq!(missing.code, Some(1));
    assert!(missing.stderr.contains("groups.json: No such file"), "{}", missing.stderr);
    assert!(missing.stderr.contains("hint: scripts/stage-assets"), "{}", missing.stderr);
    for file in fs::read_dir(stage_assets()).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), Path::new(&assets).join(file.file_name())).unwrap();
    }
    fs::write(Path::new(&assets).join("twemoji.json"), "{\"icons\": 3}").unwrap();
    let broken = render();
    assert_eq!(broken.code, Some(1));
    assert!(broken.stderr.contains("twemoji.json: invalid type: integer `3`"), "{}", broken.stderr);
    assert!(!Path::new(&media.path("out")).exists(), "nothing is begun");
}
