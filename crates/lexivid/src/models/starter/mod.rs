//! The starter: a whole model made of what ships in ordinary packages, for machines without a model hub.
//!
//! Image side EfficientNet-Lite2, motion side I3D, language side SmolLM2-135M, text side kernel regressions and a label encoder from what SmolLM2 and WordNet say of a label to
//! what the other two were trained on. The joint space has a part for images and one for motion. Its card is `MODEL.md`, beside this file and beside the
//! weights. Runs on the CPU.

mod assemble;
mod label_encoder;
mod meaning;
mod names;
mod sources;
mod text_side;
mod wordnet;

pub(super) use assemble::VERSION;
pub use assemble::pull;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use candle_core::{Device, Tensor, safetensors};
use image::RgbImage;
use lexivid_kernels::Precision;
use sha2::{Digest, Sha256};

use self::{
    assemble::{ACTIONS, CARD, LANGUAGE_MODEL, NAMES, TEXT_SIDE, TOWER, WORDS, dictionary},
    label_encoder::LabelEncoder,
    meaning::Dictionary,
    names::{Names, fold},
    text_side::{Sources, TextSide, Thing},
};
use super::{
    About, ClipEncoder, Model, ModelError,
    assembly::{check_version, read_json, read_weights},
    digest::sha256_of,
    manifest::Manifest,
    motion::{self, Motion},
};
use crate::{
    features::{
        ClipFeatures, FrameFeatures,
        efficientnet_lite::{EfficientNetLite, EfficientNetLiteConfig},
        i3d::I3d,
    },
    frames::{Clips, Filter, FramePixels, Preprocessing, View},
    label::{Kind, Label},
    label_embedding::{Calibration, Confidence, LabelEmbedding, Origin},
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

/// Similarity -> probability of a thing that is a known name, and of one that is inferred: fitted by
/// scripts/calibration/things.py, whose output these are; MODEL.md tells on what.
const KNOWN: Calibration = Calibration { scale: 28.2, bias: -4.05 };
const INFERRED: Calibration = Calibration { scale: 19.7, bias: -3.58 };
/// The same of actions, by scripts/calibration/actions.py.
const KNOWN_IN_MOTION: Calibration = Calibration { scale: 38.7, bias: -4.89 };
const INFERRED_IN_MOTION: Calibration = Calibration { scale: 17.6, bias: -3.31 };

/// The mean of unit features of many pictures, `[IMAGE]`: what they have in common says nothing about any. Made by scripts/calibration/mean_image.py.
const MEAN_IMAGE: &[u8] = include_bytes!("mean_image.safetensors");

/// Length of an inferred thing's embedding, a known one's being 1: guesses are more alike than rows are, and would crowd in before those. Chosen
/// on emoji (MODEL.md).
const INFERRED_LENGTH: f32 = 0.9;

/// The greatest kernel with a known name below which a guess is not to be trusted: of the names that are left out by scripts/cross_validation/starter.py,
/// the worst quarter lies below it (MODEL.md).
const NEAR: f32 = 0.54;

/// Width of the image part of the joint space, and of the motion part.
const IMAGE: usize = EfficientNetLiteConfig::HEAD;
const MOTION: usize = 1024;

/// Seconds from the start of a clip to the next one's: every other 1.28 s are looked at.
const CLIP_HOP: f64 = 2.0 * I3d::FRAMES as f64 / I3d::FRAME_RATE;

/// How much of an action's embedding is what is to be seen where it is done, and how much is motion; squares add up to 1. What it is to do a
/// known action, the motion network has learned; of others both sides guess.
const KNOWN_ACTION: [f32; 2] = [0.3, 0.954];
const INFERRED_ACTION: [f32; 2] = [std::f32::consts::FRAC_1_SQRT_2; 2];

/// The starter model, loaded.
pub struct Starter {
    about: About,
    preprocessing: Preprocessing,
    dir: PathBuf,
    compute: Compute,
    tower: EfficientNetLite,
    /// `[IMAGE]`
    mean_image: Tensor,
    motion: Option<MotionSide>,
    names: Names,
    /// One a name in `names.anchors`, `[IMAGE]`, L2-normalised.
    rows: Vec<Vec<f32>>,
    /// Folded name of a class of actions -> its index.
    known_actions: HashMap<String, usize>,
    actions: Vec<String>,
    /// One a class of actions, `[MOTION]`, L2-normalised.
    action_rows: Vec<Vec<f32>>,
    /// Read when the first label comes that is no known name: most of the loading time and memory.
    reader: Mutex<Option<Reader>>,
}

/// What looks at clips.
struct MotionSide {
    network: Motion,
    clips: Clips,
}

/// What reads labels.
struct Reader {
    phrases: PhraseEncoder,
    dictionary: Dictionary,
    text_side: TextSide,
    encoder: LabelEncoder,
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
    let text_side = read_weights(&dir.join(TEXT_SIDE))?;
    let rows = |name: &str, count: usize, width: usize| -> Result<Vec<Vec<f32>>, ModelError> {
        let rows = text_side.get((count, width), name);
        let bad = |e: candle_core::Error| ModelError::BadFile { path: dir.join(TEXT_SIDE), reason: e.to_string() };
        rows.and_then(|rows| rows.to_vec2()).map_err(bad)
    };
    let actions: Vec<String> = read_json(&dir.join(ACTIONS))?;
    // Where there are no tiles, products of bf16 take longer than those of f32 there (docs/PERFORMANCE.md, I3D).
    let precision = if compute.isa.has_tiles() { compute.precision } else { Precision::F32 };
    let for_motion = Compute { precision, ..compute.clone() };
    let motion = match dir.with_file_name(motion::NAME) {
        path if path.is_dir() => Some(MotionSide {
            network: motion::load(&path, &for_motion)?,
            clips: Clips::new(I3d::FRAMES, I3d::FRAME_RATE, CLIP_HOP).expect("a possible hop"),
        }),
        _ => None,
    };
    let card = dir.join(CARD);
    let about = About {
        name: NAME.into(),
        fingerprint: fingerprint(dir.join(Manifest::FILE))?,
        precision: compute.precision,
        card: std::fs::read_to_string(&card).map_err(|e| ModelError::BadFile { path: card, reason: e.to_string() })?,
        caveats: match motion {
            Some(_) => Vec::new(),
            None => vec!["the starter model looks at single frames only: it knows things, hardly actions; `lexivid models pull starter` gives it I3D".into()],
        },
    };
    let preprocessing = Preprocessing {
        size: (SIZE, SIZE),
        views: vec![View::CentreCrop { shortest_edge: SHORTEST_EDGE }, View::Stretch],
        filter: Filter::Bicubic,
        mean: [127.0 / 255.0; 3],
        std: [128.0 / 255.0; 3],
    };
    Ok(Starter {
        rows: rows("rows", names.anchors.len(), IMAGE)?,
        action_rows: rows("action_rows", actions.len(), MOTION)?,
        known_actions: actions.iter().enumerate().map(|(index, name)| (fold(name), index)).collect(),
        actions,
        about,
        preprocessing,
        dir: dir.to_owned(),
        compute: compute.clone(),
        tower,
        mean_image: safetensors::load_buffer(MEAN_IMAGE, &Device::Cpu)?["mean_image"].clone(),
        motion,
        names,
        reader: Mutex::new(None),
    })
}

/// The manifest names the SHA-256 of every file, so its own stands for all of them. What is part of the program says as much of an embedding.
fn fingerprint(manifest: PathBuf) -> Result<String, ModelError> {
    let of_files = sha256_of(&manifest).map_err(|e| ModelError::BadFile { path: manifest, reason: e.to_string() })?;
    let calibrations = [KNOWN, INFERRED, KNOWN_IN_MOTION, INFERRED_IN_MOTION];
    let numbers = format!("{calibrations:?} {INFERRED_LENGTH} {KNOWN_ACTION:?} {INFERRED_ACTION:?}");
    let mut all = Sha256::new();
    for part in [of_files.as_bytes(), MEAN_IMAGE, label_encoder::WEIGHTS, numbers.as_bytes()] {
        all.update(part);
    }
    Ok(format!("{:x}", all.finalize())[..16].to_owned())
}

impl Starter {
    /// Unnormalised features `[views, D]` of one frame.
    fn features(&self, frame: &FramePixels) -> Result<Tensor, ModelError> {
        let expected = self.preprocessing.views.len();
        let sizes: Vec<(u32, u32)> = frame.views.iter().map(RgbImage::dimensions).collect();
        if sizes.len() != expected || sizes.iter().any(|size| *size != (SIZE, SIZE)) {
            let message = format!("expected {expected} views of {SIZE} x {SIZE}, got {sizes:?}");
            return Err(candle_core::Error::msg(message).into());
        }
        let pixels: Vec<f32> =
            frame.views.iter().flat_map(|view| view.as_raw()).map(|byte| (f32::from(*byte) - 127.0) / 128.0).collect();
        let shape = (frame.views.len(), SIZE as usize, SIZE as usize, 3);
        Ok(self.tower.features(&Tensor::from_vec(pixels, shape, &Device::Cpu)?)?)
    }

    /// The label's own name or a synonym among the names of known things.
    fn known(&self, label: &Label) -> Option<LabelEmbedding> {
        let anchor = std::iter::once(&label.name).chain(&label.synonyms).find_map(|name| self.names.find(name))?;
        Some(LabelEmbedding {
            vector: joint(&self.rows[anchor], &[0.0; MOTION], [1.0, 1.0]),
            calibration: KNOWN,
            origin: Origin::KnownClass { class: self.names.anchors[anchor].clone() },
        })
    }

    /// The label's own name or a synonym among the names of known actions.
    fn known_action(&self, label: &Label) -> Option<usize> {
        std::iter::once(&label.name)
            .chain(&label.synonyms)
            .find_map(|name| self.known_actions.get(&fold(name)).copied())
    }

    /// Does something with what reads labels.
    fn read<T>(
        &self,
        work: impl FnOnce(&TextSide, &LabelEncoder, Sources) -> candle_core::Result<T>,
    ) -> Result<T, ModelError> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let Reader { phrases, dictionary, text_side, encoder } = match &mut *reader {
            Some(reader) => reader,
            none => {
                let gguf = Gguf::open(&self.dir.join(LANGUAGE_MODEL))?;
                let tensors = safetensors::load(self.dir.join(TEXT_SIDE), &Device::Cpu)?;
                none.insert(Reader {
                    phrases: PhraseEncoder::load(&gguf, &self.compute)?,
                    dictionary: dictionary(&self.dir)?,
                    text_side: TextSide::from_parts(&tensors, read_json(&self.dir.join(WORDS))?)?,
                    encoder: LabelEncoder::load()?,
                })
            }
        };
        Ok(work(text_side, encoder, Sources { phrases, dictionary })?)
    }

    /// Things -> what the text side makes of them.
    fn infer_things(&self, labels: &[&Label]) -> Result<Vec<LabelEmbedding>, ModelError> {
        let placed = self.read(|text_side, encoder, sources| {
            let thing = |label: &&Label| Thing::of_label(sources.dictionary, &label.name, label.definition.as_deref());
            let things: Vec<Thing> = labels.iter().map(thing).collect();
            text_side.things(&things.iter().collect::<Vec<_>>(), encoder, sources)
        })?;
        let rows = unit_rows(&placed.rows)?.to_vec2::<f32>()?; // [B, IMAGE]
        let embedding = |(row, (anchor, similarity)): (Vec<f32>, (usize, f32))| LabelEmbedding {
            vector: joint(&row, &[0.0; MOTION], [INFERRED_LENGTH, 0.0]),
            calibration: INFERRED,
            origin: Origin::Inferred { nearest: self.names.anchors[anchor].clone(), similarity },
        };
        Ok(rows.into_iter().zip(placed.nearest).map(embedding).collect())
    }

    /// Actions -> what the motion network knows of them, or else what the text side makes of them, and what is to be seen where they are done.
    fn actions(&self, labels: &[&Label]) -> Result<Vec<LabelEmbedding>, ModelError> {
        let names: Vec<&str> = labels.iter().map(|label| label.name.as_str()).collect();
        let (placed, scenes) = self.read(|text_side, _, sources| {
            Ok((text_side.actions(&names, sources)?, text_side.scenes(&names, sources)?))
        })?;
        let motions = unit_rows(&placed.rows)?.to_vec2::<f32>()?; // [B, MOTION]
        let scenes = unit_rows(&scenes)?.to_vec2::<f32>()?; // [B, IMAGE]
        let mut embeddings = Vec::with_capacity(labels.len());
        for (i, (label, (nearest, similarity))) in labels.iter().zip(placed.nearest).enumerate() {
            embeddings.push(match self.known_action(label) {
                Some(action) => LabelEmbedding {
                    vector: joint(&scenes[i], &self.action_rows[action], KNOWN_ACTION),
                    calibration: KNOWN_IN_MOTION,
                    origin: Origin::KnownClass { class: self.actions[action].clone() },
                },
                None => LabelEmbedding {
                    vector: joint(&scenes[i], &motions[i], INFERRED_ACTION),
                    calibration: INFERRED_IN_MOTION,
                    origin: Origin::Inferred { nearest: self.actions[nearest].clone(), similarity },
                },
            });
        }
        Ok(embeddings)
    }
}

/// A place in the joint space: an image part and a motion part, each L2-normalised or 0.
fn joint(image: &[f32], motion: &[f32], [of_image, of_motion]: [f32; 2]) -> Vec<f32> {
    image.iter().map(|x| of_image * x).chain(motion.iter().map(|x| of_motion * x)).collect()
}

impl ClipEncoder for MotionSide {
    fn clips(&self) -> &Clips {
        &self.clips
    }

    fn preprocessing(&self) -> &Preprocessing {
        self.network.preprocessing()
    }

    /// The mean over parts, each as sure as the network is of its likeliest class: where nothing happens, nothing is sure.
    fn encode_clip(&self, frames: &[&FramePixels]) -> Result<Vec<f32>, ModelError> {
        let features = self.network.encode_clip(frames)?; // [parts, MOTION]
        let logits = self.network.network().logits(&features)?;
        let sure = candle_nn::ops::softmax(&logits, 1)?.max(1)?.to_vec1::<f32>()?;
        let mut mean = vec![0.0; MOTION];
        for (part, sure) in unit_rows(&features)?.to_vec2::<f32>()?.iter().zip(sure) {
            mean.iter_mut().zip(part).for_each(|(m, x)| *m += sure * x);
        }
        Ok(l2_normalised(mean))
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
        IMAGE + MOTION
    }

    fn clip_encoder(&self) -> Option<&dyn ClipEncoder> {
        self.motion.as_ref().map(|motion| motion as &dyn ClipEncoder)
    }

    fn encode_frames(&self, frames: &[FramePixels]) -> Result<Vec<FrameFeatures>, ModelError> {
        frames
            .iter()
            .map(|frame| {
                let views = unit_rows(&self.features(frame)?)?; // [views, D]
                let image = l2_normalised(views.mean(0)?.to_vec1()?);
                let image =
                    l2_normalised(Tensor::from_vec(image, IMAGE, &Device::Cpu)?.sub(&self.mean_image)?.to_vec1()?);
                let embedding = joint(&image, &[0.0; MOTION], [1.0, 1.0]);
                Ok(FrameFeatures { time: frame.time, embedding, blocks: None })
            })
            .collect()
    }

    /// The mean over frames beside the mean over clips, each L2-normalised.
    fn encode_window(&self, frames: &[&FrameFeatures], clips: &[&ClipFeatures]) -> Result<VideoEmbedding, ModelError> {
        let VideoEmbedding(mut video) = frame_mean(frames);
        let mut motion = vec![0.0; MOTION];
        for clip in clips {
            motion.iter_mut().zip(&clip.embedding).for_each(|(m, x)| *m += x);
        }
        if !clips.is_empty() {
            video[IMAGE..].copy_from_slice(&l2_normalised(motion));
        }
        Ok(VideoEmbedding(video))
    }

    fn confidence(&self, origin: &Origin) -> Confidence {
        match origin {
            Origin::Inferred { nearest, similarity } if *similarity < NEAR => {
                Confidence::Low { reason: format!("no near anchor: the nearest is \"{nearest}\" at {similarity:.2}") }
            }
            _ => Confidence::Usual,
        }
    }

    fn encode_labels(&self, labels: &[Label]) -> Result<Vec<LabelEmbedding>, ModelError> {
        let is_action = |label: &Label| label.likely_kind() == Some(Kind::Action) || self.known_action(label).is_some();
        let mut embeddings: Vec<Option<LabelEmbedding>> = labels.iter().map(|label| self.known(label)).collect();
        for actions in [false, true] {
            let missing: Vec<usize> =
                (0..labels.len()).filter(|&i| embeddings[i].is_none() && is_action(&labels[i]) == actions).collect();
            let of_kind: Vec<&Label> = missing.iter().map(|&i| &labels[i]).collect();
            if of_kind.is_empty() {
                continue;
            }
            let found = if actions { self.actions(&of_kind)? } else { self.infer_things(&of_kind)? };
            for (i, embedding) in missing.into_iter().zip(found) {
                embeddings[i] = Some(embedding);
            }
        }
        Ok(embeddings.into_iter().flatten().collect())
    }

    /// Texts are read as the names of things.
    fn encode_texts(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, ModelError> {
        let labels: Vec<Label> = texts.iter().map(Label::new).collect();
        let embeddings = self.infer_things(&labels.iter().collect::<Vec<_>>())?;
        Ok(embeddings.into_iter().map(|embedding| embedding.vector).collect())
    }
}

#[cfg(test)]
mod tests;
