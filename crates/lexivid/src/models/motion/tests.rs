//! Tests on the installed network: `lexivid models pull i3d` first (`scripts/test` does).

use super::*;
use crate::{
    frames::{Clips, Wanted, detect_shots, sample},
    models::store::{FileState, Store},
    video::DecodeOptions,
};
use image::Rgb;
use serde::Deserialize;
use std::{path::PathBuf, sync::LazyLock};

static MOTION: LazyLock<Motion> =
    LazyLock::new(|| load(&directory(), &Compute::exact().unwrap()).unwrap_or_else(|e| panic!("{e}")));

fn directory() -> PathBuf {
    Store::from_env()
        .and_then(|store| store.path(NAME))
        .unwrap_or_else(|e| panic!("{e}; these tests need `lexivid models pull i3d`"))
}

/// 9 frames: a disc that moves to the right over colour ramps; scripts/goldens/i3d.py draws the same.
fn frames() -> Vec<FramePixels> {
    let picture = |t: i32| {
        RgbImage::from_fn(224, 224, |x, y| {
            let (x, y) = (x as i32, y as i32);
            let disc = (x - 60 - 10 * t).pow(2) + (y - 110).pow(2) < 50 * 50;
            Rgb([(x * 255 / 223) as u8, (y * 255 / 223) as u8, if disc { 230 } else { 40 }])
        })
    };
    (0..9).map(|t| FramePixels { time: f64::from(t) / 25.0, views: vec![picture(t)] }).collect()
}

fn features(frames: &[FramePixels]) -> Result<Tensor, ModelError> {
    MOTION.encode_clip(&frames.iter().collect::<Vec<_>>())
}

#[test]
fn agrees_with_pytorch_on_its_own_weights() {
    #[derive(Deserialize)]
    struct Golden {
        features: Vec<Vec<f32>>,
        logits: Vec<Vec<f32>>,
    }
    let golden: Golden = serde_json::from_str(include_str!("../../../tests/goldens/i3d.json")).expect("golden");
    let features = features(&frames()).expect("features");
    let logits = MOTION.network().logits(&features).expect("logits");
    for (got, expected) in [(features, &golden.features[0]), (logits, &golden.logits[0])] {
        let largest = expected.iter().fold(0.0, |largest: f32, x| largest.max(x.abs()));
        for got in got.to_vec2::<f32>().expect("rows") {
            assert_eq!(got.len(), expected.len());
            let worst = got.iter().zip(expected).map(|(g, e)| (g - e).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-4 * largest, "max abs difference {worst}, values up to {largest}");
        }
    }
}

#[test]
fn of_frames_of_several_shapes_the_common_middle_is_looked_at() {
    let mut frames = frames();
    let expected = features(&frames).and_then(|x| Ok(x.to_vec2::<f32>()?)).expect("features");
    for (frame, (width, height)) in [(3, (300, 224)), (4, (224, 250))] {
        let mut larger = RgbImage::from_pixel(width, height, Rgb([9, 9, 9]));
        let (x, y) = ((width - 224) / 2, (height - 224) / 2);
        image::imageops::replace(&mut larger, &frames[frame].views[0], x.into(), y.into());
        frames[frame].views[0] = larger;
    }
    assert_eq!(features(&frames).and_then(|x| Ok(x.to_vec2::<f32>()?)).expect("features"), expected);
}

#[test]
fn frames_without_their_one_view_are_refused() {
    let mut frames = frames();
    frames[3].views.pop();
    assert!(features(&frames).is_err());
    assert!(features(&[]).is_err());
}

#[test]
fn is_as_it_was_assembled() {
    let checks = Store::from_env().expect("a home directory").verify(NAME).expect("has a manifest");
    let bad: Vec<_> = checks.iter().filter(|check| check.state != FileState::Ok).collect();
    assert!(bad.is_empty(), "{bad:?}");
    assert!(checks.iter().any(|check| check.file == NETWORK));
    assert_eq!(MOTION.classes()[..2], ["abseiling", "air drumming"]);
}

/// In `bikes` (scripts/test-video), when the cars have passed, a cyclist is to be seen at the right.
#[test]
fn names_what_happens_in_a_real_video() {
    let video = std::env::var_os("LEXIVID_TEST_VIDEO").expect("LEXIVID_TEST_VIDEO: scripts/test sets it");
    let (video, options) = (Path::new(&video), DecodeOptions::default());
    let shots = detect_shots(video, &options).expect("shots");
    let shot = shots.into_iter().find(|shot| shot.start <= 5.0 && 5.0 < shot.end).expect("ten seconds");
    let clips =
        Clips::new(I3d::FRAMES, I3d::FRAME_RATE, I3d::FRAMES as f64 / I3d::FRAME_RATE).expect("valid").of(&[shot]);
    let last = clips.last().expect("a clip a shot");
    let wanted = Wanted { targets: last.targets.clone(), preprocessing: MOTION.preprocessing().clone() };
    // A frame that is shown at several targets comes once.
    let frames: Vec<FramePixels> = sample(video, &options, vec![wanted])
        .expect("a thread")
        .flat_map(|frame| {
            let frame = frame.expect("decodes");
            std::iter::repeat_n(frame.pixels, frame.targets.len())
        })
        .collect();
    assert_eq!(frames.len(), I3d::FRAMES);
    let logits = features(&frames).and_then(|x| Ok(MOTION.network().logits(&x)?)).expect("logits");
    let right = candle_nn::ops::softmax(&logits, 1).and_then(|p| p.get(2)?.to_vec1::<f32>()).expect("a row");
    let best = (0..right.len()).max_by(|a, b| right[*a].total_cmp(&right[*b])).expect("classes");
    assert_eq!(MOTION.classes()[best], "riding mountain bike");
    assert!(right[best] > 0.5, "{}", right[best]);
}
