//! What a run leaves to be looked at: a CSV of numbers, and TensorBoard's event files.

use super::TrainingError;
use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};
use tboard::EventWriter;

const HEADER: &str = "step,seconds,name,value";

/// `metrics.csv` (step, seconds since the run began, name, value) and an event file, both in the run's directory.
pub(super) struct Record {
    path: PathBuf,
    csv: File,
    events: EventWriter<File>,
}

impl Record {
    /// Goes on after `step`: what an interrupted run wrote beyond it is dropped from the CSV.
    pub fn open(out: &Path, step: u64) -> Result<Self, TrainingError> {
        let path = out.join("metrics.csv");
        let before = fs::read_to_string(&path).unwrap_or_default();
        let kept = before.lines().skip(1).filter(|line| {
            line.split(',').next().and_then(|step| step.parse::<u64>().ok()).is_some_and(|at| at <= step)
        });
        let text: String = std::iter::once(HEADER).chain(kept).flat_map(|line| [line, "\n"]).collect();
        fs::write(&path, text).map_err(TrainingError::io(&path))?;
        let csv = OpenOptions::new().append(true).open(&path).map_err(TrainingError::io(&path))?;
        let events = EventWriter::create(out)
            .map_err(|e| TrainingError::Io { path: out.into(), source: std::io::Error::other(e) })?;
        Ok(Self { path, csv, events })
    }

    pub fn write(&mut self, step: u64, seconds: f64, numbers: &[(String, f64)]) -> Result<(), TrainingError> {
        for (name, value) in numbers {
            writeln!(self.csv, "{step},{seconds:.1},{name},{value}").map_err(TrainingError::io(&self.path))?;
            let event = self.events.write_scalar(step as i64, name, *value as f32);
            event.map_err(|e| TrainingError::Io { path: self.path.clone(), source: std::io::Error::other(e) })?;
        }
        Ok(())
    }
}
