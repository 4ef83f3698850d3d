use crate::util::{Media, classify_tiny, lexivid, run};
use serde_json::Value;

/// The largest difference between the probabilities, in time, of the same labels.
fn difference(a: &Value, b: &Value) -> f64 {
    let timelines = |outcome: &Value| -> Vec<f64> {
        let mut labels = outcome["labels"].as_array().unwrap().clone();
        labels.sort_by_key(|label| label["label"].to_string());
        labels.iter().flat_map(|label| label["timeline"].as_array().unwrap()).map(|p| p.as_f64().unwrap()).collect()
    };
    let (a, b) = (timelines(a), timelines(b));
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn a_picture_that_stands_is_encoded_once() {
    let media = Media::new();
    // Two slides, 3 s each.
    let video = media.ffmpeg(
        "-f lavfi -i smptebars=size=320x240:rate=10:duration=3 -f lavfi -i pal75bars=size=320x240:rate=10:duration=3 \
         -filter_complex [0][1]concat -c:v libx264 -pix_fmt yuv420p",
        "slides.mp4",
    );
    let with = |flag: Option<&str>| {
        run(classify_tiny([video.as_str(), "--labels", "dog, cat", "--json"]).args(flag)).json()[0].clone()
    };
    let (reusing, seeing) = (with(None), with(Some("--no-dedup")));
    assert_eq!((&reusing["frames_used"], &reusing["frames_reused"]), (&12.into(), &10.into()));
    assert_eq!((&seeing["frames_used"], &seeing["frames_reused"]), (&12.into(), &0.into()));
    assert_eq!((&reusing["settings"]["dedup"], &seeing["settings"]["dedup"]), (&true.into(), &false.into()));
    assert_eq!(reusing["windows"], seeing["windows"]);
    assert!(difference(&reusing, &seeing) < 1e-3);

    let model = crate::util::tiny_model();
    let times = |flag: Option<&str>| -> Vec<Value> {
        let args = ["embed", &video, "--model", &model, "--level", "frame", "--json"];
        run(lexivid(args).args(flag)).json().as_array().unwrap().iter().map(|row| row["time"].clone()).collect()
    };
    assert_eq!(times(None), times(Some("--no-dedup")), "repeats keep their own times");
    let table = run(&mut classify_tiny([video.as_str(), "--labels", "dog"])).stdout;
    assert!(table.contains("12 frames, 10 of them repeats"), "{table}");
}

#[test]
fn a_small_thing_that_moves_is_no_repeat() {
    let media = Media::new();
    // A pointer of 12 x 18 pixels, 0.02 % of the picture.
    let video = media.ffmpeg(
        "-f lavfi -i smptebars=size=1280x720:rate=10:duration=3 -f lavfi -i color=white:size=12x18:rate=10:duration=3 \
         -filter_complex [0][1]overlay=x=200+t*100:y=150 -c:v libx264 -pix_fmt yuv420p",
        "pointer.mp4",
    );
    let found = run(&mut lexivid(["classify", &video, "--labels", "bicycle", "--json", "--no-cache"])).json();
    assert_eq!((&found[0]["frames_used"], &found[0]["frames_reused"]), (&6.into(), &0.into()));
}

#[test]
fn nothing_changes_where_nothing_repeats() {
    let media = Media::new();
    let video = media.pattern(4, "pattern.mp4");
    let with = |flag: Option<&str>| {
        let mut outcome = run(classify_tiny([video.as_str(), "--labels", "dog, cat", "--json"]).args(flag)).json();
        assert_eq!(outcome[0]["frames_reused"], 0);
        outcome[0]["settings"].as_object_mut().unwrap().remove("dedup");
        outcome
    };
    assert_eq!(with(None), with(Some("--no-dedup")));
}
