//! What the mean over frames cannot see: a branch of K blocks beside the last K of the frozen image tower that looks along time (the
//! layout of STAN, Liu et al., arXiv 2301.11116, `clip_stan_hf.py` of farewellthree/STAN).

mod block;
mod moments;
mod pairs;
#[cfg(test)]
mod tests;
mod time;

use crate::{
    features::{FrameFeatures, Vit, VitConfig},
    nn::{Linear, Scope, WeightsError, unit_rows},
};
use block::Block;
use candle_core::{D, DType, Result, Tensor};
use serde::{Deserialize, Serialize};
use time::TimeEmbedding;

/// Sizes of a temporal branch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemporalConfig {
    /// K, at most the blocks of the image tower.
    pub blocks: usize,
    /// Numbers of a patch that every block takes moments of over time and space; 0: none, STAN's layout alone.
    #[serde(default = "default_moments")]
    pub moments: usize,
    /// Numbers of a patch whose products with the next frame's every block looks at; 0: none.
    #[serde(default)]
    pub pairs: usize,
    /// Share of videos that are embedded without the branch in training.
    #[serde(default)]
    pub drop_path: f32,
}

fn default_moments() -> usize {
    32
}

/// Frames of a window -> f_v(v) before any head.
#[derive(Debug)]
pub struct TemporalBranch {
    /// `[W]`, where the tower has a class token.
    class: Option<Tensor>,
    /// `[N, W]`.
    positions: Tensor,
    time: TimeEmbedding,
    blocks: Vec<Block>,
    /// O, `[D, D]`.
    output: Linear,
    /// In training.
    drop_path: f32,
}

impl TemporalBranch {
    /// Reads `class_embedding`, `position_embedding`, `time_embedding`, `blocks.{i}` and `output`, for a tower of these sizes.
    pub fn load(scope: &Scope, config: &TemporalConfig, tower: &VitConfig) -> std::result::Result<Self, WeightsError> {
        let width = tower.encoder.width;
        let patches = tower.grid() * tower.grid();
        let block = |i: usize| Block::load(&scope.enter("blocks").enter(&i.to_string()), config, tower);
        let class = tower.has_class_token().then(|| scope.tensor("class_embedding", &[width]));
        Ok(Self {
            class: class.transpose()?,
            positions: scope.tensor("position_embedding", &[patches, width])?,
            time: TimeEmbedding::load(scope, width)?,
            blocks: (0..config.blocks).map(block).collect::<std::result::Result<_, _>>()?,
            output: Linear::load_without_bias(&scope.enter("output"), tower.dimension(), tower.dimension())?,
            drop_path: config.drop_path,
        })
    }

    /// K.
    pub fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// How likely a video is embedded without the branch in training.
    pub fn drop_path(&self) -> f32 {
        self.drop_path
    }

    /// Windows, each the T >= 1 frames of one video in order of time with the states of the tower's last K blocks, -> f_v `[B, D]`,
    /// L2-normalised:
    ///
    /// z = normalise(mean_t f(frame_t) + O normalise(proj(branch CLS))), with the frames' normalised embeddings f(frame_t). O, the gate, begins at
    /// 0, so that this begins as [`super::frame_mean`] \[ours: a matrix; a single number g opens the wrong way, since at first the branch says
    /// little more than the mean does, and videos come apart when that is taken off them\].
    ///
    /// `means`: the frames' mean embeddings, `[B, D]`; `shares`: what the branch's part is multiplied by besides, one a window (drop-path).
    ///
    /// # Errors
    /// When a frame has not the states of K blocks.
    pub fn forward(
        &self,
        tower: &Vit,
        windows: &[Vec<&FrameFeatures>],
        means: &Tensor,
        shares: Option<&[f32]>,
    ) -> Result<Tensor> {
        let seen = unit_rows(&self.see(tower, windows)?)?; // [B, D]
        let seen = match shares {
            Some(shares) => seen.broadcast_mul(&Tensor::from_slice(shares, (shares.len(), 1), seen.device())?)?,
            None => seen,
        };
        unit_rows(&(means + self.output.forward(&seen)?)?)
    }

    /// proj(branch CLS) of every window, `[B, D]`.
    fn see(&self, tower: &Vit, windows: &[Vec<&FrameFeatures>]) -> Result<Tensor> {
        // Windows of as many frames go together.
        let mut counts: Vec<usize> = windows.iter().map(|window| window.len()).collect();
        counts.sort_unstable();
        counts.dedup();
        let (mut parts, mut places) = (Vec::new(), vec![0u32; windows.len()]);
        let mut place = 0;
        for count in counts {
            let mut alike = Vec::new();
            for (i, window) in windows.iter().enumerate().filter(|(_, window)| window.len() == count) {
                alike.push(window.as_slice());
                places[i] = place;
                place += 1;
            }
            parts.push(self.see_alike(tower, &alike)?);
        }
        let all = Tensor::cat(&parts, 0)?;
        all.index_select(&Tensor::from_vec(places, windows.len(), all.device())?, 0)
    }

    /// The same of windows of T frames each.
    fn see_alike(&self, tower: &Vit, windows: &[&[&FrameFeatures]]) -> Result<Tensor> {
        let (batch, frames) = (windows.len(), windows[0].len());
        let device = self.positions.device();
        let states: Vec<&Tensor> = windows
            .iter()
            .flat_map(|window| window.iter())
            .map(|frame| match &frame.blocks {
                Some(states) if states.dims().first() == Some(&self.blocks.len()) => Ok(states),
                Some(states) => candle_core::bail!(
                    "temporal branch: expected the states of {} blocks, got {:?}",
                    self.blocks.len(),
                    states.shape()
                ),
                None => candle_core::bail!("temporal branch: expected frames with the states of blocks, got none"),
            })
            .collect::<Result<_>>()?;
        let states = Tensor::stack(&states, 1)?.to_device(device)?.to_dtype(DType::F32)?; // [K, B * T, S, W]
        let (_, _, tokens, width) = states.dims4()?;
        let class_tokens = usize::from(self.class.is_some());
        let patches = tokens - class_tokens; // N
        let times: Vec<Vec<f64>> =
            windows.iter().map(|window| window.iter().map(|frame| frame.time).collect()).collect();

        // The class token, where there is one, lies in every frame, the same in all frames of a window.
        let h = |i: usize| mean_class(&states.get(i)?.reshape((batch, frames, tokens, width))?, class_tokens);
        let mut x = h(0)?; // [B, T, S, W]
        let mut parts = Vec::new();
        if let Some(class) = &self.class {
            let mean = x.narrow(2, 0, 1)?;
            parts.push((mean.broadcast_add(&class.reshape((1, 1, 1, width))?)? * 0.5)?);
        }
        let waves = time::waves(&times, device)?; // [B, T, F]
        let time = self.time.forward(&waves)?.unsqueeze(2)?; // [B, T, 1, W]
        let places = x.narrow(2, class_tokens, patches)?.broadcast_add(&self.positions)?;
        parts.push(places.broadcast_add(&time)?);
        x = Tensor::cat(&parts, 2)?;
        for (i, block) in self.blocks.iter().enumerate() {
            if i > 0 {
                x = (x + h(i)?)?;
            }
            x = block.forward(&x, class_tokens, &waves)?;
        }
        let projected = tower.project(&x.flatten(0, 1)?)?; // [B * T, D]
        projected.reshape((batch, frames, ()))?.mean(1)
    }
}

/// `[B, T, S, W]` with the class token of every frame replaced by the mean over frames, where there is one.
fn mean_class(x: &Tensor, class_tokens: usize) -> Result<Tensor> {
    if class_tokens == 0 {
        return Ok(x.clone());
    }
    let (batch, frames, tokens, width) = x.dims4()?;
    let class = x.narrow(2, 0, 1)?.mean_keepdim(1)?.broadcast_as((batch, frames, 1, width))?;
    Tensor::cat(&[&class, &x.narrow(2, 1, tokens - 1)?], D::Minus2)
}
