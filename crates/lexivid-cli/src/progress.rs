//! Progress bars and log lines on stderr, out of each other's way.

use crate::stages::StageTimes;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{io::Write, time::Duration};
use tracing_chrome::ChromeLayer;
use tracing_subscriber::{
    EnvFilter, Layer, Registry, filter, fmt::MakeWriter, layer::SubscriberExt, util::SubscriberInitExt,
};

/// Where progress is shown, nowhere when stderr is no terminal; and whether the user wants quiet.
#[derive(Clone)]
pub struct Progress(MultiProgress, bool);

impl Progress {
    /// `quiet`: no bars at all.
    pub fn new(quiet: bool) -> Self {
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        Self(MultiProgress::with_draw_target(target), quiet)
    }

    /// A bar of `total` steps.
    pub fn bar(&self, total: u64, unit: &str) -> ProgressBar {
        let style =
            ProgressStyle::with_template(&format!("{{msg:20!}} {{bar:30}} {{pos}}/{{len}} {unit} · {{eta}} left"))
                .expect("the template is valid");
        self.0.add(ProgressBar::new(total).with_style(style))
    }

    /// A bar of the steps of a training, whose message is as long as it likes.
    pub fn steps(&self, total: u64) -> ProgressBar {
        let style = ProgressStyle::with_template("{bar:20} {pos}/{len} steps · {msg} · {eta} left");
        self.0.add(ProgressBar::new(total).with_style(style.expect("the template is valid")))
    }

    /// A bar that counts bytes; its length is told later.
    pub fn bytes(&self) -> ProgressBar {
        let style = ProgressStyle::with_template("{msg:40!} {bar:30} {bytes}/{total_bytes} · {eta} left");
        self.0.add(ProgressBar::new(0).with_style(style.expect("the template is valid")))
    }

    /// A line for work whose length is not known.
    pub fn spinner(&self) -> ProgressBar {
        let spinner = self.0.add(ProgressBar::new_spinner());
        spinner.enable_steady_tick(Duration::from_millis(120));
        spinner
    }

    /// Prints a line on stderr without disturbing the bars.
    pub fn say(&self, line: &str) {
        self.0.suspend(|| eprintln!("{line}"));
    }

    /// Prints a line of progress where there are no bars: not if the user wants quiet.
    pub fn line(&self, line: &str) {
        if !self.1 {
            self.say(line);
        }
    }

    /// Lets the library's log lines through: warnings, with `verbose` more; `RUST_LOG` overrides. `stages` and
    /// `trace` are told of every span of the library.
    pub fn log_to_stderr(&self, verbose: u8, stages: StageTimes, trace: Option<ChromeLayer<Registry>>) {
        let spans = filter::filter_fn(|meta| meta.is_span() && meta.target().starts_with("lexivid"));
        let default = ["warn", "lexivid=info,warn", "lexivid=debug,info"][usize::from(verbose.min(2))];
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(self.clone())
            .with_target(false)
            .without_time()
            .with_ansi(output_is_colourful())
            .with_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default)));
        tracing_subscriber::registry()
            .with(trace.with_filter(spans.clone()))
            .with(lines)
            .with(stages.with_filter(spans))
            .init();
    }
}

/// Whether stderr takes colours: a terminal, and NO_COLOR is not set.
fn output_is_colourful() -> bool {
    std::io::IsTerminal::is_terminal(&std::io::stderr()) && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

impl<'a> MakeWriter<'a> for Progress {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for Progress {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.suspend(|| std::io::stderr().write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}
