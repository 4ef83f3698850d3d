//! The table that a person reads in a terminal.

use super::{
    Outcome, ReportError,
    clock::{self, Precision, clock},
};
use crate::{
    decisions::{Classification, LabelResult},
    label_embedding::{Confidence, Origin},
};
use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, LineStyle, Table, TableStyle};
use std::{borrow::Cow, io::Write};

/// How the table is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableOptions {
    /// Width of the terminal in columns.
    pub width: u16,
    /// Whether ANSI colours may be used.
    pub colour: bool,
    /// How many labels of each video are shown.
    pub top: usize,
}

/// How many spans of one label are written out.
const SPANS: usize = 2;
/// Columns of the probability's bar.
const BAR: usize = 10;
/// Terminals narrower than this get no bars and no notes.
const NARROW: u16 = 72;

/// Writes one table a video, in the order given: labels most probable first. Warnings are not part of it: they belong
/// on stderr.
pub fn write(mut out: impl Write, outcomes: &[Outcome], options: TableOptions) -> Result<(), ReportError> {
    for (i, outcome) in outcomes.iter().enumerate() {
        if i > 0 {
            writeln!(out)?;
        }
        match outcome {
            Outcome::Done(classification) => write_video(&mut out, classification, options)?,
            Outcome::Failed { path, error } => {
                writeln!(out, "{}: failed: {}", printable(path), printable(error))?;
            }
        }
    }
    out.flush()?;
    Ok(())
}

fn write_video(out: &mut impl Write, c: &Classification, options: TableOptions) -> Result<(), ReportError> {
    let precision = Precision::of(c.video.duration);
    writeln!(
        out,
        "{}  {} · {}×{} · {} · {}{}{}",
        printable(&c.path),
        clock(c.video.duration, precision),
        c.video.width,
        c.video.height,
        count(c.windows.len(), "window"),
        count(c.frames_used, "frame"),
        match c.frames_reused {
            0 => String::new(),
            reused => format!(", {reused} of them repeats"),
        },
        match c.clips_used {
            0 => String::new(),
            clips => format!(" · {}", count(clips, "clip")),
        },
    )?;
    if c.labels.is_empty() {
        writeln!(out, "no labels")?;
        return Ok(());
    }

    let (shown, hidden) = c.labels.split_at(options.top.min(c.labels.len()));
    if !shown.is_empty() {
        writeln!(out, "{}", table(shown, precision, options).trim_fmt())?;
    }
    if let Some(highest) = hidden.iter().map(|l| l.probability).reduce(f32::max) {
        // Rounded up, so that no hidden label is above what is said.
        let limit = (highest * 100.0).ceil() / 100.0;
        write!(out, "… {} at {limit:.2} or below", count(hidden.len(), "more label"))?;
        match hidden.iter().filter(|l| l.present).count() {
            0 => writeln!(out)?,
            present => writeln!(out, ", {present} of them present")?,
        }
    }
    Ok(())
}

fn table(labels: &[LabelResult], precision: Precision, options: TableOptions) -> Table {
    let wide = options.width >= NARROW;
    let noted = wide && labels.iter().any(|l| note(l).is_some());

    let mut table = Table::new();
    // The caller decides on width and colour; the library does not look at the terminal.
    table.force_no_tty().set_width(options.width).set_content_arrangement(ContentArrangement::Dynamic);
    table.load_style(TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─')));
    if options.colour {
        table.enforce_styling();
    }
    let mut header = vec!["", "label", "probability", "when", "best frame"];
    if noted {
        header.push("note");
    }
    table.set_header(header);

    for label in labels {
        let (mark, colour) = if label.present { ("✓", Color::Green) } else { ("·", Color::DarkGrey) };
        let probability = if wide {
            format!("{:.2} {}", label.probability, bar(label.probability))
        } else {
            format!("{:.2}", label.probability)
        };
        let best = label.best_frames.first().map(|f| clock(f.time, precision)).unwrap_or_default();
        let name = Cell::new(printable(&label.label));
        let mut row = vec![
            Cell::new(mark).fg(colour),
            if label.present { name.add_attribute(Attribute::Bold) } else { name },
            Cell::new(probability).fg(colour),
            Cell::new(spans(label, precision)),
            Cell::new(best).set_alignment(CellAlignment::Right),
        ];
        if noted {
            row.push(Cell::new(note(label).unwrap_or_default()).fg(Color::DarkGrey));
        }
        table.add_row(row);
    }
    table
}

/// A bar of [`BAR`] columns, to an eighth of a column.
fn bar(probability: f32) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (probability.clamp(0.0, 1.0) * (BAR * 8) as f32).round() as usize;
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

fn spans(label: &LabelResult, precision: Precision) -> String {
    let mut text: Vec<String> =
        label.spans.iter().take(SPANS).map(|s| clock::span(s.start, s.end, precision)).collect();
    if label.spans.len() > SPANS {
        // No break inside.
        text.push(format!("+{}\u{a0}more", label.spans.len() - SPANS));
    }
    text.join(", ")
}

/// Said only where a reader should trust the probability less.
fn note(label: &LabelResult) -> Option<&'static str> {
    match (&label.confidence, &label.origin) {
        (Confidence::Low { .. }, _) => Some("low confidence"),
        (Confidence::Usual, Origin::Inferred { .. }) => Some("inferred"),
        (Confidence::Usual, Origin::TextTower | Origin::KnownClass { .. }) => None,
    }
}

fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// Names come from files and users: a control character in one must not reach the terminal.
fn printable(text: &str) -> Cow<'_, str> {
    if text.contains(char::is_control) {
        Cow::Owned(text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect())
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    fn text(outcomes: &[Outcome], options: TableOptions) -> String {
        let mut out = Vec::new();
        write(&mut out, outcomes, options).unwrap();
        String::from_utf8(out).unwrap()
    }

    const PLAIN: TableOptions = TableOptions { width: 100, colour: false, top: 20 };

    #[test]
    fn wide_terminal() {
        let expected = "\
clips/bikes.mp4  0:20 · 640×272 · 4 windows · 32 frames, 5 of them repeats
     label               probability       when                     best frame   note
────────────────────────────────────────────────────────────────────────────────────────────────
 ✓   riding a bike       0.93 █████████▎   0:00–0:08, 0:12.5–0:20       0:03.2
 ✓   a \"quoted\", label   0.41 ████▏        0:04–0:12                      0:06   low confidence
 ·   toucan              0.02 ▎

broken.mp4: failed: no video stream
";
        assert_eq!(text(&fixture::outcomes(), PLAIN), expected);
    }

    #[test]
    fn narrow_terminal_and_top() {
        let expected = "\
clips/bikes.mp4  0:20 · 640×272 · 4 windows · 32 frames, 5 of them repeats
     label      probability   when          best frame
───────────────────────────────────────────────────────
 ✓   riding a   0.93          0:00–0:08,        0:03.2
     bike                     0:12.5–0:20
… 2 more labels at 0.41 or below, 1 of them present
";
        assert_eq!(text(&fixture::outcomes()[..1], TableOptions { width: 60, top: 1, ..PLAIN }), expected);
    }

    #[test]
    fn clips_are_counted_where_there_are_any() {
        let mut classification = fixture::classification();
        classification.clips_used = 1;
        let mut written = Vec::new();
        write_video(&mut written, &classification, PLAIN).unwrap();
        let written = String::from_utf8(written).unwrap();
        assert!(written.lines().next().unwrap().ends_with("5 of them repeats · 1 clip"), "{written}");
    }

    #[test]
    fn nothing_to_show() {
        assert_eq!(text(&[], PLAIN), "");
        let mut classification = fixture::classification();
        classification.labels.clear();
        assert!(text(&[Outcome::Done(Box::new(classification))], PLAIN).ends_with("no labels\n"));
    }

    #[test]
    fn colour_only_when_allowed() {
        let outcomes = fixture::outcomes();
        assert!(!text(&outcomes, PLAIN).contains('\u{1b}'));
        assert!(text(&outcomes, TableOptions { colour: true, ..PLAIN }).contains('\u{1b}'));
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let mut classification = fixture::classification();
        classification.path = "a\u{1b}]0;owned\u{7}.mp4".into();
        classification.labels[0].label = "two\nlines\u{1b}[31m".into();
        let text = text(&[Outcome::Done(Box::new(classification))], PLAIN);
        assert!(text.contains("two\u{fffd}lines\u{fffd}[31m"), "{text}");
        assert!(!text.contains(['\u{1b}', '\u{7}']), "{text}");
    }

    #[test]
    fn many_spans_are_counted() {
        let mut classification = fixture::classification();
        classification.labels[0].spans = vec![classification.labels[0].spans[0]; 7];
        assert!(text(&[Outcome::Done(Box::new(classification))], PLAIN).contains("+5\u{a0}more"));
    }
}
