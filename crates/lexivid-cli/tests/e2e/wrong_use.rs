use crate::util::{Media, classify_tiny, lexivid, run};

#[test]
fn exits_with_2_and_one_clear_line() {
    let media = Media::new();
    let video = media.pattern(1, "pattern.mp4");
    std::fs::create_dir(media.path("empty")).unwrap();
    std::fs::write(media.path("bad.yaml"), "- name: dog\n  kind: beast\n").unwrap();
    let (empty, bad) = (media.path("empty"), media.path("bad.yaml"));
    let cases: [(&[&str], &str); 8] = [
        (&[&video], "--labels"),
        (&[&video, "-l", " , "], "no labels"),
        (&[&video, "-f", &bad], "bad.yaml"),
        (&[&video, "-f", "missing.csv"], "missing.csv"),
        (&[&video, "-l", "dog", "--threshold", "2"], "from 0 to 1"),
        (&[&video, "-l", "dog", "--window", "0s"], "window"),
        (&[&video, "-l", "dog", "--window", "whole", "--hop", "1s"], "--hop"),
        (&[&empty, "-l", "dog"], "no videos"),
    ];
    for (args, expected) in cases {
        let ran = run(&mut classify_tiny(args.iter().copied()));
        assert_eq!(ran.code, Some(2), "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(expected), "{args:?}: {}", ran.stderr);
        assert_eq!(ran.stdout, "", "{args:?}");
    }
    assert_eq!(run(&mut lexivid([])).code, Some(2));
}

#[test]
fn what_cannot_be_had_is_said() {
    let cases: [(&[&str], &str); 2] = [
        (&["models", "pull", "nosuch"], "expected `starter`, `i3d`, a hub id"),
        (&["classify", "x.mp4", "-l", "dog", "--device", "cuda"], "device cuda is not available"),
    ];
    for (args, expected) in cases {
        let ran = run(&mut lexivid(args.iter().copied()));
        assert_eq!(ran.code, Some(1), "{args:?}");
        assert!(ran.stderr.contains(expected), "{}", ran.stderr);
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let media = Media::new();
    let video = media.pattern(1, "pattern.mp4");
    let labels: String = (0..2000).map(|i| format!("thing {i}, ")).collect();
    let mut command = classify_tiny([video.as_str(), "--json", "--labels", &labels]);
    let mut child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
