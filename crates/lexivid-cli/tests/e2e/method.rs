//! The tables of the method on Stage's small size: three rows and two seeds, stopped, gone on with, shown.

use crate::util::{Media, Ran, in_home, lexivid, nano_clip, run, tiny_language_model, tiny_model};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

/// The language model lies beside the table.
const TABLE: &str = r#"
[base]
frames = 2
batch = 20
loss = { kind = "bce" }
heads = { video = { hidden = 16, scale = 0.5 }, label = { hidden = 16, scale = 0.5 } }
plan = { steps = 12, warm_up = 2, optimizer = { rate = 0.005 } }

[[row]]
name = "plain"
sections = ["first"]
untrained = true

[[row]]
name = "heads"
sections = ["first", "second"]

[[row]]
name = "encoder"
sections = ["second"]
labels_a_step = 40
temporal = { blocks = 1, drop_path = 0.1 }
label_encoder = { language_model = "tiny.gguf", prefixes = 2, attributes = 3, reader = { kind = "prompting", blocks = 1, width = 16, heads = 2 } }
grounding = { batch = 8, weight = 1.0, nameless = 0.5 }

[[claim]]
what = "heads calibrate"
column = "ECE"
row = "heads"
than = ["plain"]
at_most_times = 0.5

[[claim]]
what = "out of reach"
column = "seen entities"
row = "encoder"
than = ["plain", "heads"]
at_least = 101.0
spreads = 1
"#;

struct World {
    media: Media,
    stage: String,
    table: String,
}

impl World {
    fn new() -> Self {
        let media = Media::new();
        let (stage, table) = (media.path("stage"), media.path("table.toml"));
        assert_eq!(run(&mut in_home(&media, &["stage", "render", "small", "-o", &stage])).code, Some(0));
        fs::write(&table, TABLE).unwrap();
        fs::copy(tiny_language_model(), media.path("tiny.gguf")).unwrap();
        Self { media, stage, table }
    }

    fn command(&self, out: &str, more: &[&str]) -> Command {
        let (nano, out) = (nano_clip(), self.media.path(out));
        let args = ["bench", "method", &self.stage, "--model", &nano, "-o", &out, "--table", &self.table];
        in_home(&self.media, &[&args, more].concat())
    }

    fn bench(&self, out: &str, more: &[&str]) -> Ran {
        run(&mut self.command(out, more))
    }

    fn file(&self, name: &str) -> PathBuf {
        Path::new(&self.media.path(name)).to_owned()
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// The entry of a list whose `field` is `value`.
fn entry<'a>(list: &'a Value, field: &str, value: &str) -> &'a Value {
    list.as_array().unwrap().iter().find(|entry| entry[field] == value).unwrap_or_else(|| panic!("no {value}: {list}"))
}

#[test]
fn a_table_is_run_stopped_gone_on_with_and_shown() {
    let world = World::new();

    // Ctrl-C in the training of the last row.
    let mut child = world.command("out", &["--seeds", "1,2"]).stderr(Stdio::null()).spawn().unwrap();
    let metrics = world.file("out/encoder/1/metrics.csv");
    while !fs::read_to_string(&metrics).is_ok_and(|text| text.contains("\n2,")) {
        assert!(child.try_wait().unwrap().is_none(), "ended before it could be stopped");
        thread::sleep(Duration::from_millis(5));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let made = |name: &str| fs::metadata(world.file(name)).unwrap().modified().unwrap();
    let before = ["out/plain/result.json", "out/heads/1/result.json", "out/heads/2/result.json"].map(made);

    let all = world.bench("out", &["--seeds", "1,2", "--json"]).json();
    let after = ["out/plain/result.json", "out/heads/1/result.json", "out/heads/2/result.json"].map(made);
    assert_eq!(after, before, "what is done is not done again");
    let rows = &all["report"]["rows"];
    for (name, runs) in [("plain", 1), ("heads", 2), ("encoder", 2)] {
        let row = entry(rows, "name", name);
        assert_eq!(row["runs"], runs);
        let results = row["results"].as_array().unwrap();
        assert_eq!(results.len(), runs);
        let found = entry(&row["columns"], "column", "seen entities");
        let values = results.iter().map(|result| {
            let seen =
                result["rows"].as_array().unwrap().iter().find(|r| r["subset"] == "seen" && r["kind"] == "entity");
            100.0 * number(&seen.unwrap()["mean_average_precision"])
        });
        let mean = values.sum::<f64>() / runs as f64;
        assert!((number(&found["mean"]) - mean).abs() < 1e-9, "{found}, {mean}");
        assert_eq!(found["deviation"].is_null(), runs == 1);
        assert_eq!(results[0]["videos"], 80);
        assert_eq!(results[0]["seconds_trained"].is_null(), name == "plain");
    }
    for kept in ["metrics.csv", "result.json", "model/model.safetensors"] {
        assert!(world.file("out/encoder/1").join(kept).exists(), "{kept}");
    }
    assert!(!world.file("out/encoder/1/checkpoints").exists(), "there is nothing to go on with");

    // What was stopped came to what it would have come to.
    let straight = world.bench("straight", &["--seeds", "1", "--rows", "encoder", "--json"]).json();
    let first = |all: &Value| entry(&all["report"]["rows"], "name", "encoder")["results"][0]["rows"].clone();
    assert_eq!(first(&straight), first(&all));

    // The model as it is, measured by the other command that measures on Stage.
    let nano = nano_clip();
    let args = ["stage", "bench", &world.stage, "--model", &nano, "--frames", "2", "--precision", "f32", "--json"];
    let bench = run(&mut in_home(&world.media, &args)).json();
    let plain = &entry(rows, "name", "plain")["results"][0];
    let maps = |rows: &Value| -> Vec<f64> {
        rows.as_array().unwrap().iter().map(|row| number(&row["mean_average_precision"])).collect()
    };
    for (a, b) in maps(&bench["rows"]).into_iter().zip(maps(&plain["rows"])) {
        assert!((a - b).abs() < 1e-6, "{a} {b}");
    }

    // A model that looks along time answers for windows: its frames are judged by the window around them.
    let (video, model) = (format!("{}/videos/test/00000.mp4", world.stage), world.media.path("out/encoder/1/model"));
    let args = ["classify", &video, "-l", "moving left, dog", "--window", "1s", "--model", &model, "--json"];
    let classified = run(&mut in_home(&world.media, &args)).json();
    for label in classified[0]["labels"].as_array().unwrap() {
        let timeline: Vec<f64> = label["timeline"].as_array().unwrap().iter().map(number).collect();
        let best = number(&label["best_frames"][0]["probability"]);
        assert!(timeline.len() > 2 && (best - timeline.iter().copied().fold(0.0, f64::max)).abs() < 1e-6, "{label}");
    }

    // Claims follow from the numbers.
    let claims = &all["report"]["claims"];
    let ece = |name: &str| number(&entry(&entry(rows, "name", name)["columns"], "column", "ECE")["mean"]);
    assert_eq!(entry(claims, "what", "heads calibrate")["holds"], ece("heads") <= 0.5 * ece("plain"));
    let far = entry(claims, "what", "out of reach");
    assert_eq!((&far["holds"], far["comparisons"].as_array().unwrap().len()), (&Value::Bool(false), 2));

    let shown = world.bench("out", &["--seeds", "1,2"]);
    assert_eq!(shown.code, Some(0), "{}", shown.stderr);
    for expected in ["first\n", "second\n", "chance", " ± ", "what should come out", "fails", "over seeds 1, 2"] {
        assert!(shown.stdout.contains(expected), "{expected}: {}", shown.stdout);
    }
    let rows_of = |name: &str| shown.stdout.lines().filter(|line| line.starts_with(&format!(" {name} "))).count();
    assert_eq!((rows_of("plain"), rows_of("heads")), (1, 2), "heads is in both sections: {}", shown.stdout);

    // A seed more, asked of one row only.
    let partial = world.bench("out", &["--seeds", "1,2,3", "--rows", "plain"]);
    assert!(partial.stdout.contains("encoder (2 of 3 seeds)"), "{}", partial.stdout);
    assert!(partial.stdout.contains("heads has 2 of 3 seeds"), "{}", partial.stdout);

    // Another configuration of one row: it alone is made anew.
    let kept = made("out/encoder/1/result.json");
    let heads = "sections = [\"first\", \"second\"]\n";
    fs::write(&world.table, TABLE.replace(heads, &format!("{heads}plan = {{ steps = 6 }}\n"))).unwrap();
    let anew = world.bench("out", &["--seeds", "1", "--json"]);
    assert!(anew.stderr.contains("heads/1: was made with another configuration"), "{}", anew.stderr);
    assert!(!anew.stderr.contains("encoder"), "{}", anew.stderr);
    assert_eq!(
        entry(&anew.json()["report"]["rows"], "name", "heads")["results"][0]["recipe"]["settings"]["plan"]["steps"],
        6
    );
    assert_ne!(made("out/heads/1/result.json"), before[1]);
    assert_eq!(made("out/encoder/1/result.json"), kept);
    let steps = fs::read_to_string(world.file("out/heads/1/metrics.csv")).unwrap();
    assert!(!steps.contains("\n7,"), "{steps}");

    // A row that cannot be run does not stop the others.
    let encoder = "label_encoder = { language_model = \"none.gguf\", reader = { kind = \"pooled\", width = 4 } }\n";
    let broken = TABLE.replace(heads, &format!("{heads}{encoder}")).replace("steps = 12", "steps = 5");
    fs::write(&world.table, broken).unwrap();
    let failed = world.bench("out", &["--seeds", "1"]);
    assert_eq!(failed.code, Some(1), "{}", failed.stderr);
    assert!(failed.stderr.contains("none.gguf"), "{}", failed.stderr);
    assert!(failed.stdout.contains("heads (0 of 1 seeds)"), "{}", failed.stdout);
    assert!(!failed.stdout.contains("encoder (0"), "{}", failed.stdout);
}

#[test]
fn mistakes_are_told_before_anything_runs() {
    let media = Media::new();
    let (table, nano, out) = (media.path("table.toml"), nano_clip(), media.path("out"));
    fs::write(&table, TABLE.replace("batch = 20", "bacth = 20")).unwrap();
    let stage = media.path("stage");
    let bench = |more: &[&str]| {
        let args = ["bench", "method", &stage, "--model", &nano, "-o", &out];
        run(&mut in_home(&media, &[&args, more].concat()))
    };
    for (args, code, expected) in [
        (&["--table", &table][..], 2, "row \"plain\": unknown field `bacth`"),
        (&["--rows", "heads,haeds"], 2, "got \"haeds\""),
        (&["--seeds", "one"], 2, "invalid value 'one'"),
        (&[], 1, "stage.json"),
    ] {
        let ran = bench(args);
        assert_eq!(ran.code, Some(code), "{}", ran.stderr);
        assert!(ran.stderr.contains(expected), "{}", ran.stderr);
    }
    assert!(!Path::new(&out).exists());
}

#[test]
fn a_video_is_still_timed() {
    let media = Media::new();
    let video = media.pattern(1, "pattern.mp4");
    let timed = run(&mut lexivid(["bench", &video, "--model", &tiny_model(), "--runs", "2", "--json"])).json();
    assert_eq!(timed["runs"].as_array().unwrap().len(), 2);
    assert_eq!(run(&mut lexivid(["bench"])).code, Some(2));
    assert_eq!(run(&mut lexivid(["bench", &video, "method"])).code, Some(2));
}
