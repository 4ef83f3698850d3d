//! `cargo bench --workspace --bench label_encoder`: what the label encoder costs with SmolLM2-135M beside Nano-CLIP's text encoder, and how fast
//! that language model writes. Needs `lexivid models pull starter`. Every row is a process of its own, for its peak memory.

use candle_core::{Device, Tensor};
use lexivid::{
    label::Label,
    label_embedding::{Calibration, LabelEncoderConfig},
    models::{Additions, AdditionsConfig, Compute, LabelSide, LabelTexts, Precision, load, store::Store},
    nn::Weights,
    soft_attributes::{Generator, LanguageModel, Limits, PromptingConfig, Reader},
    training::additions_start,
};
use std::{
    collections::HashMap,
    env,
    ops::ControlFlow,
    process::Command,
    time::{Duration, Instant},
};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const NANO_CLIP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../lexivid-stage/nano-clip");
const LABELS: usize = 64;
const RUNS: usize = 5;
/// Tokens that are written.
const WRITTEN: usize = 64;

fn main() -> Result<()> {
    let args: Vec<String> = env::args().skip(1).filter(|arg| arg != "--bench").collect();
    match args.as_slice() {
        [] => {
            println!(
                "| | blocks | prefixes | forward, labels/s | peak, MiB | forward and backward, labels/s | peak, MiB |"
            );
            println!("|---|---:|---:|---:|---:|---:|---:|");
            for precision in ["f32", "bf16"] {
                for layers in ["12", "30"] {
                    for prefixes in ["0", "16"] {
                        row(&["encode", precision, layers, prefixes])?;
                    }
                }
            }
            for precision in ["f32", "bf16"] {
                row(&["write", precision])?;
            }
            Ok(())
        }
        [what, precision] if what == "write" => write(precision.parse()?),
        [_, precision, layers, prefixes] => encode(precision.parse()?, layers.parse()?, prefixes.parse()?),
        other => Err(format!("expected no arguments, got {other:?}").into()),
    }
}

fn row(args: &[&str]) -> Result<()> {
    match Command::new(env::current_exe()?).args(args).status()?.success() {
        true => Ok(()),
        false => Err(format!("{args:?} failed").into()),
    }
}

fn encode(precision: Precision, layers: usize, prefixes: usize) -> Result<()> {
    let compute = Compute::new(Device::Cpu, Some(precision))?;
    let base = load(NANO_CLIP, &compute)?;
    let encoder = LabelEncoderConfig {
        language_model: "starter".into(),
        layers: Some(layers),
        prefixes,
        attributes: 8,
        reader: Reader::Prompting(PromptingConfig { blocks: 2, width: 128, heads: 4 }),
    };
    let config = AdditionsConfig { label_encoder: Some(encoder), ..AdditionsConfig::default() };
    let side = LabelSide::open(&config, &compute)?;
    let deviation = side.language_model().map(LanguageModel::token_deviation).transpose()?.unwrap_or_default();
    let start = additions_start(1, Calibration { scale: 10.0, bias: -2.0 }, deviation, None);
    let weights = Weights::start(start, &Compute::exact()?);
    let additions = Additions::load(&weights.root(), base.as_ref(), &side, &config)?;
    let mut texts = side.read(base.as_ref(), &labels())?;
    let all: Vec<u32> = (0..LABELS as u32).collect();
    let embed = |additions: &Additions, texts: &LabelTexts| -> Result<Tensor> {
        Ok(side.embed(base.as_ref(), additions, texts, &all, None)?.labels)
    };

    // The same once saved and loaded, as a trained model is: nothing is kept for gradients.
    let dir = tempfile::tempdir()?;
    let variables: HashMap<String, Tensor> =
        weights.variables().into_iter().map(|(name, variable)| (name, variable.as_tensor().clone())).collect();
    candle_core::safetensors::save(&variables, dir.path().join("model.safetensors"))?;
    let saved = Weights::open(dir.path(), &Compute::exact()?)?;
    let loaded = Additions::load(&saved.root(), base.as_ref(), &side, &config)?;
    let forward = median(|| Ok(embed(&loaded, &texts)?.to_vec2::<f32>()?))?;
    let peak_of_forward = peak_mib()?;
    // As training does it: without prefixes, states never change and are computed once.
    side.keep_states(&additions, &mut texts)?;
    let forward_backward = median(|| Ok(embed(&additions, &texts)?.sqr()?.sum_all()?.backward()?))?;
    println!(
        "| {precision} | {layers} | {prefixes} | {:.1} | {peak_of_forward} | {:.1} | {} |",
        LABELS as f64 / forward.as_secs_f64(),
        LABELS as f64 / forward_backward.as_secs_f64(),
        peak_mib()?
    );
    Ok(())
}

fn write(precision: Precision) -> Result<()> {
    let compute = Compute::new(Device::Cpu, Some(precision))?;
    let generator = Generator::open(&Store::from_env()?.language_model("starter")?, &compute)?;
    let seconds = |tokens: usize| -> Result<f64> {
        let time = median(|| {
            let text = "The things that are seen in a kitchen, one after the other, are";
            let written = generator.complete(text, Limits::tokens(tokens), &mut || ControlFlow::Continue(()))?;
            assert_eq!(written.tokens.len(), tokens, "it ends before {tokens} tokens");
            Ok(())
        })?;
        Ok(time.as_secs_f64())
    };
    // Without the time that the prompt takes.
    let rate = (WRITTEN - 1) as f64 / (seconds(WRITTEN)? - seconds(1)?);
    println!("{precision}, all layers: writes {rate:.1} tokens/s, peak {} MiB", peak_mib()?);
    Ok(())
}

/// Things of some kind, about as long as labels are.
fn labels() -> Vec<Label> {
    const KINDS: [&str; 8] = ["red", "wooden", "small", "running", "wet", "striped", "old", "folded"];
    const THINGS: [&str; 8] = ["dog", "bicycle", "guitar", "birthday cake", "umbrella", "fire truck", "chair", "horse"];
    KINDS.iter().flat_map(|kind| THINGS.map(|thing| Label::new(format!("{kind} {thing}")))).collect()
}

/// Of some runs, after one that does not count.
fn median<T>(mut run: impl FnMut() -> Result<T>) -> Result<Duration> {
    run()?;
    let mut times = Vec::new();
    for _ in 0..RUNS {
        let start = Instant::now();
        run()?;
        times.push(start.elapsed());
    }
    times.sort();
    Ok(times[RUNS / 2])
}

/// Greatest resident size of this process (Linux).
fn peak_mib() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM in /proc/self/status")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse::<u64>()? / 1024)
}
