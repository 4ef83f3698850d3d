//! `--trace`: when every span of the library ran, and on which thread, in Chrome's trace format.

use anyhow::Context;
use std::{fs::File, path::Path};
use tracing_chrome::{ChromeLayer, ChromeLayerBuilder, FlushGuard};
use tracing_subscriber::Registry;

/// What writes the spans to `path`; the file is whole once the guard is dropped.
pub fn layer(path: &Path) -> anyhow::Result<(ChromeLayer<Registry>, FlushGuard)> {
    let file = File::create(path).with_context(|| path.display().to_string())?;
    Ok(ChromeLayerBuilder::new().writer(file).include_locations(false).build())
}
