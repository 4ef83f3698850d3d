//! The HTML report in a real browser: what a reader sees is there, and nothing leaves the page.

use image::{ImageFormat, Rgb, RgbImage};
use lexivid::{
    decisions::{Classification, Evidence, LabelResult, LabelSpan, ModelSummary, Settings, Span},
    label::Kind,
    label_embedding::Origin,
    report::html::{self, Report, Still, VideoPage},
    video::VideoInfo,
};
use std::{
    collections::{BTreeMap, HashSet},
    fs::File,
    io::Cursor,
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// A label that would change the title and call out, were it taken for HTML.
fn hostile(port: u16) -> String {
    format!("<script>document.title='owned'</script><img src=\"http://127.0.0.1:{port}/label.png\">")
}

/// 10 s, four windows; three labels, the second hostile.
fn classification(port: u16) -> Classification {
    let label = |name: &str, kind, timeline: [f32; 4], origin| {
        let present = timeline[0] >= 0.5;
        LabelResult {
            label: name.into(),
            kind,
            probability: timeline.iter().copied().fold(0.0, f32::max),
            threshold: 0.5,
            present,
            spans: if present { vec![LabelSpan { start: 0.0, end: 4.0, peak: timeline[0] }] } else { vec![] },
            best_frames: vec![Evidence { time: 2.0, probability: 0.91 }],
            timeline: timeline.to_vec(),
            origin,
        }
    };
    let inferred = Origin::Inferred { nearest: "dog".into(), similarity: 0.4 };
    Classification {
        path: "clips/bikes & more.mp4".into(),
        video: VideoInfo {
            container: "mov".into(),
            codec: "h264".into(),
            width: 640,
            height: 360,
            rotation: 0,
            duration: 10.0,
            frame_rate: Some(25.0),
        },
        model: ModelSummary {
            name: "starter".into(),
            fingerprint: "0123456789abcdef".into(),
            card: format!(
                "# The card\n\n![picture](http://127.0.0.1:{port}/card.png)\n\n\
                 <img src=\"http://127.0.0.1:{port}/raw.png\">"
            ),
        },
        settings: Settings {
            window: Some(4.0),
            hop: Some(2.0),
            frames_per_window: 8,
            pool: "max".into(),
            threshold: 0.5,
            shots: true,
        },
        windows: [0.0, 2.0, 4.0, 6.0].map(|start| Span { start, end: start + 4.0 }).to_vec(),
        frames_used: 32,
        labels: vec![
            label("riding a bike", Some(Kind::Action), [0.95, 0.41, 0.05, 0.2], Origin::TextTower),
            label(&hostile(port), None, [0.66, 0.0, 0.0, 0.0], inferred),
            label("Übung 🚲", Some(Kind::Entity), [0.0; 4], Origin::KnownClass { class: "bicycle".into() }),
        ],
        warnings: vec!["3 of 250 frames were lost".into()],
    }
}

/// A picture with many colours, different for every time.
fn still(time: f64) -> Still {
    let picture = RgbImage::from_fn(160, 90, |x, y| Rgb([x as u8, (y * 2) as u8, (time * 25.0) as u8]));
    let mut jpeg = Cursor::new(Vec::new());
    picture.write_to(&mut jpeg, ImageFormat::Jpeg).unwrap();
    Still { time, jpeg: jpeg.into_inner() }
}

/// Opens `page` without a window; gives what the browser writes to stdout.
fn chromium(directory: &Path, page: &Path, arguments: &[String]) -> String {
    let output = directory.join("stdout");
    let profile = tempfile::tempdir_in(directory).unwrap();
    let mut browser = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(arguments)
        .arg(format!("file://{}", page.display()))
        .stdout(File::create(&output).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .expect("`chromium` is needed by this test; `scripts/test` installs it");
    // A browser that hangs must fail the test, not hold it up for ever.
    let start = Instant::now();
    let status = loop {
        if let Some(status) = browser.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > Duration::from_secs(120) {
            browser.kill().unwrap();
            browser.wait().unwrap();
            panic!("chromium did not finish in 120 s");
        }
        sleep(Duration::from_millis(50));
    };
    assert!(status.success(), "chromium ended with {status}");
    std::fs::read_to_string(output).unwrap()
}

#[test]
fn a_report_in_a_browser() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();

    let classification = classification(port);
    let video = VideoPage {
        classification: &classification,
        strip: [1.0, 3.0, 5.0, 7.0, 9.0].map(still).to_vec(),
        evidence: BTreeMap::from([(0, vec![still(2.0)]), (1, vec![still(2.0)])]),
    };
    let failed = [("broken.mp4".to_string(), "no video stream".to_string())];
    let directory = tempfile::tempdir().unwrap();
    let page = directory.path().join("report.html");
    html::write(&page, &Report { videos: &[video], failed: &failed }).unwrap();

    // What the reader sees, after the page's script has run.
    let dom = chromium(directory.path(), &page, &["--dump-dom".into()]);
    for label in &classification.labels {
        let escaped = label.label.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        assert!(dom.contains(&escaped), "{escaped} is not in the page");
    }
    assert_eq!(dom.matches("<li class=\"row").count(), 3, "one row a label");
    assert_eq!(dom.matches("alt=\"Frame at ").count(), 5, "the strip");
    for level in ["h9", "h4", "h2", "h6"] {
        assert_eq!(dom.matches(&format!("<rect class=\"cell {level}\"")).count(), 1, "the heat map's cell of {level}");
    }
    assert_eq!(dom.matches("<figcaption>0:02 · 0.91</figcaption>").count(), 2, "the evidence");
    assert!(dom.contains("3 of 250 frames were lost"));
    assert!(dom.contains("<b>broken.mp4</b> could not be classified: no video stream"));
    assert!(dom.contains("<h3>The card</h3>"));
    assert_eq!(dom.matches("role=\"slider\"").count(), 3, "the page's own script ran");

    // Nothing that a user or a model wrote ran.
    assert!(dom.contains("<title>2 videos · lexivid</title>"), "a label's script ran");
    assert_eq!(dom.matches("<script").count(), 1);

    let picture = directory.path().join("report.png");
    let screenshot = ["--window-size=1280,900".into(), format!("--screenshot={}", picture.display())];
    chromium(directory.path(), &page, &screenshot);
    let picture = image::open(&picture).unwrap().to_rgb8();
    assert_eq!(picture.dimensions(), (1280, 900));
    let colours: HashSet<_> = picture.pixels().collect();
    assert!(colours.len() > 1000, "only {} colours: the stills are not shown", colours.len());

    // Nothing was fetched, nor would be with a network.
    for (at, _) in dom.match_indices("<img") {
        let picture = &dom[at..];
        let inside = picture.starts_with("<img src=\"data:image/jpeg;base64,") || picture.starts_with("<img alt=\"\">");
        assert!(inside, "{:.80}", picture);
    }
    for resource in ["<link", "url(http", "@import", "<iframe", "<object"] {
        assert!(!dom.contains(resource), "{resource}");
    }
    let called = listener.accept();
    assert!(called.is_err(), "the page called out: {called:?}");
}
