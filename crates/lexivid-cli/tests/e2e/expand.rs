//! `lexivid labels expand` against a server on loopback that answers by OpenAI's published schema
//! (github.com/openai/openai-openapi: `CreateChatCompletionRequest`, `CreateChatCompletionResponse`, `ErrorResponse`).

use crate::{
    labels::at_home,
    util::{Media, run},
};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

/// What a client sent.
#[derive(Clone)]
struct Received {
    path: String,
    authorization: Option<String>,
    body: Value,
}

impl Received {
    /// The user's message: its text and its pictures.
    fn question(&self) -> (String, Vec<Vec<u8>>) {
        let message = &self.body["messages"][1];
        assert_eq!(message["role"], "user");
        let Value::Array(parts) = &message["content"] else {
            return (message["content"].as_str().unwrap().into(), Vec::new());
        };
        assert_eq!(parts[0]["type"], "text");
        let pictures = parts[1..].iter().map(|part| {
            assert_eq!(part["type"], "image_url");
            let url = part["image_url"]["url"].as_str().unwrap();
            decoded(url.strip_prefix("data:image/jpeg;base64,").expect("a data URL of a JPEG file"))
        });
        (parts[0]["text"].as_str().unwrap().into(), pictures.collect())
    }
}

/// base64 of RFC 4648, section 4.
fn decoded(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let value = |byte: u8| ALPHABET.iter().position(|b| *b == byte).expect("a digit of base64") as u32;
    let digits: Vec<u32> = text.bytes().filter(|byte| *byte != b'=').map(value).collect();
    let bytes = digits.chunks(4).flat_map(|four| {
        let bits = (0..4).fold(0, |bits, i| bits << 6 | four.get(i).copied().unwrap_or(0));
        bits.to_be_bytes()[1..four.len()].to_vec()
    });
    bytes.collect()
}

/// A server whose `answer` gives status and body for the nth request to /chat/completions, from 0.
struct Server {
    endpoint: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Server {
    fn start(answer: impl Fn(usize, &Received) -> (u16, String) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}/v1", listener.local_addr().unwrap());
        let received = Arc::new(Mutex::new(Vec::new()));
        let kept = received.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let request = read(&stream);
                let (status, body) = match request.path.as_str() {
                    "/v1/models" => {
                        let model = json!({"id": "tiny-llm", "object": "model", "created": 1, "owned_by": "test"});
                        (200, json!({"object": "list", "data": [model]}).to_string())
                    }
                    "/v1/chat/completions" => {
                        let mut kept = kept.lock().unwrap();
                        kept.push(request.clone());
                        answer(kept.len() - 1, &request)
                    }
                    path => (404, json!({"error": {"message": format!("no {path} here"), "type": "invalid_request_error", "param": null, "code": null}}).to_string()),
                };
                let head = format!(
                    "HTTP/1.1 {status} .\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                // The client may have gone.
                let _ = (&stream).write_all((head + &body).as_bytes());
            }
        });
        Self { endpoint, received }
    }

    fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

fn read(stream: &TcpStream) -> Received {
    let mut reader = BufReader::new(stream);
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    };
    let path = line().split(' ').nth(1).unwrap_or_default().to_owned();
    let headers: Vec<(String, String)> = std::iter::from_fn(|| Some(line()).filter(|line| !line.is_empty()))
        .filter_map(|line| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned())))
        .collect();
    let header = |name| headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
    let mut body = vec![0; header("content-length").map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).unwrap();
    let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).expect("JSON") };
    Received { path, authorization: header("authorization"), body }
}

fn completion(content: &str) -> (u16, String) {
    let message = json!({"role": "assistant", "content": content, "refusal": null});
    let choice = json!({"index": 0, "message": message, "logprobs": null, "finish_reason": "stop"});
    let usage = json!({"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18});
    let body = json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "tiny-llm", "choices": [choice], "usage": usage});
    (200, body.to_string())
}

fn error(status: u16, message: &str) -> (u16, String) {
    (status, json!({"error": {"message": message, "type": "server_error", "param": null, "code": null}}).to_string())
}

/// Rows of a review file, each a list of cells; the first is the header.
fn rows(path: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| line.split(',').map(String::from).collect()).collect()
}

#[test]
fn labels_are_asked_about_once_and_everything_said_is_kept() {
    let media = Media::new();
    let server = Server::start(|index, _| match index {
        0 => error(503, "loading"),
        1 => completion("1. animal\n2. DOG\n3. Hound: a dog"),
        2 => completion("I cannot help with that, since it would not be right of me to do so"),
        3 => error(400, "the prompt is too long"),
        4 => completion("[\"animal\", \"guide dog\"]"),
        _ => completion("nothing new"),
    });
    let output = media.path("review.csv");
    let args =
        ["labels", "expand", "-l", "dog", "--endpoint", &server.endpoint, "-o", &output, "--same-from", "1", "--json"];
    let ran = run(at_home(&media, args).env("LEXIVID_LLM_KEY", "secret"));
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("status 400: the prompt is too long") && !ran.stderr.contains("secret"),
        "{}",
        ran.stderr
    );
    let said: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&said["asked"], &said["proposed"], &said["kept"]), (&json!(3), &json!(5), &json!(3)), "{said}");

    let received = server.received();
    assert_eq!(received.len(), 5, "one was asked twice, since the server was not ready");
    assert!(received.iter().all(|r| r.authorization.as_deref() == Some("Bearer secret")));
    assert_eq!(received[0].body["model"], "tiny-llm", "the only one that the server names");
    assert_eq!(received[0].body["messages"][0]["role"], "system");
    assert_eq!(received[0].question().0, received[1].question().0);

    let found: Vec<_> = rows(&output).into_iter().map(|row| (row[0].clone(), row[1].clone(), row[2].clone())).collect();
    let row = |keep: &str, name: &str, relation: &str| (keep.into(), name.into(), relation.into());
    let expected = [
        row("keep", "name", "relation"),
        row("true", "animal", "parent"),
        row("false", "dog", "parent"),
        row("true", "hound", "parent"),
        row("false", "", "part"),
        row("false", "animal", "paraphrase"),
        row("true", "guide dog", "paraphrase"),
    ];
    assert_eq!(found, expected);

    // Only what failed is asked again.
    let again = run(&mut at_home(&media, args)).json();
    assert_eq!((&again["asked"], &again["asked_before"]), (&json!(1), &json!(3)), "{again}");
    let asked = &server.received()[5];
    assert_eq!(asked.authorization, None);
    assert!(asked.question().0.contains("usually seen in a video of \"dog\""));
    assert_eq!(rows(&output).len(), expected.len() + 1);
    let none = run(&mut at_home(&media, args)).json();
    assert_eq!((&none["asked"], server.received().len()), (&json!(0), 6));
}

#[test]
fn frames_are_sent_and_what_the_model_does_not_see_is_not_kept() {
    let media = Media::new();
    media.pattern(2, "a.mp4");
    std::fs::write(media.path("broken.mp4"), "no video").unwrap();
    let manifest = "{\"video\": \"a.mp4\", \"positives\": [\"dog\"], \"start\": 0.5}\n{\"video\": \"broken.mp4\", \"positives\": [\"dog\"]}\n{\"video\": \"a.mp4\"}\n";
    std::fs::write(media.path("m.jsonl"), manifest).unwrap();
    let server = Server::start(|_, _| completion("- animal\n- street"));
    let ran = |least: &str, output: &str| {
        let args =
            ["labels", "expand", "-l", "dog, cat", "--manifest", &media.path("m.jsonl"), "--send-frames", "--json"];
        let rest = ["--endpoint", &server.endpoint, "-o", output, "--same-from", "1", "--least-score", least];
        run(at_home(&media, args).args(rest))
    };
    let (kept, dropped) = (media.path("kept.csv"), media.path("dropped.csv"));
    let all = ran("0", &kept);
    assert_eq!(all.code, Some(1), "a video is broken");
    assert!(all.stderr.contains("broken.mp4"), "{}", all.stderr);
    ran("1", &dropped);

    let received = server.received();
    assert_eq!(received.len(), 4, "nobody is asked about a video that cannot be read");
    let (text, pictures) = received[0].question();
    assert!(text.starts_with("These are frames of a video that shows: dog."), "{text}");
    assert_eq!(pictures.len(), 4);
    for jpeg in &pictures {
        let picture = image::load_from_memory_with_format(jpeg, image::ImageFormat::Jpeg).unwrap();
        assert_eq!((picture.width(), picture.height()), (160, 120));
    }
    assert_ne!(pictures[0], pictures[3]);
    assert!(received[1].question().0.starts_with("These are frames of a video. List"));

    let (kept, dropped) = (rows(&kept), rows(&dropped));
    let column = |name: &str| kept[0].iter().position(|column| column == name).unwrap();
    assert_eq!((kept.len(), dropped.len()), (5, 5));
    for (kept, dropped) in kept.iter().zip(&dropped).skip(1) {
        assert_eq!((kept[0].as_str(), dropped[0].as_str()), ("true", "false"));
        let score: f32 = kept[column("score")].parse().unwrap();
        assert!((0.0..1.0).contains(&score));
        assert_eq!(dropped[column("why")], "its score is below 1");
        assert_eq!((&kept[column("video")], &kept[column("model")]), (&"a.mp4".to_owned(), &"tiny-llm".to_owned()));
    }
    assert_eq!((kept[1][column("start")].as_str(), kept[3][column("start")].as_str()), ("0.5", ""));
}

#[test]
fn ctrl_c_keeps_what_was_said() {
    let media = Media::new();
    let (busy, is_busy) = mpsc::channel();
    let server = Server::start(move |index, _| match index {
        0 => completion("animal"),
        1 => completion("paw"),
        _ => {
            let _ = busy.send(());
            error(429, "too many requests")
        }
    });
    let output = media.path("review.csv");
    let mut command = at_home(&media, ["labels", "expand", "-l", "dog", "--endpoint", &server.endpoint, "-o", &output]);
    let mut child = command.args(["--same-from", "1"]).stderr(Stdio::null()).spawn().unwrap();
    is_busy.recv_timeout(Duration::from_secs(60)).expect("it asks a third time");
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let names: Vec<_> = rows(&output).into_iter().map(|row| row[1].clone()).collect();
    assert_eq!(names, ["name", "animal", "paw"]);
}

#[test]
fn a_server_that_refuses_or_is_not_there_ends_the_run_with_a_hint() {
    let media = Media::new();
    let refusing = Server::start(|_, _| error(401, "Incorrect API key provided"));
    let elsewhere = refusing.endpoint.replace("/v1", "/v2");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let closed = format!("http://{closed}/v1");
    let output = media.path("review.csv");
    for (endpoint, expected) in [
        (
            &refusing.endpoint,
            "status 401: Incorrect API key provided\nhint: the key is taken from the environment variable LEXIVID_LLM_KEY",
        ),
        (&elsewhere, "status 404: no /v2/models here\nhint: the endpoint is what comes before /chat/completions"),
        (&closed, "hint: is the server running?"),
    ] {
        let ran = run(&mut at_home(&media, ["labels", "expand", "-l", "dog", "--endpoint", endpoint, "-o", &output]));
        assert_eq!(ran.code, Some(1));
        assert!(ran.stderr.contains(expected), "{}", ran.stderr);
    }
    assert_eq!(refusing.received().len(), 1, "one that refuses is not asked again");
    assert_eq!(std::fs::read_to_string(&output).unwrap(), "");
    let wrong =
        run(&mut at_home(&media, ["labels", "expand", "-l", "dog", "--endpoint", "localhost:1", "-o", &output]));
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.stderr.contains("begins with http://"), "{}", wrong.stderr);
}

/// A language model of random weights; see scripts/goldens/language_models.py.
const TINY_LANGUAGE_MODEL: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../lexivid/tests/fixtures/language_models/qwen2.gguf");

#[test]
fn a_language_model_on_this_machine_is_asked_without_a_server() {
    let media = Media::new();
    let output = media.path("review.csv");
    let args = ["labels", "expand", "-l", "dog", "--language-model", TINY_LANGUAGE_MODEL, "-o", &output, "--json"];
    // An endpoint of the environment comes after it.
    let ran = run(at_home(&media, args).env("LEXIVID_LLM_ENDPOINT", "http://localhost:1/v1"));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let said: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&said["asked"], &said["failed"]), (&json!(4), &json!([])), "{said}");
    let text = std::fs::read_to_string(&output).unwrap();
    let origin = format!(",local,{TINY_LANGUAGE_MODEL}");
    assert!(text.lines().skip(1).count() >= 4 && text.lines().skip(1).all(|row| row.ends_with(&origin)), "{text}");
    // What is in the file is not asked again.
    let again = run(&mut at_home(&media, args)).json();
    assert_eq!((&again["asked"], &again["asked_before"]), (&json!(0), &json!(4)), "{again}");
}

#[test]
fn without_endpoint_and_language_model_the_starter_is_wanted() {
    let media = Media::new();
    let output = media.path("review.csv");
    let ran = run(&mut at_home(&media, ["labels", "expand", "-l", "dog", "-o", &output]));
    assert_eq!(ran.code, Some(1));
    let expected = "model \"starter\" is not installed\nhint: `lexivid models pull starter` fetches it";
    assert!(ran.stderr.contains(expected), "{}", ran.stderr);

    let clip = concat!(env!("CARGO_MANIFEST_DIR"), "/../lexivid/tests/fixtures/clip_gelu");
    let ran = run(&mut at_home(&media, ["labels", "expand", "-l", "dog", "--language-model", clip, "-o", &output]));
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("expected model_type llama, mistral, qwen2 or qwen3, got \"clip\""), "{}", ran.stderr);

    let frames = ["--manifest", "m.jsonl", "--send-frames", "--language-model", TINY_LANGUAGE_MODEL];
    let ran = run(at_home(&media, ["labels", "expand", "-l", "dog", "-o", &output]).args(frames));
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
}
