use crate::util::{Media, classify_tiny};
use std::{
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

#[test]
fn ctrl_c_leaves_nothing_half_written() {
    let media = Media::new();
    let video = media.pattern(600, "long.mp4");
    let before = std::fs::read_dir(media.directory()).unwrap().count();
    let (output, report) = (media.path("out.json"), media.path("report.html"));
    let mut child =
        classify_tiny([&video, "-l", "dog", "--json", "-o", &output, "--report", &report].map(|a| a as &str))
            .args(["--frames", "50"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
    // Once the temporary output file stands, the video is being looked at.
    let deadline = Instant::now() + Duration::from_secs(60);
    while std::fs::read_dir(media.directory()).unwrap().count() == before {
        assert!(Instant::now() < deadline, "the output file was never begun");
        thread::sleep(Duration::from_millis(5));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    assert_eq!(std::fs::read_dir(media.directory()).unwrap().count(), before, "nothing new was left behind");
}
