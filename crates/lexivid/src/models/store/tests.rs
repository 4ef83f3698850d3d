//! The store on directories that the tests make, and pulling from a small hub on the loopback device.

use super::*;
use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
/// A model of the fixtures, as the hub has it.
const NAME: &str = "tiny/clip";

fn store(home: &Path, endpoint: Option<String>) -> Store {
    Store { home: home.join("lexivid"), hub_cache: home.join("hub"), hub_endpoint: endpoint }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// What the hub serves: the fixture `clip_gelu`, which has three shards.
fn served() -> HashMap<String, Vec<u8>> {
    let files = fs::read_dir(fixture("clip_gelu")).unwrap().map(|e| e.unwrap().path());
    files.map(|p| (p.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(p).unwrap())).collect()
}

/// A hub that speaks as much of its protocol as the client needs. Answers `Range`, names weights by SHA-256 and small
/// files as git does, and notes the requests for contents, beyond the first byte, as "file from-byte".
struct Hub {
    endpoint: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Hub {
    /// `broken`: a file of which the last byte is wrong.
    fn serve(files: HashMap<String, Vec<u8>>, broken: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let noted = requests.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), &files, broken, &noted);
            }
        });
        Self { endpoint, requests }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn answer(mut stream: TcpStream, files: &HashMap<String, Vec<u8>>, broken: Option<&str>, noted: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
    let Some(request) = lines.next() else { return };
    let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let path = request.split(' ').nth(1).unwrap();
    let range = headers.iter().find_map(|h| h.to_lowercase().strip_prefix("range: bytes=").map(str::to_owned));

    if path == format!("/api/models/{NAME}/revision/main") {
        let siblings: Vec<_> = files.keys().map(|f| serde_json::json!({"rfilename": f})).collect();
        let body = serde_json::json!({"siblings": siblings, "sha": COMMIT}).to_string();
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()).unwrap();
        return;
    }
    let file = path.strip_prefix(&format!("/{NAME}/resolve/main/"));
    let Some((file, bytes)) = file.and_then(|file| Some((file, files.get(file)?))) else {
        write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
        return;
    };
    let etag = etag(file, bytes);
    let mut bytes = bytes.clone();
    if broken == Some(file) {
        *bytes.last_mut().unwrap() ^= 1;
    }
    let range = range.unwrap();
    let (from, to) = range.split_once('-').unwrap();
    let from: usize = from.parse().unwrap();
    let to = to.parse().map_or(bytes.len(), |to: usize| to + 1);
    if to > 1 {
        noted.lock().unwrap().push(format!("{file} {from}"));
    }
    write!(
        stream,
        "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {from}-{}/{}\r\netag: \"{etag}\"\r\n\
         x-repo-commit: {COMMIT}\r\nConnection: close\r\n\r\n",
        to - from,
        to - 1,
        bytes.len()
    )
    .unwrap();
    // A client that only wants the headers may be gone.
    let _ = stream.write_all(&bytes[from..to]);
}

/// The hub's name of a blob.
fn etag(file: &str, bytes: &[u8]) -> String {
    let path = tempfile::NamedTempFile::new().unwrap();
    fs::write(&path, bytes).unwrap();
    if file.ends_with(".safetensors") { sha256_of(path.path()) } else { git_blob_of(path.path()) }.unwrap()
}

fn quiet(_: Progress) {}

#[test]
fn a_pulled_model_can_be_found_listed_verified_and_loaded() {
    let home = tempfile::tempdir().unwrap();
    let hub = Hub::serve(served(), None);
    let store = store(home.path(), Some(hub.endpoint.clone()));
    let seen = Mutex::new(HashMap::new());
    let dir = store
        .pull(NAME, &|p| {
            seen.lock().unwrap().insert(p.file.to_owned(), (p.done, p.total));
        })
        .unwrap();

    assert_eq!(store.path(NAME).unwrap(), dir);
    let size = fs::metadata(fixture("clip_gelu").join("config.json")).unwrap().len();
    assert_eq!(seen.lock().unwrap()["config.json"], (size, size));
    assert!(!dir.join("golden.safetensors").exists(), "only what is needed is fetched");

    let listed = store.list().unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].name.as_str(), listed[0].kind, &listed[0].path), (NAME, Kind::Hub, &dir));
    assert_eq!(
        listed[0].size,
        fs::read_dir(&dir).unwrap().map(|e| fs::metadata(e.unwrap().path()).unwrap().len()).sum::<u64>()
    );

    let checks = store.verify(NAME).unwrap();
    assert_eq!(checks.len(), 8);
    assert!(checks.iter().all(|c| c.state == FileState::Ok), "{checks:?}");
    crate::models::DualEncoder::load(NAME, &dir, &crate::nn::Compute::exact().unwrap()).unwrap();
}

#[test]
fn pulling_again_fetches_nothing() {
    let home = tempfile::tempdir().unwrap();
    let hub = Hub::serve(served(), None);
    let store = store(home.path(), Some(hub.endpoint.clone()));
    store.pull(NAME, &quiet).unwrap();
    let before = hub.requests();
    store.pull(NAME, &quiet).unwrap();
    assert_eq!(hub.requests(), before);
}

#[test]
fn an_interrupted_pull_is_taken_up_where_it_stopped() {
    let home = tempfile::tempdir().unwrap();
    let files = served();
    let hub = Hub::serve(files.clone(), None);
    let store = store(home.path(), Some(hub.endpoint.clone()));
    let blobs = store.hub_cache.join("models--tiny--clip/blobs");
    fs::create_dir_all(&blobs).unwrap();
    // Half of one shard, and all of another but for its last name.
    let [half, whole] = ["model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors"];
    let part = |file: &str| blobs.join(etag(file, &files[file])).with_extension("part");
    fs::write(part(half), &files[half][..100]).unwrap();
    fs::write(part(whole), &files[whole]).unwrap();

    store.pull(NAME, &quiet).unwrap();
    assert!(hub.requests().contains(&format!("{half} 100")), "{:?}", hub.requests());
    assert!(store.verify(NAME).unwrap().iter().all(|c| c.state == FileState::Ok));
}

#[test]
fn a_file_that_arrives_broken_is_refused_and_removed() {
    let home = tempfile::tempdir().unwrap();
    let shard = "model-00003-of-00003.safetensors";
    let hub = Hub::serve(served(), Some(shard));
    let store = store(home.path(), Some(hub.endpoint.clone()));
    let error = store.pull(NAME, &quiet).unwrap_err().to_string();
    assert!(error.contains(shard) && error.contains("broken"), "{error}");
    assert!(store.list().unwrap().is_empty());
    let error = store.path(NAME).unwrap_err();
    assert!(matches!(&error, ModelError::Incomplete { file, .. } if file == shard), "{error}");

    let repaired = Hub::serve(served(), None);
    let store = Store { hub_endpoint: Some(repaired.endpoint), ..store };
    store.pull(NAME, &quiet).unwrap();
}

#[test]
fn a_repository_without_safetensors_is_refused_before_anything_is_fetched() {
    let home = tempfile::tempdir().unwrap();
    let mut files = served();
    files.retain(|name, _| !name.starts_with("model"));
    let hub = Hub::serve(files, None);
    let store = store(home.path(), Some(hub.endpoint.clone()));
    let error = store.pull(NAME, &quiet).unwrap_err().to_string();
    assert!(error.contains("model.safetensors"), "{error}");
    assert_eq!(hub.requests(), Vec::<String>::new());
}

#[test]
fn an_unreachable_hub_and_an_unknown_model_are_errors() {
    let home = tempfile::tempdir().unwrap();
    let unreachable = store(home.path(), Some("http://127.0.0.1:9".into()));
    assert!(matches!(unreachable.pull(NAME, &quiet), Err(ModelError::Hub { .. })));
    let hub = Hub::serve(served(), None);
    let store = store(home.path(), Some(hub.endpoint));
    let error = store.pull("no/such", &quiet).unwrap_err().to_string();
    assert!(error.contains("404"), "{error}");
}

#[test]
fn verify_finds_what_is_bad_or_missing() {
    let home = tempfile::tempdir().unwrap();
    let hub = Hub::serve(served(), None);
    let store = store(home.path(), Some(hub.endpoint));
    let dir = store.pull(NAME, &quiet).unwrap();
    fs::write(fs::canonicalize(dir.join("config.json")).unwrap(), "{}").unwrap();
    fs::remove_file(dir.join("tokenizer.json")).unwrap();
    let checks = store.verify(NAME).unwrap();
    let state = |file: &str| checks.iter().find(|c| c.file == file).unwrap().state;
    assert_eq!(state("config.json"), FileState::Bad);
    assert_eq!(state("tokenizer.json"), FileState::Missing);
    assert_eq!(state("model-00001-of-00003.safetensors"), FileState::Ok);
}

#[test]
fn an_assembled_model_is_verified_by_its_manifest() {
    let home = tempfile::tempdir().unwrap();
    let store = store(home.path(), None);
    let dir = store.assembled("mine");
    fs::create_dir_all(&dir).unwrap();
    for file in ["a", "b", "c"] {
        fs::write(dir.join(file), file).unwrap();
    }
    let files: HashMap<_, _> = ["a", "b", "c"].map(|f| (f, sha256_of(&dir.join(f)).unwrap())).into();
    let manifest = serde_json::json!({"version": 1, "files": files});
    fs::write(dir.join(Manifest::FILE), manifest.to_string()).unwrap();
    fs::write(dir.join("b"), "other").unwrap();
    fs::remove_file(dir.join("c")).unwrap();
    let states: Vec<_> = store.verify("mine").unwrap().into_iter().map(|c| c.state).collect();
    assert_eq!(states, [FileState::Ok, FileState::Bad, FileState::Missing]);
    assert_eq!(store.list().unwrap()[0].kind, Kind::Assembled);
    assert_eq!(store.path("mine").unwrap(), dir);
}

#[test]
fn a_directory_is_used_where_it_is() {
    let home = tempfile::tempdir().unwrap();
    let store = store(home.path(), None);
    let dir = fixture("siglip");
    let name = dir.to_str().unwrap();
    assert_eq!(store.path(name).unwrap(), dir);
    assert_eq!(store.pull(name, &quiet).unwrap(), dir);
    assert!(store.verify(name).unwrap().iter().all(|c| c.state == FileState::Unrecorded));
}

#[test]
fn names_cannot_lead_out_of_the_store() {
    for name in ["../x", "a/../b", "a/b@../../c", "a/b/c", "/etc/x", "a/", "", ".hidden", "a b/c", "a/b@"] {
        assert_eq!(HubId::parse(name), None, "{name}");
    }
    assert!(HubId::parse("openai/clip-vit-base-patch32@refs/pr/3").is_some());
    let home = tempfile::tempdir().unwrap();
    let error = store(home.path(), None).path("../x").unwrap_err();
    assert!(matches!(error, ModelError::NotInstalled { .. }), "{error}");
}
