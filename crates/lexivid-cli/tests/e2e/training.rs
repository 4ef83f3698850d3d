//! From nothing to a model that classifies, on Stage's small size: render, pretrain, measure, finetune, resume, classify.

use crate::util::{Media, in_home, lexivid, nano_clip, run, tiny_language_model, tiny_model};
use std::{fs, path::Path, process::Command};

#[test]
fn the_whole_path_on_small() {
    let media = Media::new();
    let stage = media.path("stage");
    assert_eq!(run(&mut in_home(&media, &["stage", "render", "small", "-o", &stage])).code, Some(0));

    // Plain Nano-CLIP knows things that it was never shown on Stage, and nothing of time.
    let bench = run(&mut in_home(&media, &["stage", "bench", &stage, "--model", &nano_clip(), "--json"])).json();
    assert_eq!(bench["videos"], 80);
    let seen = bench["rows"].as_array().unwrap().iter().find(|r| r["subset"] == "seen" && r["kind"] == "entity");
    let number = |value: &serde_json::Value| value.as_f64().unwrap();
    let (map, chance) = (number(&seen.unwrap()["mean_average_precision"]), number(&seen.unwrap()["chance"]));
    assert!(map > 1.5 * chance, "mAP {map}, chance {chance}");
    let pictures = &bench["pictures"];
    let guess = 5.0 / number(&pictures["names"]);
    assert!(number(&pictures["top5"]) > 10.0 * guess, "{pictures}");
    let reversed = &bench["reversed"][0];
    assert_eq!(reversed["subset"], "seen");
    let away = number(&reversed["mean_average_precision"]) - number(&reversed["chance"]);
    assert!(away.abs() < 0.2, "a mean over frames cannot tell what runs backwards: {reversed}");

    // Finetuned, stopped, resumed.
    let config = media.path("train.toml");
    fs::write(
        &config,
        format!(
            "seed = 1\nmodel = {:?}\nmanifest = \"stage/manifest.jsonl\"\nlabels = \"stage/vocabulary.json\"\n\
             frames = 4\nbatch = 20\nloss = {{ kind = \"asymmetric\" }}\nheads = {{ video = {{ hidden = 64 }}, label = {{ hidden = 64 }} }}\n\
             [plan]\nsteps = 30\nwarm_up = 3\nvalidate_every = 10\noptimizer = {{ rate = 0.005 }}\n",
            nano_clip()
        ),
    )
    .unwrap();
    let (out, again) = (media.path("run"), media.path("again"));
    let trained = run(&mut in_home(&media, &["train", "--config", &config, "-o", &out, "--json"])).json();
    assert!(number(&trained["validation"]["mAP"]) > 0.0);
    let metrics = fs::read_to_string(Path::new(&out).join("metrics.csv")).unwrap();
    let losses: Vec<f64> = (metrics.lines().filter(|line| line.contains(",loss,")))
        .map(|line| line.rsplit(',').next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(losses.len(), 30);
    assert!(losses[29] < losses[0], "{losses:?}");
    let events = fs::read_dir(&out).unwrap().flatten().filter(|f| f.file_name().to_string_lossy().contains("tfevents"));
    assert_eq!(events.count(), 1);

    let refused = run(&mut in_home(&media, &["train", "--config", &config, "-o", &out]));
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("hint: --resume"), "{}", refused.stderr);
    let model = |dir: &str| fs::read(Path::new(dir).join("model/model.safetensors")).unwrap();
    assert_eq!(run(&mut in_home(&media, &["train", "--config", &config, "-o", &again])).code, Some(0));
    assert!(model(&out) == model(&again), "the same run gives the same weights");

    // The checkpoint is a model like any other.
    let video = first_video(&Path::new(&stage).join("videos/test"));
    let checkpoint = Path::new(&out).join("model").display().to_string();
    let labels = Path::new(&stage).join("vocabulary.json").display().to_string();
    let classified = run(&mut in_home(
        &media,
        &["classify", &video, "--labels-file", &labels, "--model", &checkpoint, "--window", "whole", "--json"],
    ))
    .json();
    assert!(classified[0]["labels"].as_array().unwrap().len() > 100);
    assert_eq!(classified[0]["model"]["name"], checkpoint.as_str());

    // With a label encoder, which can be asked what it makes of a label.
    let prompted = media.path("prompted.toml");
    let text = fs::read_to_string(&config).unwrap().replace("steps = 30", "steps = 5");
    let encoder = format!(
        "labels_a_step = 40\n[label_encoder]\nlanguage_model = {:?}\nprefixes = 2\nattributes = 3\n\
         reader = {{ kind = \"prompting\", blocks = 1, width = 16, heads = 2 }}\n\
         [grounding]\nwords = \"stage/words.json\"\nbatch = 8\nweight = 1.0\nnameless = 0.5\nstrangers = 0.1\n[plan]",
        tiny_language_model()
    );
    fs::write(&prompted, text.replace("[plan]", &encoder)).unwrap();
    let out = media.path("prompted");
    assert_eq!(run(&mut in_home(&media, &["train", "--config", &prompted, "-o", &out])).code, Some(0));
    let checkpoint = Path::new(&out).join("model").display().to_string();
    let explain = ["explain", "--label", "dog", "--label", "moving left", "-f", &labels, "--model", &checkpoint];
    let explained = run(&mut in_home(&media, &[&explain[..], &["--json"]].concat())).json();
    let dog = &explained[0];
    assert_eq!((dog["label"].as_str(), dog["attributes"].as_array().unwrap().len()), (Some("dog"), 3));
    assert!((number(&dog["prompt_share"]) - 1.0).abs() < 0.5, "after five steps it is still the prompt: {dog}");
    assert!(number(&dog["gate"]) != 0.0, "the gate is trained: {dog}");
    for nearest in ["before", "after"] {
        let first = &explained[1][nearest][0];
        assert_eq!(first["name"], "moving left", "a label is nearest to itself: {first}");
    }
    let table = run(&mut in_home(&media, &explain));
    assert!(table.stdout.contains("plain prompt") && table.stdout.contains("attribute 3:"), "{}", table.stdout);
    let without = run(&mut in_home(&media, &["explain", "--label", "dog", "--model", &nano_clip()]));
    assert_eq!(without.code, Some(1));
    assert!(without.stderr.contains("label encoder"), "{}", without.stderr);
}

#[test]
fn attributes_are_written_once_and_the_trained_model_goes_on_with_them() {
    let media = Media::new();
    let picture = |name: &str, colour| image::RgbImage::from_pixel(16, 16, image::Rgb(colour)).save(media.path(name));
    let mut manifest = String::new();
    for split in ["train", "val"] {
        for (label, colour) in [("red", [220, 30, 40]), ("blue", [30, 40, 210])] {
            let name = format!("{split}-{label}.png");
            picture(&name, colour).unwrap();
            let line = serde_json::json!({"video": name, "positives": [label], "negatives": "*", "split": split});
            manifest += &format!("{line}\n");
        }
    }
    fs::write(media.path("manifest.jsonl"), manifest).unwrap();
    fs::write(media.path("labels.csv"), "name\nred\nblue\n").unwrap();
    let language_model =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../lexivid/tests/fixtures/language_models/qwen2.gguf");
    let config = media.path("train.toml");
    let text = format!(
        "seed = 1\nmodel = {:?}\nmanifest = \"manifest.jsonl\"\nlabels = \"labels.csv\"\nframes = 1\nbatch = 2\n\
         loss = {{ kind = \"bce\" }}\nheads = {{ label = {{ hidden = 8 }} }}\n\
         prompts = {{ kind = \"attributes\", language_model = {language_model:?} }}\n\
         [plan]\nsteps = 3\noptimizer = {{ rate = 0.01 }}\n",
        tiny_model()
    );
    fs::write(&config, text).unwrap();
    let at_home = |args: &[&str]| run(lexivid(args.iter().copied()).env("LEXIVID_HOME", media.path("home")));
    let (out, again) = (media.path("run"), media.path("again"));
    let trained = at_home(&["train", "--config", &config, "-o", &out]);
    assert_eq!(trained.code, Some(0), "{}", trained.stderr);
    let files: Vec<_> = fs::read_dir(media.path("home/attributes")).unwrap().map(|file| file.unwrap()).collect();
    assert_eq!(files.len(), 1);
    assert!(files[0].file_name().to_string_lossy().starts_with("qwen2-"), "{files:?}");
    let written = || fs::read_to_string(files[0].path()).unwrap();
    assert_eq!(written().lines().count(), 2);
    assert!(written().starts_with("{\"label\":\"red\",\"attributes\":["), "{}", written());
    let before = written();
    assert_eq!(at_home(&["train", "--config", &config, "-o", &again]).code, Some(0));
    assert_eq!(written(), before, "they are not written again");

    // The trained model has the same for new labels, too.
    let checkpoint = Path::new(&out).join("model");
    let model = checkpoint.display().to_string();
    let video = media.path("val-red.png");
    let classify = ["classify", &video, "-l", "red, blue, green", "--model", &model, "--window", "whole", "--json"];
    let classified = at_home(&classify).json();
    assert_eq!(classified[0]["labels"].as_array().unwrap().len(), 3);
    assert_eq!(written().lines().count(), 3);

    // It wants the language model that it was trained with.
    let path = checkpoint.join("config.json");
    let mut saved: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(saved["prompts"]["kind"], "attributes");
    assert_eq!(saved["attributes_sha256"].as_str().unwrap().len(), 64);
    saved["attributes_sha256"] = "0".repeat(64).into();
    fs::write(&path, saved.to_string()).unwrap();
    let refused = at_home(&classify);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("language model: expected the SHA-256 0000"), "{}", refused.stderr);
}

fn first_video(dir: &Path) -> String {
    let mut videos: Vec<_> = fs::read_dir(dir).unwrap().flatten().map(|entry| entry.path()).collect();
    videos.sort();
    videos[0].display().to_string()
}

#[test]
fn a_clip_is_pretrained_and_resumed_to_the_same_weights() {
    let media = Media::new();
    let config = media.path("pretrain.toml");
    let whole = fs::read_to_string(Path::new(&nano_clip()).join("pretrain.toml")).unwrap();
    let steps = whole.lines().find(|line| line.starts_with("steps = ")).unwrap().to_owned();
    // The committed recipe, smaller.
    let small = [
        (steps.as_str(), "steps = 6"),
        ("warm_up = 40", "warm_up = 2"),
        ("batch = 128", "batch = 16"),
        ("vocabulary = 2048", "vocabulary = 400"),
        ("num_hidden_layers = 6", "num_hidden_layers = 1"),
        ("num_hidden_layers = 4", "num_hidden_layers = 1"),
        ("validate_every = 100", "validate_every = 0"),
    ];
    let text = small.iter().fold(whole, |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    });
    fs::write(&config, &text).unwrap();
    let (straight, halved) = (media.path("straight"), media.path("halved"));
    let pretrain = |config: &str, out: &str, resume: bool| {
        let mut args = vec!["pretrain", "--config", config, "-o", out, "--json"];
        args.extend(resume.then_some("--resume"));
        run(&mut in_home(&media, &args))
    };
    let trained = pretrain(&config, &straight, false).json();
    assert!(trained["validation"]["top-5"].is_number(), "{trained}");

    // Ctrl-C after some steps: a checkpoint, and the way to go on.
    let mut child = in_home(&media, &["pretrain", "--config", &config, "-o", &halved]);
    let mut child = child.stderr(std::process::Stdio::null()).spawn().unwrap();
    let metrics = Path::new(&halved).join("metrics.csv");
    while !fs::read_to_string(&metrics).is_ok_and(|text| text.contains("\n2,")) {
        assert!(child.try_wait().unwrap().is_none(), "ended before it could be stopped");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let code = child.wait().unwrap().code();
    // It may have finished all six steps meanwhile; then there is nothing to resume.
    if code == Some(130) {
        let resumed = pretrain(&config, &halved, true);
        assert_eq!(resumed.code, Some(0), "{}", resumed.stderr);
    } else {
        assert_eq!(code, Some(0));
    }
    let weights = |dir: &str| fs::read(Path::new(dir).join("model/model.safetensors")).unwrap();
    assert!(weights(&straight) == weights(&halved));

    // Another recipe cannot go on with it.
    let other = media.path("other.toml");
    fs::write(&other, text.replace("seed = 1", "seed = 2")).unwrap();
    let refused = pretrain(&other, &halved, true);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("another configuration"), "{}", refused.stderr);
}

#[test]
fn mistakes_in_a_recipe_are_told() {
    let media = Media::new();
    let config = media.path("train.toml");
    fs::write(&config, "seed = 1\nmodle = \"starter\"\n").unwrap();
    let out = media.path("run");
    let wrong = run(&mut in_home(&media, &["train", "--config", &config, "-o", &out]));
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.stderr.contains("modle"), "{}", wrong.stderr);
    let missing = run(&mut in_home(&media, &["train", "--config", &media.path("none.toml"), "-o", &out]));
    assert_eq!(missing.code, Some(2));
}
