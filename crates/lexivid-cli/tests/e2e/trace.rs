use crate::util::{Media, classify_tiny, run};
use serde_json::Value;
use std::collections::HashMap;

struct Span {
    name: String,
    thread: u64,
    /// Microseconds.
    start: f64,
    end: f64,
}

/// Pairs the beginnings and ends of every thread.
fn spans(events: &[Value]) -> Vec<Span> {
    let mut open: HashMap<u64, Vec<(&str, f64)>> = HashMap::new();
    let mut spans = Vec::new();
    for event in events.iter().filter(|event| event["ph"] != "M") {
        let (thread, time) = (event["tid"].as_u64().unwrap(), event["ts"].as_f64().unwrap());
        let name = event["name"].as_str().unwrap();
        let stack = open.entry(thread).or_default();
        if event["ph"] == "B" {
            stack.push((name, time));
        } else {
            let (begun, start) = stack.pop().unwrap();
            assert_eq!((begun, &event["ph"]), (name, &"E".into()));
            spans.push(Span { name: name.into(), thread, start, end: time });
        }
    }
    assert!(open.values().all(Vec::is_empty), "every span has ended");
    spans
}

#[test]
fn decoding_and_encoding_are_seen_to_overlap() {
    let media = Media::new();
    let video = media.ffmpeg("-f lavfi -i testsrc2=size=1280x720:rate=10:duration=6 -pix_fmt yuv420p", "pattern.mp4");
    let trace = media.path("trace.json");
    let args = [&video, "-l", "dog", "--window", "whole", "--frames", "60", "--trace", &trace].map(|a| a as &str);
    let ran = run(&mut classify_tiny(args));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);

    let events: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(&trace).unwrap()).unwrap();
    let threads: HashMap<u64, &str> = events
        .iter()
        .filter(|event| event["name"] == "thread_name")
        .map(|event| (event["tid"].as_u64().unwrap(), event["args"]["name"].as_str().unwrap()))
        .collect();
    let spans = spans(&events);
    let named = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    for (name, thread) in [
        ("open container", "decoder"),
        ("decode", "decoder"),
        ("convert colours", "decoder"),
        ("resize", "decoder"),
        ("load model", "main"),
        ("encode labels", "main"),
        ("encode frames", "main"),
        ("normalise", "main"),
        ("match labels", "main"),
    ] {
        let found = named(name);
        assert!(!found.is_empty(), "no span {name}");
        assert!(found.iter().all(|span| threads[&span.thread] == thread), "{name} is not on {thread}");
    }
    let overlap = named("encode frames")
        .iter()
        .any(|a| named("decode").iter().any(|b| a.thread != b.thread && a.start < b.end && b.start < a.end));
    assert!(overlap, "the model waited for all of the decoding");
}

#[test]
fn a_trace_that_cannot_be_written_is_said() {
    let ran = run(&mut classify_tiny(["x.mp4", "-l", "dog", "--trace", "/no/such/trace.json"]));
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.starts_with("error: /no/such/trace.json: "), "{}", ran.stderr);
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_costs_the_trace_and_nothing_else() {
    let media = Media::new();
    let video = media.ffmpeg("-f lavfi -i testsrc2=size=64x64:rate=10:duration=1 -pix_fmt yuv420p", "pattern.mp4");
    let plain = run(&mut classify_tiny([&video, "-l", "dog", "--json"]));
    let traced = run(&mut classify_tiny([&video, "-l", "dog", "--json", "--trace", "/dev/full"]));
    assert_eq!((traced.code, &traced.stdout), (plain.code, &plain.stdout));
    assert!(traced.stderr.contains("warning: /dev/full: No space left on device"), "{}", traced.stderr);
    assert!(!traced.stderr.contains("panicked"), "{}", traced.stderr);
}
