//! What the frozen model sees of every example, computed once and kept on disk.

use crate::{
    classify::{LookOptions, look, look_at_frames},
    dataset::{Example, Manifest, Media},
    features::FrameFeatures,
    frames::{Sampling, Windowing},
    models::{Model, store::Store},
    training::TrainingError,
};
use candle_core::{Device, Tensor, safetensors};
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

/// Frozen features of examples, by content: the same video under another name is found, another model or another
/// preprocessing is not.
pub struct FeatureCache<'a> {
    model: &'a dyn Model,
    directory: PathBuf,
    store: Store,
    look: LookOptions,
    /// All that features depend on besides the example.
    key: String,
}

impl<'a> FeatureCache<'a> {
    /// Of `frames` frames an example, kept in `directory`.
    ///
    /// # Errors
    /// When there is no place to keep them, or no frame is to be looked at.
    pub fn new(model: &'a dyn Model, frames: usize, directory: &Path) -> Result<Self, TrainingError> {
        let (store, directory) = (Store::from_env()?, directory.to_path_buf());
        fs::create_dir_all(&directory).map_err(TrainingError::io(&directory))?;
        let sampling = Sampling::new(Windowing::Whole, frames);
        let sampling = sampling.map_err(|e| TrainingError::Config { path: "frames".into(), reason: e.to_string() })?;
        let look = LookOptions::frames(sampling);
        let about = model.about();
        let preprocessing = serde_json::to_string(model.preprocessing()).expect("plain fields");
        let key = format!("{} {} {preprocessing} {frames}", about.fingerprint, about.precision);
        Ok(Self { model, directory, store, look, key })
    }

    /// With the outputs of the image tower's last `blocks` blocks besides; large.
    pub fn keeping_blocks(mut self, blocks: usize) -> Self {
        if blocks > 0 {
            self.look.keep_blocks = blocks;
            self.key = format!("{} {blocks} blocks", self.key);
        }
        self
    }

    /// The frames of one example. `Break` from `observer`, which is asked often, stops.
    pub fn get(
        &self,
        manifest: &Manifest,
        example: &Example,
        observer: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Vec<FrameFeatures>, TrainingError> {
        let media = manifest.media(example);
        let path = self.digest(&media, example).map(|digest| self.directory.join(format!("{digest}.safetensors")));
        if let Some(kept) = path.as_deref().and_then(|path| self.read(path)) {
            return Ok(kept);
        }
        let mut options = self.look.clone();
        if example.start.is_some() || example.end.is_some() {
            let (start, end) = (example.start.unwrap_or(0.0), example.end.unwrap_or(f64::INFINITY));
            options.sampling = options.sampling.within(start, end).expect("segments are checked when they are read");
        }
        let observer = &mut |_| observer();
        let looked = match &media {
            Media::Video(source) => look(self.model, source, &options, observer)?,
            Media::Frames { paths, rate } => look_at_frames(self.model, paths, *rate, &options, observer)?,
        };
        let embeddings = looked.frame_embeddings.chunks_exact(self.model.dimension());
        let mut blocks = looked.frame_blocks.into_iter();
        let frames: Vec<FrameFeatures> = (looked.frame_times.iter().zip(embeddings))
            .map(|(&time, embedding)| FrameFeatures { time, embedding: embedding.to_vec(), blocks: blocks.next() })
            .collect();
        if let Some(path) = path {
            self.write(&path, &frames)?;
        }
        Ok(frames)
    }

    /// What names the features of an example; `None` for what cannot be read twice, such as a URL.
    fn digest(&self, media: &Media, example: &Example) -> Option<String> {
        let mut all = Sha256::new();
        all.update(format!("{} {:?} {:?}\n", self.key, example.start, example.end));
        let files: Vec<&String> = match media {
            Media::Video(path) => vec![path],
            Media::Frames { paths, rate } => {
                all.update(format!("{rate}\n"));
                paths.iter().collect()
            }
        };
        let digests = self.store.known_digests();
        for file in files {
            all.update(digests.sha256_of(Path::new(file)).ok()?);
        }
        Some(format!("{:x}", all.finalize()))
    }

    /// What is kept; nothing if it is damaged.
    fn read(&self, path: &Path) -> Option<Vec<FrameFeatures>> {
        let tensors = safetensors::load(path, &Device::Cpu).ok()?;
        let times = tensors.get("times")?.to_vec1::<f64>().ok()?;
        let embeddings = tensors.get("embeddings")?.to_vec2::<f32>().ok()?;
        let blocks = tensors.get("blocks"); // [T, K, S, W]
        let fits = times.len() == embeddings.len()
            && embeddings.iter().all(|e| e.len() == self.model.dimension())
            && blocks.map_or(0, |blocks| blocks.dims()[1]) == self.look.keep_blocks;
        let frames = times.into_iter().zip(embeddings).enumerate().map(|(i, (time, embedding))| {
            let blocks = blocks.map(|blocks| blocks.get(i)).transpose().ok()?;
            Some(FrameFeatures { time, embedding, blocks })
        });
        fits.then(|| frames.collect()).flatten()
    }

    fn write(&self, path: &Path, frames: &[FrameFeatures]) -> Result<(), TrainingError> {
        let (count, width) = (frames.len(), self.model.dimension());
        let times = frames.iter().map(|f| f.time).collect::<Vec<_>>();
        let embeddings = frames.iter().flat_map(|f| f.embedding.iter().copied()).collect::<Vec<_>>();
        let mut tensors = HashMap::from([
            ("times", Tensor::from_vec(times, count, &Device::Cpu)?),
            ("embeddings", Tensor::from_vec(embeddings, (count, width), &Device::Cpu)?),
        ]);
        let blocks: Vec<&Tensor> = frames.iter().filter_map(|f| f.blocks.as_ref()).collect();
        if !blocks.is_empty() {
            tensors.insert("blocks", Tensor::stack(&blocks, 0)?);
        }
        let partial = tempfile::NamedTempFile::new_in(&self.directory).map_err(TrainingError::io(path))?;
        safetensors::save(&tensors, partial.path())?;
        partial.persist(path).map_err(|e| TrainingError::io(path)(e.error))?;
        Ok(())
    }
}
