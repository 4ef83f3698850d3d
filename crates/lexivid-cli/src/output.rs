//! stdout, or a file that appears only when it is whole.

use lexivid::report::table::TableOptions;
use std::{
    io::{self, BufWriter, IsTerminal, Write},
    path::Path,
};

/// Runs `write` on stdout, or on a temporary file beside `path` that takes its place at the end.
pub fn write_to(path: Option<&Path>, write: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let Some(path) = path else {
        let mut stdout = BufWriter::new(io::stdout().lock());
        write(&mut stdout)?;
        return Ok(stdout.flush()?);
    };
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let context = |e: io::Error| anyhow::anyhow!("{}: {e}", path.display());
    let mut file = BufWriter::new(tempfile::NamedTempFile::new_in(directory).map_err(context)?);
    write(&mut file)?;
    let file = file.into_inner().map_err(|e| context(e.into_error()))?;
    file.persist(path).map_err(|e| context(e.error))?;
    Ok(())
}

/// How a table is drawn: for the terminal that stdout is, or plainly where it is none or goes to a file.
pub fn table_options(top: usize, to_file: bool) -> TableOptions {
    let terminal = !to_file && io::stdout().is_terminal();
    let width = terminal.then(terminal_size::terminal_size).flatten().map_or(100, |(width, _)| width.0);
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    TableOptions { width, colour: terminal && !no_color, top }
}
