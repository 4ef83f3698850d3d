//! lexivid's side of `benches/peers`: loads, warms up, times runs and prints a line of JSON for each thing measured.

mod clip;
mod grad;
mod i3d;
mod labels;
mod tower;

use clap::{Args as ClapArgs, Parser, Subcommand};
use lexivid::models::{Compute, Precision};
use serde_json::json;
use std::time::Instant;

#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    part: Part,
}

#[derive(Subcommand)]
enum Part {
    /// An image tower with its projection
    Tower(tower::Tower),
    /// A text tower on labels
    Labels(labels::Labels),
    /// A frozen stack of SmolLM2-135M's shape, forward and backward to its input
    Grad(Timing),
    /// A stack of convolutions
    I3d(i3d::I3d),
    /// I3D on clips
    Clip(clip::Clip),
}

/// How to measure.
#[derive(ClapArgs)]
struct Timing {
    #[arg(long, default_value_t = 2)]
    threads: usize,
    #[arg(long, default_value_t = Precision::Bf16)]
    precision: Precision,
    #[arg(long, default_value_t = 7)]
    runs: usize,
}

impl Timing {
    /// Sets up the pool.
    fn compute(&self) -> anyhow::Result<Compute> {
        rayon::ThreadPoolBuilder::new().num_threads(self.threads).build_global()?;
        Ok(Compute::new(candle_core::Device::Cpu, Some(self.precision))?)
    }

    /// Prints the raw runs in milliseconds, after two that do not count.
    fn report(&self, name: &str, mut run: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<()> {
        let mut ms = Vec::new();
        for _ in 0..self.runs + 2 {
            let start = Instant::now();
            run()?;
            ms.push(start.elapsed().as_secs_f64() * 1e3);
        }
        println!("{}", json!({"name": name, "ms": ms[2..], "isa": lexivid_kernels::Isa::from_env()?.to_string()}));
        Ok(())
    }
}

fn main() -> anyhow::Result<()> {
    match Args::parse().part {
        Part::Tower(tower) => tower.run(),
        Part::Labels(labels) => labels.run(),
        Part::Grad(timing) => grad::run(&timing),
        Part::I3d(i3d) => i3d.run(),
        Part::Clip(clip) => clip.run(),
    }
}
