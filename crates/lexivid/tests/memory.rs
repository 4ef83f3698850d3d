//! A long video costs no more memory than a short one. Alone in its process, because the peak is the process's.
#![cfg(target_os = "linux")]

use lexivid::{
    frames::{Filter, Preprocessing, Sampling, View, Wanted, Windowing, sample, targets},
    video::{DecodeOptions, probe},
};
use std::{fs, path::Path, process::Command};

/// Peak resident memory of this process in kB.
fn peak() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Samples a generated video of `seconds` twice a second; gives the number of frames.
fn look_at(directory: &Path, seconds: u32) -> usize {
    let path = directory.join(format!("{seconds}.mp4"));
    let source = format!("testsrc2=size=1280x720:rate=10:duration={seconds}");
    let arguments = ["-v", "error", "-f", "lavfi", "-i", &source, "-c:v", "libx264", "-preset", "ultrafast"];
    assert!(Command::new("ffmpeg").args(arguments).arg(&path).status().expect("ffmpeg").success());
    let options = DecodeOptions::default();
    let sampling = Sampling::new(Windowing::Sliding { length: 4.0, hop: 4.0 }, 8).unwrap();
    let targets = targets(&sampling.windows(probe(&path, &options).unwrap().duration, None));
    let preprocessing = Preprocessing {
        size: (224, 224),
        views: vec![View::CentreCrop { shortest_edge: 224 }],
        filter: Filter::Bicubic,
        mean: [0.0; 3],
        std: [1.0; 3],
    };
    sample(&path, &options, vec![Wanted { targets, preprocessing }]).unwrap().map(Result::unwrap).count()
}

#[test]
fn memory_does_not_grow_with_duration() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(look_at(directory.path(), 8), 16);
    let short = peak();
    assert_eq!(look_at(directory.path(), 80), 160);
    // One decoded frame is 1.4 MB: the 720 frames more would be 1 GB.
    assert!(peak() < short + 16_000, "{} kB, {short} kB for a tenth of the duration", peak());
}
