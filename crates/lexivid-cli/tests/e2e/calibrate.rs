use crate::util::{Media, Ran, lexivid, run, tiny_model};
use serde_json::{Value, json};

const NAMES: [&str; 3] = ["dog", "guitar", "riding a bike"];
const PICTURES: usize = 12;

/// Pictures, and a copy of the tiny model that may be written to.
fn prepared() -> Media {
    let media = Media::new();
    media.ffmpeg(&format!("-f lavfi -i testsrc2=size=160x120:rate=1:duration={PICTURES}"), "%02d.png");
    std::fs::create_dir(media.path("model")).unwrap();
    for file in std::fs::read_dir(tiny_model()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), media.directory().join("model").join(file.file_name())).unwrap();
    }
    std::fs::write(media.path("labels.txt"), NAMES.join("\n")).unwrap();
    media
}

fn picture(index: usize) -> String {
    format!("{:02}.png", index + 1)
}

fn with_model(media: &Media, args: &[&str]) -> Ran {
    let model = media.path("model");
    run(&mut lexivid(args.iter().copied().chain(["--no-cache", "--model", &model])))
}

/// A label's probability of every picture.
fn probabilities(media: &Media, name: &str) -> Vec<f64> {
    let pictures: Vec<String> = (0..PICTURES).map(|i| media.path(&picture(i))).collect();
    let mut args = vec!["classify", "--json", "--window", "whole", "-l", name];
    args.extend(pictures.iter().map(String::as_str));
    let found = with_model(media, &args).json();
    found.as_array().unwrap().iter().map(|video| video["labels"][0]["probability"].as_f64().unwrap()).collect()
}

fn dataset(media: &Media, command: &str, split: &str, args: &[&str]) -> Ran {
    let (manifest, labels) = (media.path("manifest.jsonl"), media.path("labels.txt"));
    let fixed = [command, "--manifest", &manifest, "--labels", &labels, "--split", split];
    with_model(media, &fixed.into_iter().chain(args.iter().copied()).collect::<Vec<_>>())
}

/// For a model of random weights nothing is true: the truth is made from what it says, with a fifth of it turned round.
fn write_manifest(media: &Media) {
    let said = NAMES.map(|name| probabilities(media, name));
    let mut all: Vec<f64> = said.iter().flatten().copied().collect();
    all.sort_by(f64::total_cmp);
    let median = all[all.len() / 2];
    let manifest: String = (0..PICTURES)
        .map(|picture_index| {
            let there =
                |label: &usize| (said[*label][picture_index] > median) != (picture_index + label).is_multiple_of(5);
            let positives: Vec<_> = (0..NAMES.len()).filter(there).map(|label| NAMES[label]).collect();
            let example =
                json!({"video": picture(picture_index), "positives": positives, "negatives": "*", "split": "val"});
            format!("{example}\n")
        })
        .collect();
    std::fs::write(media.path("manifest.jsonl"), manifest).unwrap();
}

#[test]
fn a_fitted_model_means_what_it_says() {
    let media = prepared();
    write_manifest(&media);
    let error = |ran: &Ran| ran.json()["groups"][0]["calibration_error"].as_f64().unwrap();
    let before = dataset(&media, "eval", "val", &["--json"]);
    assert!(before.stderr.contains("not calibrated"), "{}", before.stderr);

    let fitted = dataset(&media, "calibrate", "val", &["--json", "--thresholds"]).json();
    let on = &fitted["fitted_on"];
    assert_eq!((&on["pairs"], &on["split"], &on["manifest"]), (&json!(36), &json!("val"), &json!("manifest.jsonl")));
    let file: Value =
        serde_json::from_str(&std::fs::read_to_string(media.path("model/lexivid.json")).unwrap()).unwrap();
    assert_eq!((&file["scale"], &file["fitted_on"]), (&fitted["scale"], on));

    let after = dataset(&media, "eval", "val", &["--json"]);
    assert!(error(&after) < error(&before), "{} {}", error(&after), error(&before));
    assert!((on["calibration_error_before"].as_f64().unwrap() - error(&before)).abs() < 1e-6);
    assert!((on["calibration_error_after"].as_f64().unwrap() - error(&after)).abs() < 1e-6);
    assert!(!after.stderr.contains("not calibrated"), "{}", after.stderr);
    assert!(after.stderr.contains("fitted on split \"val\" of this very manifest"), "{}", after.stderr);

    // Ranks stay: one scale and one bias for all.
    let ranks = |ran: &Ran| ran.json()["groups"][0]["micro_average_precision"].as_f64().unwrap();
    assert!((ranks(&after) - ranks(&before)).abs() < 1e-9);

    // A label's threshold, else the model's, else the run's.
    let thresholds = file["thresholds"].as_object().unwrap();
    let positives = |label: &Value| label["positives"].as_u64().unwrap();
    for label in after.json()["labels"].as_array().unwrap() {
        let name = label["label"].as_str().unwrap();
        assert_eq!(thresholds.contains_key(name), positives(label) >= 5, "{name}");
        if let Some(threshold) = thresholds.get(name) {
            assert_eq!(&label["threshold"], threshold);
            let (f1, best) = (label["f1"].as_f64().unwrap(), label["peak_f1"]["f1"].as_f64().unwrap());
            assert!((f1 - best).abs() < 1e-12, "{name}: {f1} is not the best on these examples, {best}");
        }
    }
    assert!(!thresholds.is_empty());
    let (name, fitted) = thresholds.iter().next().unwrap();
    std::fs::write(media.path("own.csv"), format!("name,threshold\n{name},0.25\n")).unwrap();
    let (own, first) = (media.path("own.csv"), media.path(&picture(0)));
    let threshold = |labels: [&str; 2]| {
        let found =
            with_model(&media, &["classify", &first, "--json", "--threshold", "0.125", labels[0], labels[1]]).json();
        found[0]["labels"][0]["threshold"].clone()
    };
    assert_eq!(threshold(["-l", &name.to_uppercase()]), *fitted);
    assert_eq!(threshold(["-f", &own]), json!(0.25));
    assert_eq!(threshold(["-l", "zebra"]), json!(0.125));
}

#[test]
fn only_what_can_be_fitted_is_fitted() {
    let media = prepared();
    let nothing = json!({"video": picture(0), "positives": ["dog"], "split": "val"});
    std::fs::write(media.path("manifest.jsonl"), format!("{nothing}\n")).unwrap();
    let refused = dataset(&media, "calibrate", "test", &[]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("--split test is for evaluation"), "{}", refused.stderr);

    let one_sided = dataset(&media, "calibrate", "val", &[]);
    assert_eq!(one_sided.code, Some(1));
    assert!(one_sided.stderr.contains("1 positives and 0 negatives"), "{}", one_sided.stderr);
    assert!(!media.directory().join("model/lexivid.json").exists(), "nothing is written");

    std::fs::write(media.path("model/config.json"), r#"{"model_type": "starter"}"#).unwrap();
    let other = dataset(&media, "calibrate", "val", &[]);
    assert_eq!(other.code, Some(1));
    assert!(other.stderr.contains("expected a model with two towers"), "{}", other.stderr);
}
