use crate::util::{Media, Ran, lexivid, run, tiny_model};
use lexivid::{
    dataset::{Truth, Truths, Vocabulary},
    eval::{EvaluationOptions, Scores, evaluate},
    label::LabelList,
};
use serde_json::{Value, json};
use std::path::Path;

const LABELS: &str = "name,kind,seen,opposite\n\
                      dog,entity,true,\n\
                      moving left,action,true,moving right\n\
                      moving right,action,false,moving left\n\
                      a red square,entity,false,\n";

/// `lexivid eval` with the tiny model on this manifest, and `LABELS`.
fn eval(media: &Media, manifest: &str, args: &[&str]) -> Ran {
    let (path, labels) = (media.path("manifest.jsonl"), media.path("labels.csv"));
    std::fs::write(&path, manifest).unwrap();
    std::fs::write(&labels, LABELS).unwrap();
    let model = tiny_model();
    let fixed = ["eval", "--no-cache", "--model", &model, "--manifest", &path, "--labels", &labels];
    run(&mut lexivid(fixed.into_iter().chain(args.iter().copied())))
}

fn lines(examples: &[Value]) -> String {
    examples.iter().map(|example| format!("{example}\n")).collect()
}

fn of_all<'a>(report: &'a Value, metric: &str) -> &'a Value {
    &report["groups"][0][metric]
}

#[test]
fn measures_what_classify_says() {
    let media = Media::new();
    media.pattern(2, "a.mp4");
    media.ffmpeg("-f lavfi -i color=red:size=160x120:rate=10:duration=2 -pix_fmt yuv420p", "b.mp4");
    media.ffmpeg("-f lavfi -i mandelbrot=size=160x120:rate=10 -t 2 -pix_fmt yuv420p", "c.mp4");
    let manifest = lines(&[
        json!({"video": "a.mp4", "positives": ["moving left"], "negatives": "*", "unknown": ["a red square"], "split": "test"}),
        json!({"video": "x.mp4", "split": "train"}),
        json!({"video": "b.mp4", "positives": ["A Red  Square", "moving right", "zebra"], "negatives": ["moving left"], "split": "test"}),
        json!({"video": "c.mp4", "positives": ["dog"], "negatives": "*", "split": "test"}),
    ]);
    let report_file = media.path("report.html");
    let ran = eval(&media, &manifest, &["--split", "test", "--json", "--k", "2", "--report", &report_file]);
    let report = ran.json();
    assert!(ran.stderr.contains("1 names are not in the vocabulary") && ran.stderr.contains("zebra"), "{}", ran.stderr);

    let names = ["dog", "moving left", "moving right", "a red square"];
    let videos = ["a.mp4", "b.mp4", "c.mp4"].map(|name| media.path(name));
    let labels = media.path("labels.csv");
    let model = tiny_model();
    let fixed = ["classify", "--no-cache", "--model", &model, "-f", &labels, "--json", "--window", "whole"];
    let videos = videos.iter().map(String::as_str);
    let said = run(&mut lexivid(fixed.into_iter().chain(["--frames", "8"]).chain(videos))).json();
    use Truth::{Negative as N, Positive as P, Unknown as U};
    let (mut scores, mut truths) = (Scores::new(4), Truths::new(4));
    for (video, truth) in said.as_array().unwrap().iter().zip([[N, P, N, U], [U, N, P, P], [P, N, N, N]]) {
        let probability = |name: &&str| {
            let of = video["labels"].as_array().unwrap().iter().find(|l| l["label"] == **name).unwrap();
            of["probability"].as_f64().unwrap() as f32
        };
        scores.push(&names.iter().map(probability).collect::<Vec<_>>()).unwrap();
        truths.push(&truth);
    }
    let vocabulary = Vocabulary::read(Path::new(&labels)).unwrap();
    let options = EvaluationOptions { k: 2, ..EvaluationOptions::new(4, 0.5) };
    let expected = serde_json::to_value(evaluate(&scores, &truths, &vocabulary, &options).unwrap()).unwrap();
    agree("", &report["groups"], &expected["groups"]);
    agree("", &report["labels"], &expected["labels"]);
    assert_eq!((&report["examples"], &report["split"]), (&json!(3), &json!("test")));
    for metric in ["mean_average_precision", "micro_average_precision", "gap_at_20", "calibration_error", "brier"] {
        assert!(of_all(&report, metric).as_f64().is_some_and(f64::is_finite), "{metric}");
    }
    // Of the opposites, two examples tell: a for the left, b for the right.
    assert_eq!((of_all(&report, "reversed_labels"), of_all(&report, "reversed_chance")), (&json!(2), &json!(0.5)));

    let html = std::fs::read_to_string(report_file).unwrap();
    assert_eq!(html.matches("<svg").count(), 2);
    let table = eval(&media, &manifest, &["--split", "test", "--per-label"]).stdout;
    for text in ["zero-shot actions", "GAP@20", "F1@5", "against their reverse", "a red square"] {
        assert!(table.contains(text), "{text}: {table}");
    }
}

/// Equal up to rounding.
fn agree(place: &str, got: &Value, expected: &Value) {
    match (got, expected) {
        (Value::Object(got), Value::Object(expected)) => {
            assert_eq!(got.len(), expected.len(), "{place}");
            expected.iter().for_each(|(key, value)| agree(&format!("{place}/{key}"), &got[key], value));
        }
        (Value::Array(got), Value::Array(expected)) => {
            assert_eq!(got.len(), expected.len(), "{place}");
            got.iter().zip(expected).enumerate().for_each(|(i, (a, b))| agree(&format!("{place}/{i}"), a, b));
        }
        (Value::Number(got), Value::Number(expected)) => {
            let (got, expected) = (got.as_f64().unwrap(), expected.as_f64().unwrap());
            assert!((got - expected).abs() < 1e-6, "{place}: {got} {expected}");
        }
        _ => assert_eq!(got, expected, "{place}"),
    }
}

/// A segment is seen as if it were a video of its own, and so are frames that are pictures.
#[test]
fn segments_and_frames_are_looked_at_alone() {
    const LOSSLESS: &str = "-c:v ffv1 -pix_fmt bgr0";
    let media = Media::new();
    let pattern = "testsrc2=size=160x120:rate=10:duration=2";
    media.ffmpeg(&format!("-f lavfi -i {pattern} {LOSSLESS}"), "alone.mkv");
    media.ffmpeg(
        &format!("-f lavfi -i color=red:size=160x120:rate=10:duration=2 -f lavfi -i {pattern} -filter_complex [0][1]concat {LOSSLESS}"),
        "cut.mkv",
    );
    media.ffmpeg(&format!("-f lavfi -i {pattern} -pix_fmt rgb24"), "%02d.png");
    let frames: Vec<String> = (1..=20).map(|i| format!("{i:02}.png")).collect();
    let brier = |mut example: Value| {
        example["positives"] = json!(["dog"]);
        example["negatives"] = json!("*");
        of_all(&eval(&media, &lines(&[example]), &["--json"]).json(), "brier").as_f64().unwrap()
    };
    let alone = brier(json!({"video": "alone.mkv"}));
    let close = |other: f64| (other - alone).abs() < 1e-9;
    assert!(close(brier(json!({"video": "cut.mkv", "start": 2}))));
    assert!(close(brier(json!({"video": "cut.mkv", "start": 2.0, "end": 4.0}))));
    assert!(close(brier(json!({"frames": frames, "fps": 10}))));
    for other in [
        json!({"video": "cut.mkv"}),
        json!({"video": "cut.mkv", "end": 2}),
        json!({"frames": frames, "fps": 10, "end": 1}),
    ] {
        assert!(!close(brier(other.clone())), "{other}");
    }
}

#[test]
fn what_cannot_be_read_is_told_and_left_out() {
    let media = Media::new();
    media.pattern(1, "good.mp4");
    std::fs::write(media.path("bad.mp4"), "this is no video").unwrap();
    let known = |video: &str| json!({"video": video, "positives": ["dog"], "negatives": "*"});
    let mut late = known("good.mp4");
    late["start"] = json!(7);
    let manifest = lines(&[known("bad.mp4"), known("good.mp4"), known("missing.mp4"), late]);
    let ran = eval(&media, &manifest, &["--json"]);
    assert_eq!(ran.code, Some(1));
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["examples"], 1);
    let failed: Vec<_> = report["failed"].as_array().unwrap().iter().map(|f| f["video"].as_str().unwrap()).collect();
    assert_eq!(failed, ["bad.mp4", "missing.mp4", "good.mp4"]);
    assert!(ran.stderr.contains("good.mp4: nothing at 7 s, the video lasts 1.0 s"), "{}", ran.stderr);
    assert!(ran.stderr.contains("3 of 4 examples could not be read"), "{}", ran.stderr);
}

#[test]
fn wrong_use_is_said_in_one_line() {
    let media = Media::new();
    let good = "{\"video\": \"a.mp4\", \"split\": \"val\"}\n";
    let cases: [(&str, &[&str], &str); 5] = [
        (&format!("{good}\n{{\"video\": 3}}\n"), &[], "manifest.jsonl, line 3: invalid type: integer `3`"),
        (
            &format!("{good}{{\"video\": \"b\", \"positives\": [\"dog\"], \"negatives\": [\"Dog\"]}}"),
            &[],
            "line 2: label",
        ),
        ("", &[], "no example in it"),
        (good, &["--split", "test"], "no example of split \"test\"; expected one of [\"val\"]"),
        (good, &["--k", "0"], "--k"),
    ];
    for (manifest, args, expected) in cases {
        let ran = eval(&media, manifest, args);
        assert_eq!(ran.code, Some(2), "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(expected), "{expected}: {}", ran.stderr);
        assert_eq!(ran.stdout, "");
    }
    let nothing = run(&mut lexivid(["eval"]));
    assert_eq!(nothing.code, Some(2));
    assert!(nothing.stderr.contains("--manifest") && nothing.stderr.contains("--labels"), "{}", nothing.stderr);
    let both = run(&mut lexivid(["eval", "--k", "3", "stamps"]));
    assert_eq!(both.code, Some(2), "{}", both.stderr);
}

#[test]
fn a_written_vocabulary_is_a_labels_file() {
    let media = Media::new();
    let (csv, json) = (media.path("labels.csv"), media.path("labels.json"));
    std::fs::write(&csv, LABELS).unwrap();
    Vocabulary::read(Path::new(&csv)).unwrap().write(Path::new(&json)).unwrap();
    assert_eq!(LabelList::from_file(Path::new(&json)).unwrap(), LabelList::from_file(Path::new(&csv)).unwrap());
}
