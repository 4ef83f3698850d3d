use crate::util::{Media, classify_tiny, run};
use std::process::Command;

/// A bad file is one line on stderr and one entry in the output; the good ones beside it are classified.
#[test]
fn one_bad_file_does_not_stop_the_others() {
    let media = Media::new();
    let good = media.pattern(2, "good.mp4");
    let sound = media.ffmpeg("-f lavfi -i sine=duration=1", "sound.mp4");
    let (text, empty, missing) = (media.path("text.mp4"), media.path("empty.mp4"), media.path("missing.mp4"));
    std::fs::write(&text, "this is no video").unwrap();
    std::fs::write(&empty, "").unwrap();
    let headless = media.path("headless.mp4");
    let bytes = std::fs::read(&good).unwrap();
    std::fs::write(&headless, &bytes[..bytes.len() / 2]).unwrap();

    let bad = [&sound, &text, &empty, &missing, &headless];
    let mut args: Vec<&str> = bad.iter().map(|path| path.as_str()).collect();
    args.extend([&good, "--labels", "dog", "--json"].map(|a| a as &str));
    let ran = run(&mut classify_tiny(args));
    assert_eq!(ran.code, Some(1));
    let outcomes: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let outcomes = outcomes.as_array().unwrap();
    assert_eq!(outcomes.len(), 6);
    for (path, outcome) in bad.iter().zip(outcomes) {
        assert_eq!(outcome["path"], path.as_str());
        assert!(outcome["error"].is_string(), "{outcome}");
        let lines: Vec<_> =
            ran.stderr.lines().filter(|l| l.starts_with("error: ") && l.contains(path.as_str())).collect();
        assert_eq!(lines.len(), 1, "{}", ran.stderr);
    }
    assert!(ran.stderr.contains("only 1 audio stream"), "{}", ran.stderr);
    assert_eq!(outcomes[5]["frames_used"], 4);
}

/// What is still readable of a damaged file is classified, with a warning that has numbers in it.
#[test]
fn damage_is_told() {
    let media = Media::new();
    // Matroska writes its index last: half of the file still reads, as a shorter video.
    let whole = media.ffmpeg(
        "-f lavfi -i testsrc2=size=320x240:rate=10:duration=12 -c:v libx264 -g 10 -pix_fmt yuv420p",
        "whole.mkv",
    );
    let bytes = std::fs::read(&whole).unwrap();
    let truncated = media.path("truncated.mkv");
    std::fs::write(&truncated, &bytes[..bytes.len() / 2]).unwrap();
    let ran = run(&mut classify_tiny([truncated.as_str(), "--labels", "dog", "--json"]));
    let found = ran.json();
    let warnings = found[0]["warnings"].to_string();
    assert!(warnings.contains("12.0 s"), "{warnings}");
    assert!(ran.stderr.contains("warning: ") && ran.stderr.contains("truncated.mkv"), "{}", ran.stderr);
    let last = found[0]["windows"].as_array().unwrap().last().unwrap()["end"].as_f64().unwrap();
    assert!(last < 9.0, "nothing is said of what could not be seen: {last}");
}

#[test]
fn a_source_that_says_nothing_is_abandoned() {
    let media = Media::new();
    let pipe = media.path("silent.mp4");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let ran = run(&mut classify_tiny([pipe.as_str(), "--labels", "dog", "--stall-timeout", "1s"]));
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("no progress for 1s"), "{}", ran.stderr);
    assert!(ran.stderr.contains("hint: a longer --stall-timeout"), "{}", ran.stderr);
}
