//! The HTML report in a real browser: what a reader sees is there, and nothing leaves the page.

use image::{ImageFormat, Rgb, RgbImage};
use lexivid::{
    dataset::{Truth, Truths, Vocabulary},
    decisions::{Classification, Evidence, LabelResult, LabelSpan, ModelSummary, Settings, Span},
    eval::{self, EvaluationOptions, EvaluationReport, Failed, Scores, evaluate},
    label::{Entry, Kind, Label},
    label_embedding::{Confidence, Origin},
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
            confidence: match origin {
                Origin::Inferred { .. } => Confidence::Low { reason: "no near anchor".into() },
                _ => Confidence::Usual,
            },
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
            dedup: true,
        },
        windows: [0.0, 2.0, 4.0, 6.0].map(|start| Span { start, end: start + 4.0 }).to_vec(),
        frames_used: 32,
        frames_reused: 0,
        clips_used: 0,
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
    // Overlapping windows share a column, which shows the higher of them.
    for (level, cells) in [("h9", 2), ("h4", 1), ("h2", 2), ("h6", 2)] {
        assert_eq!(dom.matches(&format!("<rect class=\"cell {level}\"")).count(), cells, "the heat map's {level}");
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

/// Uses the page as a reader does and writes what is then to be seen into the page.
const READER: &str = r#"
const seen = [];
const $ = selector => document.querySelector(selector);
const names = () => [...document.querySelectorAll(".row:not([hidden])")].map(row => row.dataset.name);
const few = () => names().filter(name => !name.startsWith("extra"));
const set = (selector, value, event) => { $(selector).value = value; $(selector).dispatchEvent(new Event(event)); };
const note = (what, value) => seen.push(`${what}: ${value}`);

note("rows", names().length);
$(".more button").click();
note("rows after more", names().length);
for (const order of ["name", "first", "probability"]) {
  set(".tools select", order, "change");
  note(`by ${order}`, few());
}
set(".tools input", "  ÜBUNG", "input");
note("found", names());
set(".tools input", "no such label", "input");
note("nothing found", `${names().length} ${!$(".empty").hidden}`);
set(".tools input", "", "input");
note("rows again", `${names().length} ${$(".empty").hidden}`);

const background = () => getComputedStyle(document.body).backgroundColor;
const before = background();
$(".theme").click();
note("theme changes", background() !== before);
$(".theme").click();
note("theme returns", background() === before);

$(".stills .still").click();
note("large still", `${$(".box").open} ${$(".box p").textContent} ${$(".box img").src === $(".stills img").src}`);
$(".box").close();

const lane = $(".row .lane");
const press = key => {
  lane.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  note(key, `${lane.getAttribute("aria-valuetext")} ${$(".tip").hidden ? "hidden" : $(".tip").textContent} ${$(".cursor").style.left}`);
};
for (const key of ["ArrowRight", "ArrowRight", "ArrowLeft", "End", "ArrowRight", "Home", "Escape"]) press(key);
const results = document.body.appendChild(document.createElement("pre"));
results.id = "results";
results.textContent = seen.join("\n");
"#;

#[test]
fn a_reader_finds_sorts_and_looks_closer() {
    let mut classification = classification(0);
    // Three labels that every order of sorting puts differently, and more than are shown at first.
    classification.labels[0].spans[0].start = 1.0;
    classification.labels[1].label = "zebra".into();
    let absent = classification.labels[2].clone();
    let extra = (0..30).map(|i| LabelResult { label: format!("extra {i}"), ..absent.clone() });
    classification.labels.extend(extra);
    let video = VideoPage {
        classification: &classification,
        strip: [2.5, 7.5].map(still).to_vec(),
        evidence: BTreeMap::from([(0, vec![still(2.0)])]),
    };
    let html = html::render(&Report { videos: &[video], failed: &[] }).unwrap();
    // The page lets no script run but its own; this copy lets the reader in.
    let (before, policy) = html.split_once("script-src '").unwrap();
    let (_, after) = policy.split_once('\'').unwrap();
    let html = format!("{before}script-src 'unsafe-inline'{after}");
    let html = html.replace("</body>", &format!("<script>{{{READER}}}</script></body>"));
    let directory = tempfile::tempdir().unwrap();
    let page = directory.path().join("report.html");
    std::fs::write(&page, html).unwrap();

    let dom = chromium(directory.path(), &page, &["--dump-dom".into()]);
    let (_, results) = dom.split_once("<pre id=\"results\">").expect("the reader came to the end");
    let (results, _) = results.split_once("</pre>").unwrap();
    let expected = "\
rows: 24
rows after more: 33
by name: riding a bike,Übung 🚲,zebra
by first: zebra,riding a bike,Übung 🚲
by probability: riding a bike,zebra,Übung 🚲
found: Übung 🚲
nothing found: 0 true
rows again: 33 true
theme changes: true
theme returns: true
large still: true riding a bike · 0:02 true
ArrowRight: 0:02–0:04 · 0.95 riding a bike0:02–0:04 · 0.95 30%
ArrowRight: 0:04–0:06 · 0.41 riding a bike0:04–0:06 · 0.41 50%
ArrowLeft: 0:02–0:04 · 0.95 riding a bike0:02–0:04 · 0.95 30%
End: 0:08–0:10 · 0.20 riding a bike0:08–0:10 · 0.20 90%
ArrowRight: 0:08–0:10 · 0.20 riding a bike0:08–0:10 · 0.20 90%
Home: 0:00–0:02 · 0.95 riding a bike0:00–0:02 · 0.95 10%
Escape: 0:00–0:02 · 0.95 hidden 10%";
    assert_eq!(results, expected);
}

/// 40 examples of three labels: one told well, one that is guessed, and a hostile one without a positive.
fn evaluation(port: u16) -> EvaluationReport {
    let entry = |name: &str, kind, seen| Entry {
        label: Label { kind: Some(kind), ..Label::new(name) },
        seen: Some(seen),
        subset: None,
        opposite: None,
    };
    let labels =
        [("told", Kind::Entity, true), ("guessed", Kind::Action, false), (&hostile(port), Kind::Entity, false)];
    let vocabulary = Vocabulary::new(labels.map(|(name, kind, seen)| entry(name, kind, seen))).unwrap();
    let (mut scores, mut truths) = (Scores::new(3), Truths::new(3));
    for example in 0..40 {
        let there = |yes: bool| if yes { Truth::Positive } else { Truth::Negative };
        let p = (example * 7 % 40) as f32 / 40.0;
        truths.push(&[there(p > 0.5), there(example % 4 == 0), Truth::Negative]);
        scores.push(&[p, (example * 11 % 40) as f32 / 40.0, 0.02]).unwrap();
    }
    let classification = classification(port);
    EvaluationReport {
        manifest: "data/stage & more.jsonl".into(),
        manifest_sha256: "0".repeat(64),
        split: Some("test".into()),
        vocabulary: "labels.csv".into(),
        model: classification.model,
        settings: classification.settings,
        failed: vec![Failed { video: "broken.mp4".into(), error: "no video stream".into() }],
        warnings: vec!["2 names are not in the vocabulary".into()],
        evaluation: evaluate(&scores, &truths, &vocabulary, &EvaluationOptions::new(3, 0.5)).unwrap(),
    }
}

const READER_OF_AN_EVALUATION: &str = r##"
const seen = [];
const $ = selector => document.querySelector(selector);
const names = () => [...document.querySelectorAll("#labels tbody tr:not([hidden])")].map(row => row.cells[0].textContent.slice(0, 8));
const note = (what, value) => seen.push(`${what}: ${value}`);
const heading = name => [...document.querySelectorAll("#labels th button")].find(button => button.textContent === name);
note("rows", names());
heading("AP").click();
note("by AP", names());
heading("AP").click();
note("by AP again", names());
heading("label").click();
note("by name", names());
$(".tools input").value = " GUESS";
$(".tools input").dispatchEvent(new Event("input"));
note("found", names());
const colour = () => getComputedStyle($(".chart polyline[stroke='#000010']")).stroke;
const before = colour();
$(".theme").click();
note("the curves follow the theme", colour() !== before && before !== "rgb(0, 0, 16)");
const results = document.body.appendChild(document.createElement("pre"));
results.id = "results";
results.textContent = seen.join("\n");
"##;

#[test]
fn an_evaluation_in_a_browser() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let report = evaluation(listener.local_addr().unwrap().port());
    let directory = tempfile::tempdir().unwrap();
    let page = directory.path().join("evaluation.html");
    eval::page::write(&page, &report).unwrap();
    let picture = directory.path().join("evaluation.png");
    let screenshot = ["--window-size=1280,900".into(), format!("--screenshot={}", picture.display())];
    chromium(directory.path(), &page, &screenshot);
    let colours: HashSet<_> = image::open(&picture).unwrap().to_rgb8().pixels().copied().collect();
    // The curve of all labels and the bars, in light.
    for drawn in [Rgb([0x1e, 0x22, 0x26]), Rgb([0xa2, 0xd2, 0xc9])] {
        assert!(colours.contains(&drawn), "{drawn:?} is not to be seen");
    }

    let html = std::fs::read_to_string(&page).unwrap();
    let (before, policy) = html.split_once("script-src '").unwrap();
    let (_, after) = policy.split_once('\'').unwrap();
    let html = format!("{before}script-src 'unsafe-inline'{after}");
    std::fs::write(&page, html.replace("</body>", &format!("<script>{{{READER_OF_AN_EVALUATION}}}</script></body>")))
        .unwrap();
    let dom = chromium(directory.path(), &page, &["--dump-dom".into()]);
    assert!(dom.contains("<title>data/stage &amp; more.jsonl · lexivid</title>"), "a label's script ran");
    let (_, results) = dom.split_once("<pre id=\"results\">").expect("the reader came to the end");
    let (results, _) = results.split_once("</pre>").unwrap();
    let expected = "\
rows: told,guessed,&lt;script&gt;
by AP: told,guessed,&lt;script&gt;
by AP again: guessed,told,&lt;script&gt;
by name: &lt;script&gt;,guessed,told
found: guessed
the curves follow the theme: true";
    assert_eq!(results, expected);
    let called = listener.accept();
    assert!(called.is_err(), "the page called out: {called:?}");
}
