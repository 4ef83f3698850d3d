//! The command line, documented once: help and errors come from here.

use clap::{ArgGroup, Args as ClapArgs, Parser, Subcommand, ValueEnum};
use lexivid::{models::Precision, scores::Pool};
use std::{path::PathBuf, time::Duration};

/// What is in a video, in your own words: any labels, things and actions mixed, each with its own probability, and when
/// it holds.
///
/// Results go to stdout, progress and warnings to stderr. Exit status: 0 all went well, 1 something failed (a bad video
/// does not stop the others), 2 wrong use.
#[derive(Parser)]
#[command(name = "lexivid", version, propagate_version = true)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,

    /// No progress bars
    #[arg(long, short, global = true, display_order = 100)]
    pub quiet: bool,

    /// More of what is going on: -v for steps, -vv for details
    #[arg(long, short, global = true, display_order = 101, action = clap::ArgAction::Count)]
    pub verbose: u8,

    /// Write when each step ran, and on which thread, for a viewer of Chrome's trace format
    #[arg(long, global = true, display_order = 102, value_name = "FILE.json")]
    pub trace: Option<PathBuf>,
}

#[derive(Subcommand)]
pub enum Command {
    /// Tell which labels hold in videos, and when
    Classify(Classify),
    /// Keep vocabularies with their embeddings
    Labels(Labels),
    /// Give the embeddings of videos, images or texts
    Embed(Embed),
    /// Tell what a trained label encoder makes of a label
    Explain(Explain),
    /// List, fetch and check models
    Models(Models),
    /// Measure a model on a data set, or on the evaluations that come with lexivid
    Eval(Eval),
    /// Fit what makes a model's similarities probabilities, and keep it with the model
    Calibrate(Calibrate),
    /// Measure time per stage and peak memory on a video, or what each part of the method is worth
    Bench(Bench),
    /// Finetune a frozen model to the labels of a data set
    Train(Train),
    /// Pretrain a small CLIP on the sprites of Stage, the synthetic benchmark
    Pretrain(Pretrain),
    /// Stage, the controlled synthetic benchmark
    Stage(Stage),
}

/// Which model looks, and on what.
#[derive(ClapArgs)]
pub struct ModelArgs {
    /// `starter`, a hub id such as openai/clip-vit-base-patch16, or a directory
    #[arg(long, short, env = "LEXIVID_MODEL", default_value = "starter", value_name = "NAME|DIR")]
    pub model: String,

    /// cpu, cuda, cuda:1 or metal (the latter two where built in)
    #[arg(long, env = "LEXIVID_DEVICE", default_value = "cpu")]
    pub device: String,

    /// f32, bf16 or int8, on the CPU; if not given, bf16 where the processor is faster at it, or else f32
    #[arg(long, env = "LEXIVID_PRECISION")]
    pub precision: Option<Precision>,
}

/// When the model looks.
#[derive(ClapArgs)]
pub struct SamplingArgs {
    /// Length of the windows that are judged on their own (2s, 1m30s), or `whole` for the whole video at once
    #[arg(long, default_value = "2s", value_parser = window, value_name = "TIME|whole")]
    pub window: Window,

    /// Time from the start of one window to the next; half the window if not given
    #[arg(long, value_parser = humantime::parse_duration, value_name = "TIME")]
    pub hop: Option<Duration>,

    /// Frames looked at in a window
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    pub frames: u16,

    /// Find shot boundaries first, and let no window cross one (decodes every frame)
    #[arg(long)]
    pub shots: bool,

    /// Look at single frames only, also where the model has a network that looks at clips: faster, and nearly blind to actions
    #[arg(long)]
    pub no_motion: bool,

    /// Let the model look at every frame, also where it is (nearly) the same as the one before
    #[arg(long)]
    pub no_dedup: bool,

    /// Give up on a video whose decoder yields nothing for this long
    #[arg(long, default_value = "30s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub stall_timeout: Duration,
}

#[derive(Clone, Copy)]
pub enum Window {
    Whole,
    Length(Duration),
}

fn window(text: &str) -> Result<Window, String> {
    if text == "whole" {
        return Ok(Window::Whole);
    }
    humantime::parse_duration(text)
        .map(Window::Length)
        .map_err(|e| format!("expected a time such as 8s, or `whole`: {e}"))
}

#[derive(ClapArgs)]
#[command(group(which_labels()))]
pub struct Classify {
    /// Videos, images, URLs, or folders of them
    #[arg(required = true, value_name = "VIDEO")]
    pub inputs: Vec<String>,

    #[command(flatten)]
    pub given: GivenLabels,

    /// The labels of a vocabulary that `lexivid labels add` keeps
    #[arg(long, value_name = "NAME", conflicts_with = "no_cache")]
    pub vocabulary: Option<String>,

    #[command(flatten)]
    pub model: ModelArgs,

    #[command(flatten)]
    pub sampling: SamplingArgs,

    /// How windows become one probability a video: max, mean, top-k (mean of the highest tenth) or noisy-or
    #[arg(long, default_value_t = Pool::TopK)]
    pub pool: Pool,

    /// Probability from which on a label counts as present; a label's own threshold goes before
    #[arg(long, default_value_t = 0.5, value_parser = probability)]
    pub threshold: f32,

    /// Labels shown in the table, most probable first
    #[arg(long, default_value_t = 20)]
    pub top: usize,

    #[command(flatten)]
    pub format: Format,

    /// Write to this file instead of stdout; it appears when it is whole
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Also write a report to look at: one HTML file with frames, timeline and settings
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,

    /// Neither read nor write the label embeddings kept on disk
    #[arg(long)]
    pub no_cache: bool,
}

/// One of the ways to say which labels are meant.
fn which_labels() -> ArgGroup {
    ArgGroup::new("which labels").args(["labels", "labels_file", "vocabulary"]).required(true)
}

/// Labels as they stand on the command line or in a file.
#[derive(ClapArgs)]
pub struct GivenLabels {
    /// Labels, comma-separated: "dog, guitar, riding a bike"
    #[arg(long, short, conflicts_with = "labels_file")]
    pub labels: Option<String>,

    /// Labels from a .txt, .csv, .json or .yaml file: name, and if you like kind (entity or action), definition, synonyms,
    /// threshold
    #[arg(long, short = 'f', value_name = "FILE")]
    pub labels_file: Option<PathBuf>,
}

fn probability(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(p) if (0.0..=1.0).contains(&p) => Ok(p),
        _ => Err("expected a number from 0 to 1".into()),
    }
}

/// What is printed; a table if nothing is said.
#[derive(ClapArgs)]
#[group(multiple = false)]
pub struct Format {
    /// Print one JSON array, an object a video
    #[arg(long)]
    pub json: bool,

    /// Print a JSON object a line, as soon as each video is done
    #[arg(long)]
    pub jsonl: bool,

    /// Print CSV, a row for every video and label
    #[arg(long)]
    pub csv: bool,
}

#[derive(ClapArgs)]
pub struct Labels {
    #[command(subcommand)]
    pub command: LabelsCommand,
}

#[derive(Subcommand)]
pub enum LabelsCommand {
    /// Put labels into a vocabulary and embed them; a run that was broken off goes on where it was
    Add {
        #[command(flatten)]
        given: GivenLabels,

        #[command(flatten)]
        vocabulary: VocabularyArg,

        #[command(flatten)]
        model: ModelArgs,

        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Let a language model propose further labels, into a file for you to review
    Expand(Expand),
    /// The vocabularies, or the labels of one, and which models have their embeddings
    List {
        /// The vocabulary whose labels are listed
        #[arg(long, value_name = "NAME")]
        vocabulary: Option<String>,

        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Take labels out of a vocabulary, all of those named or none
    Remove {
        /// Names of labels
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        names: Vec<String>,

        /// Take away the whole vocabulary
        #[arg(long)]
        all: bool,

        #[command(flatten)]
        vocabulary: VocabularyArg,

        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Give a label another name; kind, definition, synonyms and threshold stay
    ///
    /// An embedding belongs to its text: the new name gets one of its own when the vocabulary is next used with a model,
    /// unless the same text was embedded before.
    Rename {
        /// The label's name
        old: String,

        /// Its new name
        new: String,

        #[command(flatten)]
        vocabulary: VocabularyArg,

        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// `lexivid labels expand`. docs/LABELS.md describes what it writes.
///
/// Without a manifest, the language model is asked for parents, parts, co-occurring things and paraphrases of every label. With
/// one, it is asked what else holds in every video, and what --model does not see there is not kept.
#[derive(ClapArgs)]
#[command(group(which_labels()))]
pub struct Expand {
    #[command(flatten)]
    pub given: GivenLabels,

    /// The labels of a vocabulary that `lexivid labels add` keeps
    #[arg(long, value_name = "NAME")]
    pub vocabulary: Option<String>,

    /// Videos: a JSON object a line, with `video` and `positives`; docs/DATASETS.md describes it
    #[arg(long, value_name = "FILE.jsonl")]
    pub manifest: Option<PathBuf>,

    /// Only the videos of this split; all if not given
    #[arg(long, requires = "manifest")]
    pub split: Option<String>,

    /// A server with OpenAI's API, such as http://localhost:8080/v1; its key is taken from $LEXIVID_LLM_KEY
    #[arg(long, env = "LEXIVID_LLM_ENDPOINT", value_name = "URL", value_parser = http_url)]
    pub endpoint: Option<String>,

    /// A language model on this machine, before any endpoint: a GGUF file, a directory in Hugging Face's layout, or an
    /// installed model that brings one; the starter's, if there is no endpoint either
    #[arg(long, value_name = "NAME|FILE")]
    pub language_model: Option<String>,

    /// The server's model; if not given, the only one that it names
    #[arg(long, value_name = "NAME", requires = "endpoint", conflicts_with = "language_model")]
    pub llm: Option<String>,

    /// Also send frames of the videos, to a server's model that takes pictures
    #[arg(long, requires_all = ["manifest", "endpoint"], conflicts_with = "language_model")]
    pub send_frames: bool,

    /// Labels that are asked for at once
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=50))]
    pub number: u8,

    /// Give up on a request that takes longer
    #[arg(long, default_value = "2m", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub timeout: Duration,

    /// Similarity of embeddings from which on two names are one label
    #[arg(long, default_value_t = 0.95, value_parser = probability)]
    pub same_from: f32,

    /// Probability below which a label is taken not to be in its video
    #[arg(long, default_value_t = 0.2, value_parser = probability)]
    pub least_score: f32,

    /// Where proposals are written; what stands there already is not asked again
    #[arg(long, short, value_name = "FILE.csv")]
    pub output: PathBuf,

    #[command(flatten)]
    pub model: ModelArgs,

    /// Frames looked at in every video or segment
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    pub frames: u16,

    /// Give up on a video whose decoder yields nothing for this long
    #[arg(long, default_value = "30s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub stall_timeout: Duration,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

fn http_url(text: &str) -> Result<String, String> {
    match text.starts_with("http://") || text.starts_with("https://") {
        true => Ok(text.into()),
        false => Err("expected an address that begins with http:// or https://".into()),
    }
}

/// Which of the vocabularies that are kept.
#[derive(ClapArgs)]
pub struct VocabularyArg {
    /// The vocabulary
    #[arg(long = "vocabulary", default_value = "default", value_name = "NAME")]
    pub name: String,
}

#[derive(ClapArgs)]
pub struct Embed {
    /// Videos, images, URLs, or folders of them
    #[arg(value_name = "VIDEO|IMAGE", required_unless_present_any = ["text", "label"])]
    pub inputs: Vec<String>,

    /// Embed this text exactly as it stands; may be repeated
    #[arg(long, conflicts_with = "inputs")]
    pub text: Vec<String>,

    /// Embed this label, in the model's prompt for labels; may be repeated
    #[arg(long, conflicts_with_all = ["inputs", "text"])]
    pub label: Vec<String>,

    /// One embedding for every frame, every window, or the whole video (mean of its windows)
    #[arg(long, value_enum, default_value_t = Level::Video)]
    pub level: Level,

    #[command(flatten)]
    pub model: ModelArgs,

    #[command(flatten)]
    pub sampling: SamplingArgs,

    /// Write the embeddings to this .npy file, float32 [rows, D]; stdout then tells what each row is
    #[arg(long, short, value_name = "FILE.npy")]
    pub output: Option<PathBuf>,

    /// Print one JSON array instead of a JSON object a line
    #[arg(long)]
    pub json: bool,
}

#[derive(ClapArgs)]
pub struct Explain {
    /// The label; may be repeated
    #[arg(long, required = true)]
    pub label: Vec<String>,

    /// Labels to compare with, before and after: a .txt, .csv, .json or .yaml file
    #[arg(long, short = 'f', value_name = "FILE")]
    pub labels_file: Option<PathBuf>,

    /// How many words and labels are shown
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    pub top: u16,

    #[command(flatten)]
    pub model: ModelArgs,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Level {
    Frame,
    Window,
    Video,
}

#[derive(ClapArgs)]
pub struct Models {
    #[command(subcommand)]
    pub command: ModelsCommand,
}

#[derive(Subcommand)]
pub enum ModelsCommand {
    /// The models on this machine
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Fetch a model: `starter`, `i3d` (motion, beside another model), or a hub id such as openai/clip-vit-base-patch16
    Pull {
        /// The model
        name: String,
    },
    /// Check a model's files against the checksums recorded when it was fetched
    Verify {
        /// The model
        #[arg(default_value = "starter")]
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the directory of a model
    Path {
        /// The model
        #[arg(default_value = "starter")]
        name: String,
    },
}

/// `lexivid eval --manifest ..`: a data set; `lexivid eval stamps`: one that comes with lexivid.
#[derive(ClapArgs)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Eval {
    #[command(subcommand)]
    pub command: Option<EvalCommand>,

    #[command(flatten)]
    pub dataset: DatasetArgs,

    /// Only the examples of this split; all if not given
    #[arg(long)]
    pub split: Option<String>,

    #[command(flatten)]
    pub model: ModelArgs,

    #[command(flatten)]
    pub sampling: EvalSampling,

    /// How windows become one probability a video: max, mean, top-k (mean of the highest tenth) or noisy-or
    #[arg(long, default_value_t = Pool::TopK)]
    pub pool: Pool,

    /// Probability from which on a label counts as present; a label's or the model's own threshold goes before
    #[arg(long, default_value_t = 0.5, value_parser = probability)]
    pub threshold: f32,

    /// K of F1@K: how many labels of a video count as present
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    pub k: u16,

    /// In the AP of labels, put examples without any positive last, as Charades does
    #[arg(long)]
    pub unlabelled_last: bool,

    /// Also print a table of the labels
    #[arg(long, conflicts_with = "json")]
    pub per_label: bool,

    /// Print JSON: everything that was measured
    #[arg(long)]
    pub json: bool,

    /// Also write a page to look at: one HTML file with curves, a reliability diagram and every label
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,

    /// Neither read nor write the label embeddings kept on disk
    #[arg(long)]
    pub no_cache: bool,
}

/// Examples and the labels that they are about; docs/DATASETS.md describes both files.
#[derive(ClapArgs)]
pub struct DatasetArgs {
    /// Examples: a JSON object a line, with `video`, `positives`, `negatives` and others
    #[arg(long, required = true, value_name = "FILE.jsonl")]
    pub manifest: Option<PathBuf>,

    /// Labels: a .txt, .csv, .json or .yaml file with name, and if you like kind, synonyms, definition, threshold, seen,
    /// subset, opposite
    #[arg(long, required = true, value_name = "FILE")]
    pub labels: Option<PathBuf>,
}

/// When the model looks at examples, which are mostly short: other defaults, the customary ones of the field.
#[derive(ClapArgs)]
#[command(mut_arg("window", |arg| arg.default_value("whole")), mut_arg("frames", |arg| arg.default_value("8")))]
pub struct EvalSampling {
    #[command(flatten)]
    pub sampling: SamplingArgs,
}

#[derive(ClapArgs)]
pub struct Calibrate {
    #[command(flatten)]
    pub dataset: DatasetArgs,

    /// The split to fit on, which is not the one to evaluate on: `test` is refused
    #[arg(long)]
    pub split: String,

    #[command(flatten)]
    pub model: ModelArgs,

    /// Frames looked at in every video or segment
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    pub frames: u16,

    /// Give up on a video whose decoder yields nothing for this long
    #[arg(long, default_value = "30s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub stall_timeout: Duration,

    /// Also fit a threshold for every label with at least five positives: the one with the best F1
    #[arg(long)]
    pub thresholds: bool,

    /// Neither read nor write the label embeddings kept on disk
    #[arg(long)]
    pub no_cache: bool,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Subcommand)]
pub enum EvalCommand {
    /// Known and novel nouns on the pictures of Debian's tuxpaint-stamps-default (fetched if it is not installed)
    Stamps {
        #[command(flatten)]
        model: ModelArgs,

        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// `lexivid bench VIDEO`: time and memory; `lexivid bench method ..`: the ablation tables of the method.
#[derive(ClapArgs)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Bench {
    #[command(subcommand)]
    pub command: Option<BenchCommand>,

    /// The video
    #[arg(required = true)]
    pub video: Option<String>,

    /// Labels, comma-separated
    #[arg(long, short, default_value = "dog, guitar, riding a bike")]
    pub labels: String,

    /// How often the video is classified
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    pub runs: u16,

    #[command(flatten)]
    pub model: ModelArgs,

    #[command(flatten)]
    pub sampling: SamplingArgs,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Subcommand)]
pub enum BenchCommand {
    /// Finetune a model on Stage once a row of a table and seed, and print what each part of the method is worth
    ///
    /// Runs that are done are kept and not made again, runs that were broken off go on where they were. docs/TRAINING.md
    /// describes the table's file.
    Method(BenchMethod),
}

#[derive(ClapArgs)]
pub struct BenchMethod {
    /// What `lexivid stage render` made
    #[arg(value_name = "STAGE_DIR")]
    pub stage: PathBuf,

    /// The frozen model: a name, a hub id or a directory
    #[arg(long, short, env = "LEXIVID_MODEL", value_name = "NAME|DIR")]
    pub model: String,

    /// Directory for metrics, models and results
    #[arg(long, short, value_name = "DIR")]
    pub output: PathBuf,

    /// What to compare with what; crates/lexivid-stage/method.toml if not given
    #[arg(long, value_name = "FILE.toml")]
    pub table: Option<PathBuf>,

    /// Only run these rows, comma-separated; the others are shown as far as they are there
    #[arg(long, value_delimiter = ',', value_name = "NAME,..")]
    pub rows: Vec<String>,

    /// Seeds of every row, comma-separated
    #[arg(long, value_delimiter = ',', default_value = "1,2,3", value_name = "N,..")]
    pub seeds: Vec<u32>,

    /// Print JSON: everything that was measured
    #[arg(long)]
    pub json: bool,
}

#[derive(ClapArgs)]
pub struct Train {
    /// What to train, on what, and how: a .toml file; docs/TRAINING.md describes it
    #[arg(long, value_name = "CONFIG.toml")]
    pub config: PathBuf,

    #[command(flatten)]
    pub run: RunArgs,
}

#[derive(ClapArgs)]
pub struct Pretrain {
    /// What to train, and how: a .toml file such as crates/lexivid-stage/nano-clip/pretrain.toml
    #[arg(long, value_name = "CONFIG.toml")]
    pub config: PathBuf,

    /// What Stage is drawn with; scripts/stage-assets fetches it and prints the directory
    #[arg(long, env = "LEXIVID_STAGE_ASSETS", value_name = "DIR")]
    pub assets: PathBuf,

    #[command(flatten)]
    pub run: RunArgs,
}

#[derive(ClapArgs)]
pub struct Stage {
    #[command(subcommand)]
    pub command: StageCommand,
}

#[derive(Subcommand)]
pub enum StageCommand {
    /// Make the videos, with manifest and vocabulary; a run that was broken off goes on where it was
    Render {
        /// small: 164 videos, for tests; full: 5,600
        size: StageSize,

        /// Directory for what is made
        #[arg(long, short, value_name = "DIR")]
        output: PathBuf,

        /// What Stage is drawn with; scripts/stage-assets fetches it and prints the directory
        #[arg(long, env = "LEXIVID_STAGE_ASSETS", value_name = "DIR")]
        assets: PathBuf,

        /// What chance starts from: the same seed gives the same videos
        #[arg(long, default_value_t = 1)]
        seed: u64,

        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Measure a model on Stage: mean AP by subset, time-reversed actions, single sprites
    Bench {
        /// What `stage render` made
        stage: PathBuf,

        /// What Stage is drawn with; scripts/stage-assets fetches it and prints the directory
        #[arg(long, env = "LEXIVID_STAGE_ASSETS", value_name = "DIR")]
        assets: PathBuf,

        #[command(flatten)]
        model: ModelArgs,

        /// Frames looked at in a video
        #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
        frames: u16,

        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// How many videos.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StageSize {
    Small,
    Full,
}

/// Where a training goes, and how it begins.
#[derive(ClapArgs)]
pub struct RunArgs {
    /// Directory for metrics, checkpoints and, at the end, the model
    #[arg(long, short, value_name = "DIR")]
    pub output: PathBuf,

    /// Go on with the run that is in the directory, from its last checkpoint
    #[arg(long)]
    pub resume: bool,

    /// Print a JSON object at the end
    #[arg(long)]
    pub json: bool,
}
