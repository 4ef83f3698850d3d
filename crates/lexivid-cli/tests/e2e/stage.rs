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
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

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
        for (i, read) in read.iter().enumerate() {
            // What is fine and colourful suffers from 4:2:0 and compression; colours on the whole do not.
            let away = difference(read, &drawn[i]);
            assert!(away < 12.0, "{}, frame {i}: {away:.1} of 255 away from what was drawn", path.display());
            for (read, drawn) in mean(read).into_iter().zip(mean(&drawn[i])) {
                assert!((read - drawn).abs() < 2.0, "{}, frame {i}: {read:.1} for {drawn:.1}", path.display());
            }
            let later = &drawn[(i + 6) % drawn.len()];
            if difference(&drawn[i], later) > 2.0 {
                assert!(away < difference(read, later), "{}, frame {i} is another frame", path.display());
            }
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

/// Of every channel.
fn mean(picture: &RgbImage) -> [f64; 3] {
    [0, 1, 2].map(|c| picture.pixels().map(|pixel| f64::from(pixel[c])).sum::<f64>() / f64::from(SIDE * SIDE))
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

#[test]
fn ctrl_c_keeps_whole_videos_and_writes_no_manifest() {
    let media = Media::new();
    let directory = media.path("stage");
    let mut child = lexivid(["stage", "render", "full", "-o", &directory]).stderr(Stdio::piped()).spawn().unwrap();
    let videos = || fs::read_dir(Path::new(&directory).join("videos/train")).map_or(0, Iterator::count);
    let deadline = Instant::now() + Duration::from_secs(60);
    while videos() < 3 {
        assert!(Instant::now() < deadline, "no video was made");
        thread::sleep(Duration::from_millis(5));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!Path::new(&directory).join("manifest.jsonl").exists());
    for video in fs::read_dir(Path::new(&directory).join("videos/train")).unwrap() {
        let path = video.unwrap().path();
        assert_eq!(path.extension().unwrap(), "mp4", "nothing half-written is left");
        probe(&path, &DecodeOptions::default()).unwrap();
    }
}
