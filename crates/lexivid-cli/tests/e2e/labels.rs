use crate::util::{Media, lexivid, run, tiny_model};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

/// The program with a home of its own, and the tiny model.
pub fn at_home<'a>(media: &Media, args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = lexivid(args);
    command.env("LEXIVID_HOME", media.path("home")).env("LEXIVID_MODEL", tiny_model());
    command
}

#[test]
fn a_vocabulary_is_made_listed_used_and_changed() {
    let media = Media::new();
    let ran = |args: &[&str]| run(&mut at_home(&media, args.iter().copied())).json();
    std::fs::write(media.path("more.csv"), "name,definition\ncat,it purrs\ncrane,a wading bird\n").unwrap();
    let added = ran(&["labels", "add", "-l", "dog, cat", "--vocabulary", "zoo", "--json"]);
    let expected =
        json!({"vocabulary": "zoo", "added": 2, "changed": 0, "unchanged": 0, "embedded": 2, "model": tiny_model()});
    assert_eq!(added, expected);
    let added = ran(&["labels", "add", "-f", &media.path("more.csv"), "--vocabulary", "zoo", "--json"]);
    assert_eq!((&added["added"], &added["changed"]), (&json!(1), &json!(1)));

    let renamed = ran(&["labels", "rename", "dog", "hound", "--vocabulary", "zoo", "--json"]);
    assert_eq!(renamed, json!({"embedded_with": [], "to_embed_with": [tiny_model()]}));
    let zoo = ran(&["labels", "list", "--vocabulary", "zoo", "--json"]);
    let with: &[Value] = &[json!(tiny_model())];
    assert_eq!(zoo[0], json!({"name": "hound", "embedded_with": []}));
    assert_eq!(zoo[1], json!({"name": "cat", "definition": "it purrs", "embedded_with": with}));

    let video = media.pattern(1, "pattern.mp4");
    let found = ran(&["classify", &video, "--vocabulary", "zoo", "--json"]);
    let mut names: Vec<_> =
        found[0]["labels"].as_array().unwrap().iter().map(|l| l["label"].as_str().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["cat", "crane", "hound"]);
    let embedded = &ran(&["labels", "list", "--json"])[0]["embedded"][0];
    assert_eq!((&embedded["labels"], &embedded["model"]), (&json!(3), &json!(tiny_model())), "hound, too, now");

    assert_eq!(ran(&["labels", "remove", "Crane", "--vocabulary", "zoo", "--json"]), json!({"removed": 1}));
    assert_eq!(ran(&["labels", "remove", "--all", "--vocabulary", "zoo", "--json"]), json!({"removed": 2}));
    assert_eq!(ran(&["labels", "list", "--json"]), json!([]));
}

#[test]
fn what_is_not_there_is_wrong_use() {
    let media = Media::new();
    let video = media.pattern(1, "pattern.mp4");
    run(&mut at_home(&media, ["labels", "add", "-l", "dog, cat", "--json"])).json();
    let cases: [(&[&str], &str); 5] = [
        (&["labels", "add"], "no labels given"),
        (&["labels", "remove", "bird"], "has no label \"bird\"\nhint: `lexivid labels list --vocabulary default`"),
        (&["labels", "rename", "dog", "cat"], "already has a label \"cat\""),
        (&["labels", "list", "--vocabulary", "zoo"], "no vocabulary \"zoo\"; expected one of [\"default\"]"),
        (
            &["classify", &video, "--vocabulary", "zoo"],
            "hint: `lexivid labels add --labels-file FILE --vocabulary zoo`",
        ),
    ];
    for (args, expected) in cases {
        let ran = run(&mut at_home(&media, args.iter().copied()));
        assert_eq!(ran.code, Some(2), "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(expected), "{args:?}: {}", ran.stderr);
    }
}

/// Kills the program again and again while it embeds; what it had told of is there, and nothing is there that is wrong.
#[test]
fn killed_it_loses_nothing_that_it_told_of() {
    const LABELS: u64 = 30_000;
    let media = Media::new();
    let labels: String = (0..LABELS).map(|i| format!("thing {i} of many\n")).collect();
    std::fs::write(media.path("labels.txt"), labels).unwrap();
    let args = ["labels", "add", "-f", &media.path("labels.txt"), "--json"];
    let embedded = || {
        let vocabularies = run(&mut at_home(&media, ["labels", "list", "--json"])).json();
        vocabularies[0]["embedded"][0]["labels"].as_u64().unwrap()
    };
    let mut before = 0;
    for _ in 0..3 {
        let mut child = at_home(&media, args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let told = loop {
            let line = lines.next().expect("it tells of its progress before it is done").unwrap();
            if let Some(told) = line.strip_suffix(&format!(" of {LABELS} labels")) {
                break told.parse::<u64>().unwrap();
            }
        };
        child.kill().unwrap();
        child.wait().unwrap();
        let stored = embedded();
        assert!(
            told > before && (told..LABELS).contains(&stored),
            "told of {told}, {stored} are stored, {before} before"
        );
        before = stored;
    }
    let added = run(&mut at_home(&media, args)).json();
    assert_eq!((&added["unchanged"], &added["embedded"]), (&json!(LABELS), &json!(LABELS)));

    // Every row is what the model says of its label.
    let picture = media.ffmpeg("-f lavfi -i testsrc2=size=64x64 -frames:v 1", "picture.png");
    let probabilities = |labels: &[&str]| {
        let ran = run(at_home(&media, ["classify", &picture, "--json"]).args(labels)).json();
        let labels = ran[0]["labels"].as_array().unwrap().clone();
        let mut of: Vec<_> = labels
            .iter()
            .map(|l| (l["label"].as_str().unwrap().to_owned(), l["probability"].as_f64().unwrap()))
            .collect();
        of.sort_by(|a, b| a.0.cmp(&b.0));
        of
    };
    let stored = probabilities(&["--vocabulary", "default"]);
    let anew = probabilities(&["--labels-file", &media.path("labels.txt"), "--no-cache"]);
    assert_eq!(stored.len(), LABELS as usize);
    for (stored, anew) in stored.iter().zip(&anew) {
        assert!(stored.0 == anew.0 && (stored.1 - anew.1).abs() <= 1e-5 * anew.1, "{stored:?} {anew:?}");
    }
    let distinct: std::collections::BTreeSet<u64> = anew.iter().map(|(_, p)| p.to_bits()).collect();
    assert!(distinct.len() > LABELS as usize * 9 / 10, "equal probabilities would hide wrong rows");
}
