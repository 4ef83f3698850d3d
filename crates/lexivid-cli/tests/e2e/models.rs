use crate::util::{Media, lexivid, run};

#[test]
fn the_starter_is_listed_found_and_whole() {
    let list = run(&mut lexivid(["models", "list", "--json"])).json();
    let starter =
        list.as_array().unwrap().iter().find(|model| model["name"] == "starter").expect("pulled by scripts/test");
    let path = run(&mut lexivid(["models", "path", "starter"]));
    assert_eq!(path.stdout.trim(), starter["path"].as_str().unwrap());
    let checks = run(&mut lexivid(["models", "verify", "starter", "--json"])).json();
    let checks = checks.as_array().unwrap();
    assert!(checks.len() > 5 && checks.iter().all(|check| check["state"] == "ok"), "{checks:?}");
}

#[test]
fn what_is_not_there_is_said_with_a_hint() {
    let media = Media::new();
    for args in [&["models", "path", "starter"][..], &["classify", "x.mp4", "-l", "dog"], &["models", "verify"]] {
        let ran = run(lexivid(args.iter().copied()).env("LEXIVID_HOME", media.path("nowhere")));
        assert_eq!(ran.code, Some(1), "{args:?}");
        assert!(ran.stderr.contains("not installed"), "{}", ran.stderr);
        assert!(ran.stderr.contains("hint: `lexivid models pull starter`"), "{}", ran.stderr);
    }
    let list = run(lexivid(["models", "list", "--json"])
        .env("LEXIVID_HOME", media.path("nowhere"))
        .env("HF_HOME", media.path("nowhere")));
    assert_eq!(list.json(), serde_json::json!([]));
}

#[test]
fn a_damaged_file_is_found() {
    let media = Media::new();
    let model = media.directory().join("models/tiny");
    std::fs::create_dir_all(&model).unwrap();
    std::fs::write(model.join("config.json"), "{}").unwrap();
    // printf '{}' | sha256sum
    let recorded = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    let manifest = serde_json::json!({ "version": 1, "files": { "config.json": recorded } });
    std::fs::write(model.join("manifest.json"), manifest.to_string()).unwrap();
    let verify = || run(lexivid(["models", "verify", "tiny"]).env("LEXIVID_HOME", media.directory()));
    assert_eq!(verify().code, Some(0));
    std::fs::write(model.join("config.json"), "{ }").unwrap();
    let damaged = verify();
    assert_eq!(damaged.code, Some(1));
    assert!(
        damaged.stdout.contains("BAD") && damaged.stderr.contains("damaged"),
        "{}{}",
        damaged.stdout,
        damaged.stderr
    );
}
