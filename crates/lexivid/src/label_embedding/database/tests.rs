use super::*;
use crate::{
    label::{Kind, LabelList},
    label_embedding::Origin,
};

fn embedding(x: f32) -> LabelEmbedding {
    LabelEmbedding {
        vector: vec![x, -x, f32::MIN_POSITIVE],
        calibration: Calibration { scale: 100.0, bias: -25.5 },
        origin: Origin::Inferred { nearest: "violin".into(), similarity: 0.5 },
    }
}

fn model(key: &str) -> EmbeddedWith {
    EmbeddedWith { key: key.into(), name: format!("model {key}") }
}

fn names(labels: impl IntoIterator<Item = &'static str>) -> Vec<Label> {
    labels.into_iter().map(Label::new).collect()
}

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn open(&self) -> LabelDatabase {
        LabelDatabase::open(&self.0.path().join("labels.sqlite")).unwrap()
    }

    fn matrix(&self, key: &str) -> PathBuf {
        self.0.path().join("labels.matrices").join(format!("{key}.f32"))
    }
}

#[test]
fn gives_back_what_was_put_in_after_reopening() {
    let home = Home::new();
    home.open().put(&model("a"), &names(["dog", "cello"]), &[embedding(1.0), embedding(2.0)]).unwrap();

    let database = home.open();
    let asked = [Label::new("cello"), Label::new("cat"), Label { threshold: Some(0.9), ..Label::new("dog") }];
    let found = database.get(&model("a"), &asked).unwrap();
    assert_eq!(found, [Some(embedding(2.0)), None, Some(embedding(1.0))]);
    assert_eq!(database.get(&model("b"), &asked).unwrap(), [None, None, None]);
}

#[test]
fn every_text_of_a_label_counts() {
    let home = Home::new();
    let mut database = home.open();
    let plain = Label::new("crane");
    database.put(&model("m"), std::slice::from_ref(&plain), &[embedding(1.0)]).unwrap();
    let bird = Label { definition: Some("a wading bird".into()), ..plain.clone() };
    let action = Label { kind: Some(Kind::Action), ..plain.clone() };
    let synonym = Label { synonyms: vec!["derrick".into()], ..plain };
    assert_eq!(database.get(&model("m"), &[bird, action, synonym]).unwrap(), [None, None, None]);
}

#[test]
fn what_a_crash_left_behind_the_recorded_rows_is_written_over() {
    let home = Home::new();
    let mut database = home.open();
    database.put(&model("m"), &names(["dog"]), &[embedding(1.0)]).unwrap();
    let mut bytes = std::fs::read(home.matrix("m")).unwrap();
    bytes.extend([7; 17]);
    std::fs::write(home.matrix("m"), bytes).unwrap();
    database.put(&model("m"), &names(["cat"]), &[embedding(2.0)]).unwrap();
    let found = database.get(&model("m"), &names(["dog", "cat"])).unwrap();
    assert_eq!(found, [Some(embedding(1.0)), Some(embedding(2.0))]);
}

#[test]
fn rows_that_are_not_as_recorded_are_not_there_and_can_be_stored_again() {
    let home = Home::new();
    let mut database = home.open();
    let labels = names(["dog", "cat", "cello"]);
    database.put(&model("m"), &labels, &[1.0, 2.0, 3.0].map(embedding)).unwrap();
    let mut bytes = std::fs::read(home.matrix("m")).unwrap();
    bytes[3] ^= 1;
    bytes.truncate(2 * 12 + 5);
    std::fs::write(home.matrix("m"), bytes).unwrap();
    assert_eq!(database.get(&model("m"), &labels).unwrap(), [None, Some(embedding(2.0)), None]);

    database.put(&model("m"), &names(["dog", "cello"]), &[1.0, 3.0].map(embedding)).unwrap();
    assert_eq!(database.get(&model("m"), &labels).unwrap(), [1.0, 2.0, 3.0].map(|x| Some(embedding(x))));

    std::fs::remove_file(home.matrix("m")).unwrap();
    assert_eq!(database.get(&model("m"), &labels).unwrap(), [None, None, None]);
}

#[test]
fn a_write_that_fails_changes_nothing() {
    let home = Home::new();
    let mut database = home.open();
    database.put(&model("m"), &names(["dog"]), &[embedding(1.0)]).unwrap();
    let wide = LabelEmbedding { vector: vec![0.0; 4], ..embedding(5.0) };
    let error = database.put(&model("m"), &names(["dog", "cat"]), &[embedding(9.0), wide]).unwrap_err();
    assert!(error.to_string().contains("expected embeddings of width 3, got 4"), "{error}");
    let found = database.get(&model("m"), &names(["dog", "cat"])).unwrap();
    assert_eq!(found, [Some(embedding(1.0)), None]);
}

#[test]
fn two_that_write_at_the_same_time_take_different_rows() {
    let home = Home::new();
    home.open();
    let write = |from: usize| {
        let mut database = home.open();
        for i in (from..200).step_by(2) {
            database.put(&model("m"), &[Label::new(i.to_string())], &[embedding(i as f32)]).unwrap();
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| write(0));
        scope.spawn(|| write(1));
    });
    let labels: Vec<_> = (0..200).map(|i| Label::new(i.to_string())).collect();
    let found = home.open().get(&model("m"), &labels).unwrap();
    assert_eq!(found, (0..200).map(|i| Some(embedding(i as f32))).collect::<Vec<_>>());
}

#[test]
fn a_vocabulary_keeps_its_order_and_says_what_was_added() {
    let home = Home::new();
    let mut database = home.open();
    let list = |labels: Vec<Label>| LabelList::new(labels).unwrap();
    let added = database.add("pets", &list(names(["dog", "cat"]))).unwrap();
    assert_eq!(added, Added { added: 2, ..Added::default() });
    let defined = Label { definition: Some("it barks".into()), ..Label::new("Dog") };
    let added = database.add("pets", &list(vec![Label::new("bird"), defined.clone(), Label::new("cat")])).unwrap();
    assert_eq!(added, Added { added: 1, changed: 1, unchanged: 1 });
    assert_eq!(database.labels("pets").unwrap(), [defined, Label::new("cat"), Label::new("bird")]);

    let error = database.labels("tools").unwrap_err().to_string();
    assert_eq!(error, "no vocabulary \"tools\"; expected one of [\"pets\"]");
    database.remove("pets", &["CAT".into()]).unwrap();
    let error = database.remove("pets", &["bird".into(), "cat".into()]).unwrap_err().to_string();
    assert_eq!(error, "vocabulary \"pets\" has no label \"cat\"");
    assert_eq!(database.labels("pets").unwrap().len(), 2, "all or none");
    assert_eq!(database.remove_all("pets").unwrap(), 2);
    assert!(database.vocabularies().unwrap().is_empty());
}

#[test]
fn a_new_name_has_an_embedding_only_where_its_text_was_embedded() {
    let home = Home::new();
    let mut database = home.open();
    database.add("v", &LabelList::new(names(["dog", "cat"])).unwrap()).unwrap();
    database.put(&model("a"), &names(["dog", "hound"]), &[1.0, 2.0].map(embedding)).unwrap();
    database.put(&model("b"), &names(["dog"]), &[embedding(3.0)]).unwrap();
    let renamed = database.rename("v", "DOG", " hound").unwrap();
    assert_eq!(renamed, Renamed { embedded_with: vec!["model a".into()], to_embed_with: vec!["model b".into()] });
    assert_eq!(database.labels("v").unwrap(), names(["hound", "cat"]));
    let summary = &database.vocabularies().unwrap()[0];
    assert_eq!((summary.labels, summary.embedded.len(), summary.embedded[0].labels), (2, 1, 1));
    assert_eq!(database.list("v").unwrap()[0].embedded_with, ["model a"]);

    let taken = database.rename("v", "hound", "cat").unwrap_err();
    assert!(matches!(taken, DatabaseError::NameTaken { .. }), "{taken}");
    database.rename("v", "hound", "Hound").unwrap();
    assert_eq!(database.labels("v").unwrap(), names(["Hound", "cat"]));
}

#[test]
fn what_is_no_database_or_a_later_one_is_an_error() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "this is not a database, it is a text that is long enough to be read as a header")
        .unwrap();
    let error = LabelDatabase::open(file.path()).unwrap_err();
    assert!(error.to_string().starts_with("label embedding database: "), "{error}");

    let home = Home::new();
    home.open().connection.pragma_update(None, "user_version", 99).unwrap();
    let error = LabelDatabase::open(&home.0.path().join("labels.sqlite")).unwrap_err();
    assert!(error.to_string().contains("got 99: a later lexivid made it"), "{error}");
}
