use super::Timing;
use lexivid::{label::LabelList, models};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Labels {
    /// A CLIP in Hugging Face's layout
    #[arg(long)]
    model: PathBuf,
    /// One label a line
    #[arg(long)]
    labels: PathBuf,
    #[command(flatten)]
    timing: Timing,
}

impl Labels {
    pub fn run(&self) -> anyhow::Result<()> {
        let compute = self.timing.compute()?;
        let model = models::load(&self.model.to_string_lossy(), &compute)?;
        let labels: Vec<String> = std::fs::read_to_string(&self.labels)?.lines().map(String::from).collect();
        self.timing.report("labels", || {
            model.encode_texts(&labels)?;
            Ok(())
        })
    }
}
