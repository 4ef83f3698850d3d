//! A made-up run that the tests of this room share.

use super::Outcome;
use crate::{
    decisions::{Classification, Evidence, LabelResult, LabelSpan, ModelSummary, Settings, Span},
    label::Kind,
    label_embedding::{Confidence, Origin},
    video::VideoInfo,
};

/// One video that was classified, and one that could not be.
pub(super) fn outcomes() -> Vec<Outcome> {
    vec![
        Outcome::Done(Box::new(classification())),
        Outcome::Failed { path: "broken.mp4".into(), error: "no video stream".into() },
    ]
}

/// 20 s in four windows; a label from the text tower, one that was inferred with low confidence, one without a timeline.
pub(super) fn classification() -> Classification {
    Classification {
        path: "clips/bikes.mp4".into(),
        video: VideoInfo {
            container: "mov,mp4,m4a,3gp,3g2,mj2".into(),
            codec: "h264".into(),
            width: 640,
            height: 272,
            rotation: 0,
            duration: 20.0,
            frame_rate: Some(25.0),
        },
        model: ModelSummary { name: "starter".into(), fingerprint: "0123456789abcdef".into(), card: String::new() },
        settings: Settings {
            window: Some(8.0),
            hop: Some(4.0),
            frames_per_window: 8,
            pool: "max".into(),
            threshold: 0.5,
            shots: true,
            dedup: true,
        },
        windows: [0.0, 4.0, 8.0, 12.0].map(|start| Span { start, end: start + 8.0 }).to_vec(),
        frames_used: 32,
        frames_reused: 5,
        clips_used: 0,
        labels: vec![
            LabelResult {
                label: "riding a bike".into(),
                kind: Some(Kind::Action),
                probability: 0.93,
                threshold: 0.5,
                present: true,
                spans: vec![
                    LabelSpan { start: 0.0, end: 8.0, peak: 0.93 },
                    LabelSpan { start: 12.5, end: 20.0, peak: 0.7 },
                ],
                best_frames: vec![
                    Evidence { time: 3.2, probability: 0.95 },
                    Evidence { time: 14.04, probability: 0.72 },
                ],
                timeline: vec![0.93, 0.3, 0.2, 0.7],
                confidence: Confidence::Usual,
                origin: Origin::TextTower,
            },
            LabelResult {
                label: "a \"quoted\", label".into(),
                kind: None,
                probability: 0.41,
                threshold: 0.4,
                present: true,
                spans: vec![LabelSpan { start: 4.0, end: 12.0, peak: 0.41 }],
                best_frames: vec![Evidence { time: 6.0, probability: 0.44 }],
                timeline: vec![0.1, 0.41, 0.2, 0.1],
                confidence: Confidence::Low { reason: "no near anchor".into() },
                origin: Origin::Inferred { nearest: "bicycle".into(), similarity: 0.42 },
            },
            LabelResult {
                label: "toucan".into(),
                kind: Some(Kind::Entity),
                probability: 0.02,
                threshold: 0.5,
                present: false,
                spans: vec![],
                best_frames: vec![],
                timeline: vec![],
                confidence: Confidence::Usual,
                origin: Origin::KnownClass { class: "toucan".into() },
            },
        ],
        warnings: vec!["3 of 500 frames could not be decoded".into()],
    }
}
