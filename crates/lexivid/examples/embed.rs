//! Pictures and sentences through a model, for checking it from outside:
//! `cargo run --release --example embed -- MODEL_DIR PICTURES.safetensors LABEL...`
//!
//! `PICTURES.safetensors` has one tensor `pictures`, `[B, H, W, 3]` of bytes, already of the model's size. Prints one
//! JSON object: `pictures` and `labels`, their embeddings, and `seconds`, the time of each round over the pictures.

use candle_core::Device;
use lexivid::{frames::FramePixels, label::Label, models};
use std::{env, error::Error, time::Instant};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let (Some(dir), Some(file)) = (args.next(), args.next()) else {
        return Err("usage: embed MODEL_DIR PICTURES.safetensors LABEL...".into());
    };
    let labels: Vec<Label> = args.map(Label::new).collect();
    let started = Instant::now();
    let model = models::load(&dir, &Device::Cpu)?;
    let load_seconds = started.elapsed().as_secs_f64();

    let pictures = &candle_core::safetensors::load(file, &Device::Cpu)?["pictures"];
    let pictures = pictures.flatten_from(1)?.to_vec2::<u8>()?;
    let frames: Vec<FramePixels> = pictures.into_iter().map(|p| FramePixels { time: 0.0, views: vec![p] }).collect();
    let mut seconds = Vec::new();
    let mut features = Vec::new();
    for _ in 0..5 {
        let started = Instant::now();
        features = model.encode_frames(&frames)?;
        seconds.push(started.elapsed().as_secs_f64());
    }
    let started = Instant::now();
    let labels = model.encode_labels(&labels)?;
    let label_seconds = started.elapsed().as_secs_f64();
    let out = serde_json::json!({
        "pictures": features.into_iter().map(|f| f.embedding).collect::<Vec<_>>(),
        "labels": labels.into_iter().map(|l| l.vector).collect::<Vec<_>>(),
        "seconds": seconds,
        "label_seconds": label_seconds,
        "load_seconds": load_seconds,
    });
    println!("{out}");
    Ok(())
}
