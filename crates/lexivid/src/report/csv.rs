//! CSV: one row for every video and label.

use super::{Outcome, ReportError};
use crate::{label::Kind, label_embedding::Confidence};
use serde::Serialize;
use std::io::Write;

/// One row. Times are in seconds; lists are separated by `;`.
#[derive(Serialize, Default)]
struct Row<'a> {
    path: &'a str,
    label: &'a str,
    kind: Option<Kind>,
    probability: Option<f32>,
    threshold: Option<f32>,
    present: Option<bool>,
    confidence: &'a str,
    spans: String,
    best_frame_times: String,
    error: &'a str,
}

/// Writes a header and one row a video and label. A video that failed has one row, with only `path` and `error`.
pub fn write(out: impl Write, outcomes: &[Outcome]) -> Result<(), ReportError> {
    let mut csv = ::csv::WriterBuilder::new().has_headers(false).from_writer(out);
    // Written by hand: there is a header even when there are no rows.
    csv.write_record([
        "path",
        "label",
        "kind",
        "probability",
        "threshold",
        "present",
        "confidence",
        "spans",
        "best_frame_times",
        "error",
    ])?;
    for outcome in outcomes {
        match outcome {
            Outcome::Done(classification) => {
                for label in &classification.labels {
                    csv.serialize(Row {
                        path: &classification.path,
                        label: &label.label,
                        kind: label.kind,
                        probability: Some(label.probability),
                        threshold: Some(label.threshold),
                        present: Some(label.present),
                        confidence: match label.confidence {
                            Confidence::Usual => "usual",
                            Confidence::Low { .. } => "low",
                        },
                        spans: join(label.spans.iter().map(|s| format!("{}-{}", seconds(s.start), seconds(s.end)))),
                        best_frame_times: join(label.best_frames.iter().map(|f| seconds(f.time).to_string())),
                        error: "",
                    })?;
                }
            }
            Outcome::Failed { path, error } => csv.serialize(Row { path, error, ..Row::default() })?,
        }
    }
    csv.flush()?;
    Ok(())
}

fn join(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(";")
}

/// To the millisecond, without the digits that binary fractions drag along.
fn seconds(time: f64) -> f64 {
    (time * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    fn text(outcomes: &[Outcome]) -> String {
        let mut out = Vec::new();
        write(&mut out, outcomes).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn one_row_a_video_and_label() {
        assert_eq!(
            text(&fixture::outcomes()),
            "path,label,kind,probability,threshold,present,confidence,spans,best_frame_times,error\n\
             clips/bikes.mp4,riding a bike,action,0.93,0.5,true,usual,0-8;12.5-20,3.2;14.04,\n\
             clips/bikes.mp4,\"a \"\"quoted\"\", label\",,0.41,0.4,true,low,4-12,6,\n\
             clips/bikes.mp4,toucan,entity,0.02,0.5,false,usual,,,\n\
             broken.mp4,,,,,,,,,no video stream\n"
        );
    }

    #[test]
    fn a_header_also_when_there_is_nothing() {
        assert_eq!(
            text(&[]),
            "path,label,kind,probability,threshold,present,confidence,spans,best_frame_times,error\n"
        );
    }

    #[test]
    fn a_label_with_commas_quotes_and_lines_reads_back() {
        let mut outcomes = fixture::outcomes();
        let nasty = "a,\"b\"\nc;d";
        let Outcome::Done(classification) = &mut outcomes[0] else { panic!("the first outcome is done") };
        classification.labels[0].label = nasty.into();
        let text = text(&outcomes);
        let first = ::csv::Reader::from_reader(text.as_bytes()).records().next().unwrap().unwrap();
        assert_eq!(&first[1], nasty);
    }
}
