//! The pictures of a page, taken out of the video once more when everything is decided: keeping them while the video is
//! looked at would cost memory for frames that nobody is shown.

use super::{STRIP_STILLS, Still, VideoPage};
use crate::{decisions::Classification, frames, report::ReportError, video::DecodeOptions};
use image::{ImageEncoder, RgbImage, codecs::jpeg::JpegEncoder};
use std::{collections::BTreeMap, path::Path};

/// Longer side of a still in pixels.
const SIDE: u32 = 320;

/// Labels that get their best frames shown: the present ones, and at least as many as this.
const SHOWN_LABELS: usize = 6;

/// Labels beyond this get none, however many are present: the page would grow without end.
const MOST_SHOWN_LABELS: usize = 40;

impl<'a> VideoPage<'a> {
    /// Takes the strip and the best frames of the labels worth showing out of the video.
    ///
    /// # Errors
    /// [`ReportError::Video`] when the video can no longer be read.
    pub fn with_stills(classification: &'a Classification, options: &DecodeOptions) -> Result<Self, ReportError> {
        let duration = classification.video.duration;
        let count = STRIP_STILLS.min(classification.frames_used.max(1));
        let strip: Vec<f64> = (0..count).map(|i| (i as f64 + 0.5) * duration / count as f64).collect();
        let present = classification.labels.iter().filter(|label| label.present).count();
        // Labels come most probable first, but a label with a threshold of its own may be present further down.
        let mut shown: Vec<usize> = (0..classification.labels.len()).collect();
        shown.sort_by_key(|&i| !classification.labels[i].present);
        shown.truncate(present.clamp(SHOWN_LABELS, MOST_SHOWN_LABELS));

        let evidence: Vec<(usize, f64)> = shown
            .iter()
            .flat_map(|&i| classification.labels[i].best_frames.iter().map(move |frame| (i, frame.time)))
            .collect();
        let times: Vec<f64> = strip.iter().copied().chain(evidence.iter().map(|(_, time)| *time)).collect();
        let pictures = frames::stills(Path::new(&classification.path), options, &times, SIDE)?;
        let mut stills = times
            .iter()
            .zip(pictures)
            .map(|(&time, picture)| Ok(Still { time, jpeg: jpeg(&picture)? }))
            .collect::<Result<Vec<_>, ReportError>>()?;
        let mut of_label: BTreeMap<usize, Vec<Still>> = BTreeMap::new();
        for ((label, _), still) in evidence.iter().zip(stills.drain(count..)) {
            of_label.entry(*label).or_default().push(still);
        }
        Ok(Self { classification, strip: stills, evidence: of_label })
    }
}

fn jpeg(picture: &RgbImage) -> Result<Vec<u8>, ReportError> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 82).write_image(
        picture,
        picture.width(),
        picture.height(),
        image::ExtendedColorType::Rgb8,
    )?;
    Ok(bytes)
}
