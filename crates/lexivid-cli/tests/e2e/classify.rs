use crate::util::{Media, classify_tiny, lexivid, real_video, run};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

fn labels(classification: &Value) -> &[Value] {
    classification["labels"].as_array().unwrap()
}

fn of<'a>(classification: &'a Value, name: &str) -> &'a Value {
    labels(classification).iter().find(|label| label["label"] == name).unwrap_or_else(|| panic!("no label {name}"))
}

fn probability(classification: &Value, name: &str) -> f64 {
    of(classification, name)["probability"].as_f64().unwrap()
}

#[test]
fn the_starter_finds_the_bicycle_and_when() {
    let found = run(&mut lexivid([
        "classify",
        &real_video(),
        "--labels",
        "bicycle, toucan, cello, champagne glass, car, stock market crash",
        "--json",
        "--no-cache",
    ]))
    .json();
    let video = &found[0];
    assert_eq!((&video["video"]["width"], &video["video"]["height"]), (&640.into(), &272.into()));
    assert!((video["video"]["duration"].as_f64().unwrap() - 10.0).abs() < 0.1);

    let bicycle = of(video, "bicycle");
    assert_eq!(bicycle["present"], true, "{bicycle}");
    // Bicycles are in the pictures of the second half.
    let span = &bicycle["spans"][0];
    assert!(span["start"].as_f64().unwrap() >= 3.0 && span["end"].as_f64().unwrap() > 9.0, "{span}");
    assert!(bicycle["best_frames"][0]["time"].as_f64().unwrap() > 4.0);
    assert_eq!(bicycle["origin"]["from"], "known_class");
    for absent in ["toucan", "cello", "champagne glass"] {
        assert_eq!(of(video, absent)["present"], false, "{absent}");
        assert!(probability(video, absent) < probability(video, "bicycle") / 2.0, "{absent}");
    }
    // No class of the image tower: its embedding comes from the words alone, and says so.
    assert_eq!(of(video, "champagne glass")["origin"]["from"], "inferred");
    assert_eq!(bicycle["confidence"], "usual");
    let far = of(video, "stock market crash");
    assert_eq!(far["confidence"], "low");
    assert!(far["reason"].as_str().unwrap().starts_with("no near anchor"), "{far}");

    let sorted: Vec<f64> = labels(video).iter().map(|l| l["probability"].as_f64().unwrap()).collect();
    assert!(sorted.is_sorted_by(|a, b| a >= b), "{sorted:?}");
}

#[test]
fn a_score_does_not_depend_on_the_other_labels() {
    let media = Media::new();
    let video = media.pattern(3, "pattern.mp4");
    let all = ["dog", "guitar", "riding a bike", "a red square"];
    let together = run(&mut classify_tiny([&video, "--json", "--labels", &all.join(",")].map(|a| a as &str))).json();
    for name in all {
        let alone = run(&mut classify_tiny([video.as_str(), "--json", "--labels", name])).json();
        let (a, b) = (probability(&alone[0], name), probability(&together[0], name));
        assert!((a - b).abs() < 1e-5, "{name}: {a} alone, {b} together");
    }
}

#[test]
fn every_format_tells_the_same() {
    let media = Media::new();
    let video = media.pattern(4, "pattern.mp4");
    let with = |format: &str| run(&mut classify_tiny([video.as_str(), "--labels", "dog, cat", format]));
    let json = with("--json").json();
    assert_eq!(json[0]["windows"].as_array().unwrap().len(), 3);
    assert_eq!(json[0]["frames_used"], 8);
    assert_eq!(labels(&json[0])[0]["timeline"].as_array().unwrap().len(), 3);

    let jsonl: Value = serde_json::from_str(with("--jsonl").stdout.trim()).unwrap();
    assert_eq!(jsonl, json[0]);

    let csv = with("--csv").stdout;
    let mut lines = csv.lines();
    assert!(lines.next().unwrap().starts_with("path,label,kind,probability"));
    let first = lines.next().unwrap();
    let expected = labels(&json[0])[0]["probability"].as_f64().unwrap();
    let found: f64 = first.split(',').nth(3).unwrap().parse().unwrap();
    assert!((found - expected).abs() < 1e-5, "{first}");

    let table = run(&mut classify_tiny([video.as_str(), "--labels", "dog, cat"])).stdout;
    assert!(table.contains("dog") && table.contains(&format!("{expected:.2}")), "{table}");
    assert!(!table.contains('\u{1b}'), "no colours where stdout is no terminal");

    let file = media.path("out.json");
    let to_file = run(&mut classify_tiny([&video, "--labels", "dog, cat", "--json", "-o", &file].map(|a| a as &str)));
    assert_eq!((to_file.code, to_file.stdout.as_str()), (Some(0), ""));
    let written: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(written, json);
}

#[test]
fn urls_are_opened() {
    let media = Media::new();
    media.pattern(2, "pattern.mp4");
    // Port 0: the server takes a free one and says which.
    let mut server = Command::new("python3")
        .args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1"])
        .current_dir(media.directory())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut said).unwrap();
    let port = said.split_whitespace().skip_while(|word| *word != "port").nth(1).expect(&said);
    let url = |name: &str| format!("http://127.0.0.1:{port}/{name}");
    let found = run(&mut classify_tiny([&url("pattern.mp4"), "--labels", "dog", "--json"].map(|a| a as &str)));
    let missing = run(&mut classify_tiny([&url("missing.mp4"), "--labels", "dog"].map(|a| a as &str)));
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!(found.json()[0]["frames_used"], 4);
    assert_eq!(missing.code, Some(1));
    assert!(missing.stderr.contains("missing.mp4") && missing.stderr.contains("404"), "{}", missing.stderr);
}

#[test]
fn labels_files_bring_kinds_and_thresholds() {
    let media = Media::new();
    let video = media.pattern(1, "pattern.mp4");
    let file = media.path("labels.csv");
    std::fs::write(&file, "name,kind,threshold\ndog,entity,0\nswimming,action,1\nDog,,\n").unwrap();
    let ran = run(&mut classify_tiny([video.as_str(), "--labels-file", &file, "--json"]));
    let found = ran.json();
    assert_eq!(labels(&found[0]).len(), 2);
    assert!(ran.stderr.contains("more than once"), "{}", ran.stderr);
    assert_eq!(of(&found[0], "dog")["present"], true);
    assert_eq!(of(&found[0], "dog")["spans"][0]["end"], 1.0);
    assert_eq!(of(&found[0], "swimming")["present"], false);
    assert_eq!(of(&found[0], "swimming")["kind"], "action");
}

#[test]
fn images_folders_and_many_labels() {
    let media = Media::new();
    media.ffmpeg("-f lavfi -i testsrc=size=64x48 -frames:v 1", "still.png");
    media.pattern(1, "moving.gif");
    std::fs::write(media.path("notes.txt"), "no video").unwrap();
    let names: String = (0..3000).map(|i| format!("thing number {i}\n")).collect();
    let file = media.path("labels.txt");
    std::fs::write(&file, names).unwrap();
    let folder = media.directory().display().to_string();
    let found = run(&mut classify_tiny([folder.as_str(), "-f", &file, "--json", "--window", "whole"])).json();
    let paths: Vec<&str> = found.as_array().unwrap().iter().map(|v| v["path"].as_str().unwrap()).collect();
    assert!(paths.len() == 2 && paths[0].ends_with("moving.gif") && paths[1].ends_with("still.png"), "{paths:?}");
    assert_eq!(labels(&found[1]).len(), 3000);
    assert_eq!(found[1]["frames_used"], 1);
}

#[test]
fn label_embeddings_are_kept_on_disk() {
    let media = Media::new();
    let video = media.pattern(1, "pattern.mp4");
    let home = media.path("home");
    let model = crate::util::tiny_model();
    let args = ["classify", &video, "--model", &model, "--labels", "dog, cat", "--json"];
    let first = run(lexivid(args).env("LEXIVID_HOME", &home)).json();
    assert!(media.directory().join("home/labels.sqlite").is_file());
    assert_eq!(run(lexivid(args).env("LEXIVID_HOME", &home)).json(), first);

    std::fs::write(
        media.path("home/labels.sqlite"),
        "this is no database, but long enough to be taken for one ".repeat(9),
    )
    .unwrap();
    let broken = run(lexivid(args).env("LEXIVID_HOME", &home));
    assert_eq!(broken.code, Some(1));
    assert!(broken.stderr.contains("hint: --no-cache"), "{}", broken.stderr);
}

#[test]
fn shots_keep_windows_from_crossing_cuts() {
    let media = Media::new();
    let video = media.ffmpeg(
        "-f lavfi -i color=red:size=160x120:rate=10:duration=3 -f lavfi -i testsrc=size=160x120:rate=10:duration=3 \
         -filter_complex [0][1]concat -pix_fmt yuv420p",
        "cut.mp4",
    );
    let args = [video.as_str(), "--labels", "dog", "--json", "--window", "4s", "--hop", "4s", "--shots"];
    let found = run(&mut classify_tiny(args)).json();
    let windows: Vec<(f64, f64)> = found[0]["windows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|w| (w["start"].as_f64().unwrap(), w["end"].as_f64().unwrap()))
        .collect();
    assert_eq!(windows, [(0.0, 3.0), (3.0, 6.0)]);
}

#[test]
fn the_report_is_one_file_with_pictures() {
    let media = Media::new();
    let video = media.pattern(4, "pattern.mp4");
    let report = media.path("report.html");
    let ran = run(&mut classify_tiny([video.as_str(), "--labels", "dog, <b>cat</b>", "--report", &report]));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let html = std::fs::read_to_string(&report).unwrap();
    assert!(html.matches("data:image/jpeg;base64,").count() >= 8, "a strip and best frames");
    assert!(html.contains("&#60;b&#62;cat") || html.contains("&lt;b&gt;cat"), "labels are escaped");
}
