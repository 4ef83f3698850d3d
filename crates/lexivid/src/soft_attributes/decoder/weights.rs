use crate::soft_attributes::{
    LanguageModelError,
    checkpoint::{Checkpoint, DecoderConfig, Pairs},
};

/// The weights of one block, row-major. What turns together in queries and keys are neighbours, however they are stored.
pub(super) struct BlockWeights {
    /// `[E]`.
    pub attention_norm: Vec<f32>,
    /// Of queries, keys and values, `[H d, E]`, `[G d, E]` and `[G d, E]`.
    pub projections: [Vec<f32>; 3],
    /// `[H d]`, `[G d]` and `[G d]`.
    pub biases: Option<[Vec<f32>; 3]>,
    /// Gains of queries and keys, `[d]` each.
    pub head_norms: Option<[Vec<f32>; 2]>,
    /// `[E, H d]`.
    pub output: Vec<f32>,
    /// `[E]`.
    pub mlp_norm: Vec<f32>,
    /// `[F, E]`.
    pub gate: Vec<f32>,
    /// `[F, E]`.
    pub up: Vec<f32>,
    /// `[E, F]`.
    pub down: Vec<f32>,
}

impl BlockWeights {
    pub fn read(checkpoint: &dyn Checkpoint, layer: usize) -> Result<Self, LanguageModelError> {
        let config = checkpoint.config();
        let &DecoderConfig { family, width, heads, kv_heads, head_width: d, mlp_width, pairs, .. } = config;
        let values = |part: &str, shape: &[usize]| checkpoint.values(&format!("layers.{layer}.{part}"), shape);
        let turned = |values: Vec<f32>, heads| match pairs {
            Pairs::Neighbours => values,
            Pairs::Halves => neighbours(&values, heads, d),
        };
        let three = |kind: &str, input: Option<usize>| -> Result<[Vec<f32>; 3], LanguageModelError> {
            let of = |part: &str, heads: usize| {
                let shape: Vec<usize> = std::iter::once(heads * d).chain(input).collect();
                values(&format!("self_attn.{part}_proj.{kind}"), &shape)
            };
            Ok([turned(of("q", heads)?, heads), turned(of("k", kv_heads)?, kv_heads), of("v", kv_heads)?])
        };
        let norms = || -> Result<[Vec<f32>; 2], LanguageModelError> {
            let of = |part| Ok::<_, LanguageModelError>(turned(values(part, &[d])?, 1));
            Ok([of("self_attn.q_norm.weight")?, of("self_attn.k_norm.weight")?])
        };
        Ok(Self {
            attention_norm: values("input_layernorm.weight", &[width])?,
            projections: three("weight", Some(width))?,
            biases: family.has_biases().then(|| three("bias", None)).transpose()?,
            head_norms: family.has_head_norms().then(norms).transpose()?,
            output: values("self_attn.o_proj.weight", &[width, heads * d])?,
            mlp_norm: values("post_attention_layernorm.weight", &[width])?,
            gate: values("mlp.gate_proj.weight", &[mlp_width, width])?,
            up: values("mlp.up_proj.weight", &[mlp_width, width])?,
            down: values("mlp.down_proj.weight", &[width, mlp_width])?,
        })
    }
}

/// `[heads, 2, d / 2, ..]` -> `[heads, d / 2, 2, ..]`. A head's numbers change places in queries and keys alike, which no product
/// between the two sees.
fn neighbours(values: &[f32], heads: usize, d: usize) -> Vec<f32> {
    let row = values.len() / (heads * d);
    let mut to = Vec::with_capacity(values.len());
    for head in values.chunks_exact(d * row) {
        let (first, second) = head.split_at(d / 2 * row);
        for (first, second) in first.chunks_exact(row).zip(second.chunks_exact(row)) {
            to.extend_from_slice(first);
            to.extend_from_slice(second);
        }
    }
    to
}
