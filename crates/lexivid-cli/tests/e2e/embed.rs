use crate::util::{Media, lexivid, run, tiny_model};
use serde_json::Value;

fn rows(stdout: &str) -> Vec<Value> {
    stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn vector(row: &Value) -> Vec<f64> {
    row["embedding"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[test]
fn texts_labels_and_every_level() {
    let media = Media::new();
    let video = media.pattern(4, "pattern.mp4");
    let model = tiny_model();
    let embed = |args: &[&str]| {
        let ran = run(lexivid(["embed", "--model", &model]).args(args));
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        rows(&ran.stdout)
    };
    let frames = embed(&[&video, "--level", "frame"]);
    let windows = embed(&[&video, "--level", "window"]);
    let whole = embed(&[&video]);
    assert_eq!((frames.len(), windows.len(), whole.len()), (8, 3, 1));
    assert_eq!((windows[1]["start"].as_f64(), windows[1]["end"].as_f64()), (Some(1.0), Some(3.0)));
    for row in frames.iter().chain(&windows).chain(&whole) {
        let v = vector(row);
        assert!((dot(&v, &v) - 1.0).abs() < 1e-5, "L2-normalised");
    }

    let texts = embed(&["--text", "a photo of a dog.", "--text", "a photo of dog."]);
    let label = embed(&["--label", "dog"]);
    assert_eq!(texts[0]["text"], "a photo of a dog.");
    assert!((dot(&vector(&texts[1]), &vector(&label[0])) - 1.0).abs() < 1e-5, "a label is its prompt");
    assert!(dot(&vector(&texts[0]), &vector(&label[0])) < 1.0 - 1e-6, "a text stays as it is");
}

#[test]
fn npy_holds_the_same_numbers() {
    let media = Media::new();
    let picture = media.ffmpeg("-f lavfi -i testsrc=size=64x48 -frames:v 1", "still.png");
    let model = tiny_model();
    let file = media.path("still.npy");
    let json = run(&mut lexivid(["embed", &picture, "--model", &model, "--json"])).json();
    let to_file = run(&mut lexivid(["embed", &picture, "--model", &model, "--json", "-o", &file])).json();
    assert_eq!(to_file[0]["path"].as_str(), Some(picture.as_str()));
    assert_eq!(to_file[0].get("embedding"), None);
    let array: ndarray::Array2<f32> = ndarray_npy::read_npy(&file).unwrap();
    let expected = vector(&json[0]);
    assert_eq!(array.dim(), (1, expected.len()));
    for (found, expected) in array.iter().zip(expected) {
        assert!((f64::from(*found) - expected).abs() < 1e-6);
    }
}
