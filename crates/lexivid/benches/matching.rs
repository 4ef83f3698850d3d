//! `cargo bench -p lexivid --bench matching`: one window against 100,000 labels, the ten nearest.

use lexivid::{
    label_embedding::{Calibration, LabelEmbedding, Origin},
    matching::LabelMatrix,
};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use std::time::{Duration, Instant};

const LABELS: usize = 100_000;
const RUNS: usize = 21;

fn main() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    for width in [128, 512] {
        let mut label = || LabelEmbedding {
            vector: (0..width).map(|_| random.next_u32() as f32 / u32::MAX as f32 - 0.5).collect(),
            calibration: Calibration { scale: 1.0, bias: 0.0 },
            origin: Origin::TextTower,
        };
        let labels: Vec<LabelEmbedding> = (0..LABELS).map(|_| label()).collect();
        let matrix = LabelMatrix::new(&labels).expect("rows of one width");
        let mut times: Vec<Duration> = labels[..RUNS]
            .iter()
            .map(|window| {
                let start = Instant::now();
                matrix.nearest(10, &window.vector).expect("a window as wide as the labels");
                start.elapsed()
            })
            .collect();
        times.sort();
        println!("{LABELS} x {width}: median {:?}, {:?} to {:?}", times[RUNS / 2], times[0], times[RUNS - 1]);
    }
}
