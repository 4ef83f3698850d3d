//! The Vision Transformer (Dosovitskiy et al., arXiv 2010.11929) as CLIP and SigLIP use it.

mod attention_pooling;
mod patches;

use crate::nn::{Encoder, EncoderConfig, LayerNorm, Linear, Scope, SelfMask, WeightsError};
use attention_pooling::AttentionPooling;
use candle_core::{Result, Tensor};

/// Sizes of an image tower.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VitConfig {
    /// Side of the square input in pixels.
    pub image_size: usize,
    /// Side P of a patch in pixels; pixels right of and below the last whole patch are not looked at.
    pub patch_size: usize,
    /// The blocks.
    pub encoder: EncoderConfig,
    /// What becomes of the patches.
    pub pooling: VitPooling,
    /// How the patch embedding is stored.
    pub patch_weights: PatchWeights,
}

/// How an image tower comes to one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VitPooling {
    /// CLIP: a class token is put before the patches, everything is normalised before the first block, and the class
    /// token's state after the last block is projected to D.
    ClassToken {
        /// D.
        projection: usize,
    },
    /// SigLIP: a learned query attends to the patches after the last block; D = W.
    Attention,
}

/// How a patch embedding is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchWeights {
    /// As a convolution, `[W, 3, P, P]`: CLIP, SigLIP, and SigLIP 2 of fixed resolution.
    Convolution,
    /// As a linear layer over pixels with the channels last, `[W, P * P * 3]`: SigLIP 2 NaFlex.
    Linear,
}

impl VitConfig {
    /// Patches along one side.
    pub fn grid(&self) -> usize {
        self.image_size / self.patch_size
    }

    /// S, the number of patches N, plus one if there is a class token.
    pub fn tokens(&self) -> usize {
        self.grid() * self.grid() + usize::from(self.has_class_token())
    }

    /// Whether a class token comes before the patches.
    pub fn has_class_token(&self) -> bool {
        matches!(self.pooling, VitPooling::ClassToken { .. })
    }

    /// D, the width of the pooled projection.
    pub fn dimension(&self) -> usize {
        match self.pooling {
            VitPooling::ClassToken { projection } => projection,
            VitPooling::Attention => self.encoder.width,
        }
    }
}

/// What the tower says about a batch of pictures. S is the number of patches N, plus one if there is a class token
/// (which then comes first).
#[derive(Debug, Clone)]
pub struct VitOutput {
    /// h_1 .. h_L, the raw output of every block, `[B, S, W]` each; empty unless asked for.
    pub blocks: Vec<Tensor>,
    /// The pooled projection, `[B, D]`, not normalised.
    pub pooled: Tensor,
}

/// An image tower.
#[derive(Debug)]
pub struct Vit {
    config: VitConfig,
    patches: Linear,
    class: Option<ClassToken>,
    /// `[S, W]`.
    positions: Tensor,
    encoder: Encoder,
    /// `post_layernorm`.
    norm: LayerNorm,
    head: Head,
}

/// What a class token brings with it.
#[derive(Debug, Clone)]
struct ClassToken {
    /// `[1, 1, W]`.
    embedding: Tensor,
    /// Before the first block; `pre_layrnorm` in the files, misspelt as it is there.
    norm: LayerNorm,
}

#[derive(Debug, Clone)]
enum Head {
    ClassToken { projection: Linear },
    Attention(AttentionPooling),
}

impl Vit {
    /// Reads `vision_model.*` and, with a class token, `visual_projection.weight`, from the top of the names.
    pub fn load(root: &Scope, config: &VitConfig) -> std::result::Result<Self, WeightsError> {
        let width = config.encoder.width;
        let eps = config.encoder.layer_norm_eps;
        let scope = root.enter("vision_model");
        let embeddings = scope.enter("embeddings");

        let (class, head) = match config.pooling {
            VitPooling::ClassToken { projection } => {
                let class = ClassToken {
                    embedding: embeddings.tensor("class_embedding", &[width])?.reshape((1, 1, width))?,
                    norm: LayerNorm::load(&scope.enter("pre_layrnorm"), width, eps)?,
                };
                let projection = Linear::load_without_bias(&root.enter("visual_projection"), width, projection)?;
                (Some(class), Head::ClassToken { projection })
            }
            VitPooling::Attention => {
                let pooling = AttentionPooling::load(&scope.enter("head"), &config.encoder)?;
                (None, Head::Attention(pooling))
            }
        };
        Ok(Self {
            config: *config,
            patches: load_patches(&embeddings.enter("patch_embedding"), config)?,
            class,
            positions: embeddings.enter("position_embedding").tensor("weight", &[config.tokens(), width])?,
            encoder: Encoder::load(&scope.enter("encoder"), &config.encoder)?,
            norm: LayerNorm::load(&scope.enter("post_layernorm"), width, eps)?,
            head,
        })
    }

    /// The tower's sizes.
    pub fn config(&self) -> &VitConfig {
        &self.config
    }

    /// `pixels`: `[B, 3, H, W]`, normalised, H = W = the configured image size. The outputs of all blocks are kept
    /// only if `keep_blocks`: for ViT-B/16 they are 7 MB a picture.
    pub fn forward(&self, pixels: &Tensor, keep_blocks: bool) -> Result<VitOutput> {
        let embedded = self.embed(pixels)?; // [B, S, W]
        let mut blocks = Vec::new();
        let last = self.encoder.forward(embedded, SelfMask::None, keep_blocks.then_some(&mut blocks))?;
        Ok(VitOutput { blocks, pooled: self.project(&last)? })
    }

    /// What a block put out, `[B, S, W]`, -> its pooled projection, `[B, D]`, not normalised.
    pub fn project(&self, states: &Tensor) -> Result<Tensor> {
        let pooled = match &self.head {
            Head::ClassToken { projection } => projection.forward(&self.norm.forward(&states.narrow(1, 0, 1)?)?)?,
            Head::Attention(pooling) => pooling.forward(&self.norm.forward(states)?)?,
        }; // [B, 1, D]
        pooled.squeeze(1)
    }

    /// The input of the first block: `[B, 3, H, W]` -> `[B, S, W]`.
    fn embed(&self, pixels: &Tensor) -> Result<Tensor> {
        let (batch, width) = (pixels.dim(0)?, self.config.encoder.width);
        let patches = patches::embed(pixels, &self.patches, self.config.grid(), self.config.patch_size)?; // [B, N, W]
        match &self.class {
            Some(class) => {
                let token = class.embedding.broadcast_as((batch, 1, width))?;
                let tokens = Tensor::cat(&[&token, &patches], 1)?.broadcast_add(&self.positions)?;
                class.norm.forward(&tokens)
            }
            None => patches.broadcast_add(&self.positions),
        }
    }
}

/// The patch embedding as one product over `[3, P, P]` patches.
fn load_patches(scope: &Scope, config: &VitConfig) -> std::result::Result<Linear, WeightsError> {
    let (width, patch) = (config.encoder.width, config.patch_size);
    let inputs = 3 * patch * patch;
    let weight = match config.patch_weights {
        PatchWeights::Convolution => scope.tensor("weight", &[width, 3, patch, patch])?,
        PatchWeights::Linear => {
            scope.tensor("weight", &[width, inputs])?.reshape((width, patch, patch, 3))?.permute((0, 3, 1, 2))?
        }
    };
    let bias = match config.pooling {
        VitPooling::ClassToken { .. } => None,
        VitPooling::Attention => Some(scope.tensor("bias", &[width])?),
    };
    Ok(Linear::new(&weight.reshape((width, inputs))?, bias, scope)?)
}
