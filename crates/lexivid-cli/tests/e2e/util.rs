use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// A CLIP of random weights; see scripts/goldens/clip.py.
pub fn tiny_model() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../lexivid/tests/fixtures/clip_quick_gelu").display().to_string()
}

/// The small CLIP that was pretrained on Stage's sprites.
pub fn nano_clip() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../lexivid-stage/nano-clip").display().to_string()
}

/// A Llama of random weights; see scripts/goldens/llama.py.
pub fn tiny_language_model() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../lexivid/tests/goldens/llama_tiny.gguf").display().to_string()
}

/// Ten seconds of film with cuts: indoors, then traffic, then streets with bicycles.
pub fn real_video() -> String {
    std::env::var("LEXIVID_TEST_VIDEO").expect("set LEXIVID_TEST_VIDEO to what scripts/test-video prints")
}

/// What Stage is drawn with.
pub fn stage_assets() -> String {
    std::env::var("LEXIVID_STAGE_ASSETS").expect("set LEXIVID_STAGE_ASSETS to what scripts/stage-assets prints")
}

/// The program with these arguments, without anything of the environment that changes what it does.
pub fn lexivid<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lexivid"));
    command.args(args).env_remove("LEXIVID_MODEL").env_remove("LEXIVID_DEVICE").env_remove("RUST_LOG");
    command
}

/// The program, with what Stage is drawn with, keeping its features in `media`.
pub fn in_home(media: &Media, args: &[&str]) -> Command {
    let mut command = lexivid(args.iter().copied());
    command.env("LEXIVID_STAGE_ASSETS", stage_assets()).env("LEXIVID_HOME", media.path("home"));
    command
}

/// `lexivid classify` with the tiny model and without the cache.
pub fn classify_tiny<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = lexivid(["classify", "--no-cache", "--model", &tiny_model()]);
    command.args(args);
    command
}

/// What a run gave.
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// stdout as JSON, of a run that went well.
    pub fn json(&self) -> Value {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}", self.stdout))
    }
}

pub fn run(command: &mut Command) -> Ran {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
    let ran = Ran { code: status.code(), stdout: text(stdout), stderr: text(stderr) };
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    ran
}

/// A directory for generated media.
pub struct Media(tempfile::TempDir);

impl Media {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    pub fn directory(&self) -> PathBuf {
        self.0.path().into()
    }

    /// Makes `name` with the ffmpeg command line.
    pub fn ffmpeg(&self, args: &str, name: &str) -> String {
        let path = self.path(name);
        let output = Command::new("ffmpeg")
            .args(["-v", "error", "-y"])
            .args(args.split_whitespace())
            .arg(&path)
            .output()
            .expect("ffmpeg is installed; scripts/setup ffmpeg does it");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        path
    }

    /// A test pattern that moves, `seconds` long.
    pub fn pattern(&self, seconds: u32, name: &str) -> String {
        self.ffmpeg(&format!("-f lavfi -i testsrc2=size=160x120:rate=10:duration={seconds} -pix_fmt yuv420p"), name)
    }
}
