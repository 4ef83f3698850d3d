//! `preprocessor_config.json` -> what is done to a frame.

use super::config::{DualEncoderConfig, Family};
use crate::frames::{Filter, Preprocessing, View};
use serde::Deserialize;

#[derive(Deserialize, Default)]
struct PreprocessorFile {
    size: Option<Size>,
    do_center_crop: Option<bool>,
    resample: Option<u32>,
    image_mean: Option<[f32; 3]>,
    image_std: Option<[f32; 3]>,
}

/// `224`, `{"shortest_edge": 224}` or `{"height": 224, "width": 224}`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Size {
    Side(u32),
    ShortestEdge { shortest_edge: u32 },
    Box { height: u32, width: u32 },
}

/// Reads the text of a `preprocessor_config.json`. What it leaves out has the family's default in transformers; the
/// size of the input is the tower's own.
///
/// # Errors
/// What was expected and what was found, in words.
pub(super) fn parse(json: &str, config: &DualEncoderConfig) -> Result<Preprocessing, String> {
    let file: PreprocessorFile = serde_json::from_str(json).map_err(|e| e.to_string())?;
    let side = u32::try_from(config.vision.image_size).map_err(|e| e.to_string())?;
    let filter = match (file.resample, config.family) {
        (Some(1), _) => Filter::Lanczos,
        (Some(2), _) | (None, Family::Siglip2) => Filter::Bilinear,
        (Some(3), _) | (None, Family::Clip | Family::Siglip) => Filter::Bicubic,
        (Some(other), _) => return Err(format!("expected resample 1, 2 or 3, got {other}")),
    };
    let view = match (config.family, file.size) {
        (Family::Clip, Some(Size::Box { height, width })) if (height, width) == (side, side) => View::Stretch,
        (Family::Clip, None) => View::CentreCrop { shortest_edge: side },
        (Family::Clip, Some(Size::Side(edge) | Size::ShortestEdge { shortest_edge: edge })) => {
            if edge < side || (file.do_center_crop == Some(false)) {
                return Err(format!(
                    "expected a centre crop of {side} from a shorter side of at least that, got {edge}"
                ));
            }
            View::CentreCrop { shortest_edge: edge }
        }
        (Family::Siglip | Family::Siglip2, None) => View::Stretch,
        (Family::Siglip, Some(Size::Box { height, width })) if (height, width) == (side, side) => View::Stretch,
        // NaFlex files give a number of patches; whatever size they mention is not used by their processor.
        (Family::Siglip2, Some(_)) => View::Stretch,
        (_, Some(Size::Side(width) | Size::ShortestEdge { shortest_edge: width } | Size::Box { width, .. })) => {
            return Err(format!("expected a size of {side} x {side}, got {width}"));
        }
    };
    let (mean, std) = match config.family {
        // OPENAI_CLIP_MEAN and OPENAI_CLIP_STD of transformers.
        Family::Clip => ([0.481_454_66, 0.457_827_5, 0.408_210_73], [0.268_629_54, 0.261_302_58, 0.275_777_1]),
        Family::Siglip | Family::Siglip2 => ([0.5; 3], [0.5; 3]),
    };
    Ok(Preprocessing {
        size: (side, side),
        views: vec![view],
        filter,
        mean: file.image_mean.unwrap_or(mean),
        std: file.image_std.unwrap_or(std),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(json: &str) -> DualEncoderConfig {
        DualEncoderConfig::parse(json).unwrap()
    }

    #[test]
    fn clip_crops_the_centre() {
        let clip = config(r#"{"model_type": "clip"}"#);
        let json = r#"{"crop_size": 224, "do_center_crop": true, "size": 224, "resample": 3,
            "image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25]}"#;
        let preprocessing = parse(json, &clip).unwrap();
        assert_eq!(preprocessing.views, [View::CentreCrop { shortest_edge: 224 }]);
        assert_eq!((preprocessing.size, preprocessing.filter), ((224, 224), Filter::Bicubic));
        assert_eq!((preprocessing.mean, preprocessing.std), ([0.5; 3], [0.25; 3]));
        let larger = parse(r#"{"size": {"shortest_edge": 256}}"#, &clip).unwrap();
        assert_eq!(larger.views, [View::CentreCrop { shortest_edge: 256 }]);
        assert_eq!(larger.mean[0], 0.481_454_66);
    }

    #[test]
    fn siglip_stretches() {
        let siglip = config(r#"{"model_type": "siglip"}"#);
        let preprocessing = parse(r#"{"size": {"height": 224, "width": 224}, "resample": 2}"#, &siglip).unwrap();
        assert_eq!((preprocessing.views, preprocessing.filter), (vec![View::Stretch], Filter::Bilinear));
    }

    #[test]
    fn sizes_that_do_not_fit_the_tower_are_refused() {
        let clip = config(r#"{"model_type": "clip"}"#);
        let siglip = config(r#"{"model_type": "siglip"}"#);
        assert!(parse(r#"{"size": {"shortest_edge": 100}}"#, &clip).unwrap_err().contains("got 100"));
        assert!(parse(r#"{"size": {"height": 384, "width": 384}}"#, &siglip).unwrap_err().contains("got 384"));
        assert!(parse(r#"{"resample": 9}"#, &clip).unwrap_err().contains("got 9"));
    }
}
