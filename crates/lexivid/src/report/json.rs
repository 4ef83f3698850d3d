//! One JSON document for a whole run.

use super::{Outcome, ReportError};
use std::io::Write;

/// Writes all outcomes as one indented JSON array, also when there is only one: a program that reads it need not care
/// how many videos were given.
pub fn write(mut out: impl Write, outcomes: &[Outcome]) -> Result<(), ReportError> {
    serde_json::to_writer_pretty(&mut out, outcomes)?;
    writeln!(out)?;
    out.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn reads_back_as_it_was() {
        let outcomes = fixture::outcomes();
        let mut out = Vec::new();
        write(&mut out, &outcomes).unwrap();
        assert_eq!(serde_json::from_slice::<Vec<Outcome>>(&out).unwrap(), outcomes);
    }

    #[test]
    fn a_failed_video_is_path_and_error() {
        let mut out = Vec::new();
        write(&mut out, &fixture::outcomes()[1..]).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value, serde_json::json!([{"path": "broken.mp4", "error": "no video stream"}]));
    }

    #[test]
    fn nothing_is_an_empty_array() {
        let mut out = Vec::new();
        write(&mut out, &[]).unwrap();
        assert_eq!(out, b"[]\n");
    }
}
