//! One self-contained HTML file: the video's strip of frames, a heat map labels × time, the best frames, the settings
//! and the model card. It needs no network; its content security policy forbids one.

mod axis;
mod card;
mod heatmap;
mod page;
mod stills;

pub(crate) use page::{STYLE, sha256_base64};

use super::ReportError;
use crate::decisions::Classification;
use askama::Template;
use std::{collections::BTreeMap, io::Write, path::Path};

/// How many stills a strip is laid out for; evenly spaced over the video they look best.
pub const STRIP_STILLS: usize = 12;

/// How many labels of a video get a row of the heat map; the rest can be found by their name, with their probability.
pub const MAX_ROWS: usize = 300;

/// Everything that one page shows.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// The videos that were classified, in the order shown.
    pub videos: &'a [VideoPage<'a>],
    /// The videos that could not be: path and reason.
    pub failed: &'a [(String, String)],
}

/// One video with its pictures.
#[derive(Debug, Clone)]
pub struct VideoPage<'a> {
    /// What was found.
    pub classification: &'a Classification,
    /// Frames in order of time, about [`STRIP_STILLS`] of them.
    pub strip: Vec<Still>,
    /// For an index into `classification.labels`: the label's best frames.
    pub evidence: BTreeMap<usize, Vec<Still>>,
}

/// A picture out of a video.
#[derive(Debug, Clone, PartialEq)]
pub struct Still {
    /// Presentation time in seconds; for evidence, that of its [`crate::decisions::Evidence`].
    pub time: f64,
    /// The encoded picture. 320 pixels of width are plenty.
    pub jpeg: Vec<u8>,
}

/// The page as text.
pub fn render(report: &Report) -> Result<String, ReportError> {
    Ok(page::Page::new(report).render()?)
}

/// Writes the page to `path`. The file appears whole or not at all: it is written beside its place, then renamed.
pub fn write(path: &Path, report: &Report) -> Result<(), ReportError> {
    write_page(path, &render(report)?)
}

/// Writes any page, likewise.
pub(crate) fn write_page(path: &Path, html: &str) -> Result<(), ReportError> {
    let mut file = crate::atomic::File::create(path)?;
    file.write_all(html.as_bytes())?;
    file.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    fn page(classification: &Classification) -> String {
        let still = |time| Still { time, jpeg: vec![0xff, 0xd8, 0xff, 0xd9] };
        let video = VideoPage {
            classification,
            strip: vec![still(5.0), still(15.0)],
            evidence: BTreeMap::from([(0, vec![still(3.2), still(14.04)])]),
        };
        render(&Report { videos: &[video], failed: &[("broken <b>.mp4".into(), "no \"video\" stream".into())] })
            .unwrap()
    }

    #[test]
    fn strings_are_escaped() {
        let mut classification = fixture::classification();
        let nasty = "<script>alert(1)</script>\"'&";
        classification.path = nasty.into();
        classification.warnings = vec![nasty.into()];
        classification.model.name = nasty.into();
        classification.model.card = nasty.into();
        classification.settings.pool = nasty.into();
        for label in &mut classification.labels {
            label.label = nasty.into();
        }
        classification.labels[1].confidence = crate::label_embedding::Confidence::Low { reason: nasty.into() };
        classification.labels[1].origin =
            crate::label_embedding::Origin::Inferred { nearest: nasty.into(), similarity: 0.5 };
        let html = page(&classification);
        assert!(!html.contains("<script>alert"), "{html}");
        assert!(!html.contains("broken <b>"), "{html}");
        // The page's own script is the only one.
        assert_eq!(html.matches("<script").count(), 1);
    }

    #[test]
    fn shows_evidence_with_its_own_probability() {
        let html = page(&fixture::classification());
        assert!(html.contains("0:03.2 · 0.95"), "{html}");
        assert!(html.contains("0:14 · 0.72"), "{html}");
    }

    #[test]
    fn labels_beyond_the_rows_are_kept_by_name() {
        let mut classification = fixture::classification();
        let label = classification.labels[2].clone();
        classification.labels = (0..MAX_ROWS + 5)
            .map(|i| crate::decisions::LabelResult { label: format!("label {i:04}"), ..label.clone() })
            .collect();
        // Present, though the least probable: its threshold is its own.
        classification.labels.last_mut().unwrap().present = true;
        let html = page(&classification);
        assert_eq!(html.matches("<li class=\"row").count(), MAX_ROWS);
        assert!(html.contains(&format!("data-name=\"label {:04}\"", MAX_ROWS + 4)), "a present label has a row");
        assert!(!html.contains(&format!("data-name=\"label {:04}\"", MAX_ROWS + 3)));
        assert!(html.contains(&format!("label {:04}", MAX_ROWS + 3)), "every label is in the file");
    }

    #[test]
    fn empty_and_degenerate_input_renders() {
        render(&Report { videos: &[], failed: &[] }).unwrap();
        let mut classification = fixture::classification();
        classification.video.duration = 0.0;
        classification.windows.clear();
        classification.labels[0].probability = f32::NAN;
        page(&classification);
        classification.labels.clear();
        page(&classification);
    }

    #[test]
    fn writes_whole_files_that_others_may_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report.html");
        std::fs::write(&path, "old").unwrap();
        write(&path, &Report { videos: &[], failed: &[] }).unwrap();
        assert!(std::fs::read_to_string(&path).unwrap().ends_with("</html>"));
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 1, "no temporary file is left");
        #[cfg(unix)]
        {
            // Same rights as a file that is written the ordinary way.
            let ordinary = directory.path().join("ordinary");
            std::fs::write(&ordinary, "").unwrap();
            let mode = |p: &Path| std::os::unix::fs::PermissionsExt::mode(&p.metadata().unwrap().permissions());
            assert_eq!(mode(&path), mode(&ordinary));
        }
    }

    #[test]
    fn a_missing_directory_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("no/such/report.html");
        assert!(matches!(write(&path, &Report { videos: &[], failed: &[] }), Err(ReportError::Io(_))));
    }
}
