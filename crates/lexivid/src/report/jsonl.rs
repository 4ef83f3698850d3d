//! JSON lines: one line a video, written as soon as the video is done.

use super::{Outcome, ReportError};
use std::io::Write;

/// Writes one outcome as one line and flushes it, so that a reader at the other end of a pipe sees it at once.
pub fn write(mut out: impl Write, outcome: &Outcome) -> Result<(), ReportError> {
    serde_json::to_writer(&mut out, outcome)?;
    writeln!(out)?;
    out.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn one_line_a_video() {
        let outcomes = fixture::outcomes();
        let mut out = Vec::new();
        for outcome in &outcomes {
            write(&mut out, outcome).unwrap();
        }
        let text = String::from_utf8(out).unwrap();
        let back: Vec<Outcome> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(back, outcomes);
    }
}
