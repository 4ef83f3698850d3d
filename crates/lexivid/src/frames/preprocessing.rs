//! How a frame becomes the pixels that a model was trained on.

use candle_core::{Device, Tensor};
use image::RgbImage;
use serde_json::Value;

/// One way of cutting the model's input out of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum View {
    /// Resize the shorter side to `shortest_edge`, aspect ratio kept, then crop the centre (filled up with black where
    /// the resized frame is smaller than the crop). CLIP.
    CentreCrop {
        /// Length of the shorter side after the resize, in pixels.
        shortest_edge: u32,
    },
    /// The same resize, and no crop, so that the view has the frame's own shape; but of the longer side no more than the middle
    /// `longest_edge` pixels. For networks that take pictures of any shape: I3D.
    Whole {
        /// Length of the shorter side after the resize, in pixels.
        shortest_edge: u32,
        /// Greatest length of the longer side, in pixels.
        longest_edge: u32,
    },
    /// Resize the whole frame to the input size, aspect ratio not kept. SigLIP; the starter's second view.
    Stretch,
}

/// What a model wants done to a frame, from `preprocessor_config.json` or the model's own constants.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Preprocessing {
    /// Input height and width in pixels, of all views but [`View::Whole`].
    pub size: (u32, u32),
    /// The views taken of every frame, at least one.
    pub views: Vec<View>,
    /// Interpolation of the resize.
    pub filter: Filter,
    /// Channel means, RGB, on the 0..1 scale.
    pub mean: [f32; 3],
    /// Channel standard deviations, RGB, on the 0..1 scale.
    pub std: [f32; 3],
}

/// Interpolation, by Pillow's names; all are antialiased as Pillow does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Filter {
    /// Pillow's BILINEAR.
    Bilinear,
    /// Pillow's BICUBIC (a = -0.5).
    Bicubic,
    /// Pillow's LANCZOS.
    Lanczos,
}

/// The pixels of one frame as a model takes them, not normalised yet (8 bits travel cheaply between threads).
#[derive(Debug, Clone, PartialEq)]
pub struct FramePixels {
    /// Presentation time in seconds from the video's first frame.
    pub time: f64,
    /// One picture a view.
    pub views: Vec<RgbImage>,
}

/// Why a `preprocessor_config.json` is not usable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PreprocessingError {
    /// Not JSON, or not an object.
    #[error("preprocessor_config.json: {0}")]
    Json(#[from] serde_json::Error),
    /// A field is missing, or asks for something that is not done here.
    #[error("preprocessor_config.json: {field}: expected {expected}, got {got}")]
    Field {
        /// The field's name.
        field: &'static str,
        /// What it may be.
        expected: &'static str,
        /// What it is, as JSON; "nothing" when it is missing.
        got: String,
    },
}

impl Preprocessing {
    /// From the text of a Hugging Face `preprocessor_config.json` with one fixed input size: CLIP's (shortest edge and
    /// centre crop) or SigLIP's (height and width). Missing fields have the defaults of `CLIPImageProcessor` where it
    /// has some that do not depend on the model.
    ///
    /// # Errors
    /// [`PreprocessingError`] for text that is no JSON, for missing sizes, means or deviations, for a resize without a
    /// fixed result, and for settings that the image towers here do not know (nearest neighbour, no resize,
    /// a scale other than 1/255).
    pub fn from_hf_json(json: &str) -> Result<Self, PreprocessingError> {
        let config: serde_json::Map<String, Value> = serde_json::from_str(json)?;
        let fail = |field: &'static str, expected: &'static str| PreprocessingError::Field {
            field,
            expected,
            got: config.get(field).map_or("nothing".into(), Value::to_string),
        };
        let flag = |field: &'static str, default: bool| match config.get(field) {
            None | Some(Value::Null) => Ok(default),
            Some(Value::Bool(b)) => Ok(*b),
            Some(_) => Err(fail(field, "true or false")),
        };
        let pixels = |v: &Value| v.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| (1..=4096).contains(n));
        let sides = |v: &Value| Some((pixels(&v["height"])?, pixels(&v["width"])?));
        let field = |name: &str| config.get(name).unwrap_or(&Value::Null);

        if !flag("do_resize", true)? {
            return Err(fail("do_resize", "true"));
        }
        let size = field("size");
        let crop = match flag("do_center_crop", config.contains_key("crop_size"))? {
            true => {
                let crop = field("crop_size");
                let crop = pixels(crop).map(|n| (n, n)).or_else(|| sides(crop));
                Some(crop.ok_or_else(|| fail("crop_size", "a number or height and width, 1 to 4096"))?)
            }
            false => None,
        };
        let edge = pixels(&size["shortest_edge"]);
        let (size, view) = match (crop, edge.or(pixels(size)), sides(size)) {
            (Some(crop), Some(shortest_edge), _) => (crop, View::CentreCrop { shortest_edge }),
            (None, None, Some(size)) => (size, View::Stretch),
            (Some(crop), None, Some(size)) if crop == size => (size, View::Stretch),
            // SigLIP's first configurations have a plain number: the square.
            (None, Some(side), _) if edge.is_none() => ((side, side), View::Stretch),
            _ => return Err(fail("size", "shortest_edge with a centre crop, or height and width without, 1 to 4096")),
        };
        // Numbers of PIL.Image.Resampling.
        let filter = match field("resample").as_u64() {
            Some(1) => Filter::Lanczos,
            Some(2) => Filter::Bilinear,
            Some(3) => Filter::Bicubic,
            None if field("resample").is_null() => Filter::Bicubic,
            _ => return Err(fail("resample", "1 (Lanczos), 2 (bilinear) or 3 (bicubic)")),
        };
        let scale = field("rescale_factor").as_f64().unwrap_or(1.0 / 255.0);
        if !flag("do_rescale", true)? || (scale * 255.0 - 1.0).abs() > 1e-6 {
            return Err(fail("rescale_factor", "1/255, with do_rescale"));
        }
        let channels = |name: &'static str, usable: fn(f64) -> bool| {
            let values: Vec<f64> = field(name).as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
            match values[..] {
                [r, g, b] if values.iter().all(|v| usable(*v)) => Ok([r as f32, g as f32, b as f32]),
                _ => Err(fail(name, "three numbers (deviations above 0)")),
            }
        };
        let (mean, std) = match flag("do_normalize", true)? {
            true => (channels("image_mean", |_| true)?, channels("image_std", |v| v > 0.0)?),
            false => ([0.0; 3], [1.0; 3]),
        };
        Ok(Self { size, views: vec![view], filter, mean, std })
    }

    /// Frames -> `[B, V, 3, H, W]`, f32: `(x / 255 - mean) / std`, for B frames with V views each.
    ///
    /// # Errors
    /// When a frame's views are not V pictures of H x W, or the device fails.
    pub fn normalise(&self, frames: &[FramePixels], device: &Device) -> candle_core::Result<Tensor> {
        let _span = tracing::debug_span!("normalise").entered();
        let (height, width) = (self.size.0 as usize, self.size.1 as usize);
        let area = height * width;
        let mut values = vec![0f32; frames.len() * self.views.len() * 3 * area];
        let mut planes = values.chunks_exact_mut((3 * area).max(1));
        for frame in frames {
            if frame.views.len() != self.views.len()
                || frame.views.iter().any(|v| v.dimensions() != (self.size.1, self.size.0))
            {
                let got: Vec<(u32, u32)> = frame.views.iter().map(RgbImage::dimensions).collect();
                candle_core::bail!("expected {} views of {width} x {height}, got {got:?}", self.views.len());
            }
            for (view, planes) in frame.views.iter().zip(&mut planes) {
                // view [H, W, 3] -> planes [3, H, W]
                for (c, plane) in planes.chunks_exact_mut(area).enumerate() {
                    for (value, pixel) in plane.iter_mut().zip(view.chunks_exact(3)) {
                        *value = (f32::from(pixel[c]) / 255.0 - self.mean[c]) / self.std[c];
                    }
                }
            }
        }
        Tensor::from_vec(values, (frames.len(), self.views.len(), 3, height, width), device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIP: &str = r#"{"crop_size": 224, "do_center_crop": true, "do_normalize": true, "do_resize": true,
        "feature_extractor_type": "CLIPFeatureExtractor", "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711], "resample": 3, "size": 224}"#;

    #[test]
    fn clip() {
        let clip = Preprocessing::from_hf_json(CLIP).unwrap();
        assert_eq!((clip.size, clip.filter), ((224, 224), Filter::Bicubic));
        assert_eq!(clip.views, [View::CentreCrop { shortest_edge: 224 }]);
        assert_eq!(clip.mean[0], 0.481_454_66);
        let newer = CLIP
            .replace(r#""crop_size": 224"#, r#""crop_size": {"height": 224, "width": 224}"#)
            .replace(r#""size": 224"#, r#""size": {"shortest_edge": 224}, "rescale_factor": 0.00392156862745098"#);
        assert_eq!(Preprocessing::from_hf_json(&newer).unwrap(), clip);
    }

    #[test]
    fn siglip() {
        let siglip = r#"{"do_normalize": true, "do_rescale": true, "do_resize": true, "resample": 2,
            "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "size": {"height": 256, "width": 384}}"#;
        let siglip = Preprocessing::from_hf_json(siglip).unwrap();
        assert_eq!((siglip.size, siglip.views, siglip.filter), ((256, 384), vec![View::Stretch], Filter::Bilinear));
    }

    #[test]
    fn what_is_not_done_is_refused() {
        for (from, to, field) in [
            (r#""resample": 3"#, r#""resample": 0"#, "resample"),
            (r#""size": 224"#, r#""size": 0"#, "size"),
            (r#""size": 224"#, r#""size": {"longest_edge": 3}"#, "size"),
            (r#""do_center_crop": true"#, r#""do_center_crop": 1"#, "do_center_crop"),
            (r#""crop_size": 224,"#, "", "crop_size"),
            (r#""do_resize": true"#, r#""do_resize": false"#, "do_resize"),
            (r#""size": 224"#, r#""size": 224, "rescale_factor": 1.0"#, "rescale_factor"),
            ("0.26862954, ", "", "image_std"),
            ("0.26862954", "0", "image_std"),
        ] {
            match Preprocessing::from_hf_json(&CLIP.replace(from, to)) {
                Err(PreprocessingError::Field { field: f, .. }) => assert_eq!(f, field),
                other => panic!("{to}: {other:?}"),
            }
        }
        assert!(matches!(Preprocessing::from_hf_json("[1]"), Err(PreprocessingError::Json(_))));
    }

    #[test]
    fn normalised_channels_come_first() {
        let preprocessing = Preprocessing {
            size: (1, 2),
            views: vec![View::Stretch],
            filter: Filter::Bicubic,
            mean: [0.0, 0.5, 1.0],
            std: [1.0, 0.5, 1.0],
        };
        let frame =
            FramePixels { time: 0.0, views: vec![RgbImage::from_raw(2, 1, vec![255, 255, 255, 0, 0, 0]).unwrap()] };
        let tensor = preprocessing.normalise(&[frame.clone(), frame], &Device::Cpu).unwrap();
        assert_eq!(tensor.dims(), [2, 1, 3, 1, 2]);
        assert_eq!(tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap()[..6], [1.0, 0.0, 1.0, -1.0, 0.0, -1.0]);
        let short = FramePixels { time: 0.0, views: vec![RgbImage::new(1, 1)] };
        assert!(preprocessing.normalise(&[short], &Device::Cpu).unwrap_err().to_string().contains("got [(1, 1)]"));
    }
}
