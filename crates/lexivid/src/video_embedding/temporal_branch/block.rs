use super::{TemporalConfig, mean_class, moments::Moments, pairs::Pairs};
use crate::{
    features::VitConfig,
    nn::{AttentionSublayer, MlpSublayer, Scope, WeightsError},
};
use candle_core::{Result, Tensor};

/// One block of the branch: moments over time and space, products from frame to frame, attention along time, attention across space, MLP.
#[derive(Debug)]
pub struct Block {
    /// Added to the class token, or to every patch where there is none.
    moments: Option<Moments>,
    /// Added to the same.
    pairs: Option<Pairs>,
    /// T step: for every patch site, self-attention over the frames. Its output projection begins at zero.
    time: AttentionSublayer,
    /// S step: for every frame, self-attention among class token and patches. Begins as the tower's block beside it, as the MLP does.
    space: AttentionSublayer,
    mlp: MlpSublayer,
}

impl Block {
    /// Reads `moments`, `pairs`, `time` (`layer_norm1`, `self_attn`) and `space` (the names of a tower's block).
    pub fn load(scope: &Scope, config: &TemporalConfig, tower: &VitConfig) -> std::result::Result<Self, WeightsError> {
        let space = scope.enter("space");
        let (width, eps) = (tower.encoder.width, tower.encoder.layer_norm_eps);
        let moments = (config.moments > 0)
            .then(|| Moments::load(&scope.enter("moments"), width, eps, tower.grid(), config.moments));
        let pairs = (config.pairs > 0).then(|| Pairs::load(&scope.enter("pairs"), width, eps, config.pairs));
        Ok(Self {
            moments: moments.transpose()?,
            pairs: pairs.transpose()?,
            time: AttentionSublayer::load(&scope.enter("time"), &tower.encoder)?,
            space: AttentionSublayer::load(&space, &tower.encoder)?,
            mlp: MlpSublayer::load(&space, &tower.encoder)?,
        })
    }

    /// `x`: `[B, T, S, W]`, the first `class_tokens` of S (one or none) the same in every frame; `waves`: of the frames' times, `[B, T, F]`.
    /// Returns the same as `x`.
    pub fn forward(&self, x: &Tensor, class_tokens: usize, waves: &Tensor) -> Result<Tensor> {
        let (batch, frames, tokens, width) = x.dims4()?;
        let patches = tokens - class_tokens;
        let mut class = x.narrow(2, 0, class_tokens)?; // [B, T, 0 or 1, W]
        let mut sites = x.narrow(2, class_tokens, patches)?; // [B, T, N, W]
        let moments = self.moments.as_ref().map(|moments| moments.forward(&sites, waves));
        let pairs = self.pairs.as_ref().map(|pairs| pairs.forward(&sites));
        for seen in [moments, pairs].into_iter().flatten() {
            let receiver = if class_tokens > 0 { &mut class } else { &mut sites };
            *receiver = receiver.broadcast_add(&seen?.reshape((batch, 1, 1, width))?)?;
        }

        // T step; the class token is left as it is.
        let sites = sites.transpose(1, 2)?; // [B, N, T, W]
        let sites = self.time.forward(&sites.contiguous()?.flatten(0, 1)?)?; // [B * N, T, W]
        let sites = sites.reshape((batch, patches, frames, width))?.transpose(1, 2)?; // [B, T, N, W]
        let x = match class_tokens {
            0 => sites.contiguous()?,
            _ => Tensor::cat(&[&class, &sites.contiguous()?], 2)?,
        };

        // S step; every frame changes its own copy of the class token, and the window goes on with their mean.
        let x = self.space.forward(&x.flatten(0, 1)?)?.reshape((batch, frames, tokens, width))?;
        let x = mean_class(&x, class_tokens)?;

        self.mlp.forward(&x.flatten(0, 1)?)?.reshape((batch, frames, tokens, width))
    }
}
