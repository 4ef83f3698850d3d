use super::Finetuned;
use crate::{
    label::Label,
    models::{Model, ModelError},
    nn::unit_rows,
};
use candle_core::{D, Tensor};
use serde::Serialize;

/// What the label encoder makes of a label.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The label's name.
    pub label: String,
    /// g.
    pub gate: f32,
    /// Share of the plain prompt in f_t(l) before its head: plain . f_t over the length of plain + g soft. The rest is that of soft attributes.
    pub prompt_share: f32,
    /// For every soft attribute the tokens of the text encoder that are nearest to it, by cosine.
    pub attributes: Vec<Vec<Near>>,
    /// The labels of the comparison that are nearest to the plain prompt ...
    pub before: Vec<Near>,
    /// ... and to f_t(l).
    pub after: Vec<Near>,
}

/// Something near, and how near.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Near {
    /// Its name.
    pub name: String,
    /// Cosine.
    pub similarity: f32,
}

impl Finetuned {
    /// Explains `label`, compared with the labels `among`, the nearest `count` each.
    ///
    /// # Errors
    /// When the model has no label encoder.
    pub fn explain(&self, label: &Label, among: &[Label], count: usize) -> Result<Explanation, ModelError> {
        let Some(encoder) = &self.additions.label_encoder else {
            return Err(ModelError::NoLabelEncoder { name: self.about.name.clone() });
        };
        let (base, towers) = (self.base.as_ref(), self.base.towers()?);
        let embed = |labels: &[Label]| {
            let texts = self.label_side.read(base, labels)?;
            let all: Vec<u32> = (0..labels.len() as u32).collect();
            let embedded = self.label_side.embed(base, &self.additions, &texts, &all, None)?;
            Ok::<_, ModelError>((texts.plain, embedded))
        };
        let (plain, embedded) = embed(std::slice::from_ref(label))?;
        let (Some(soft), Some(attributes)) = (&embedded.soft, &embedded.attributes) else {
            return Err(ModelError::NoLabelEncoder { name: self.about.name.clone() });
        };
        let gate = encoder.gate().to_scalar::<f32>()?;
        let sum = (&plain + (soft * f64::from(gate))?)?; // [1, D]
        let length = sum.sqr()?.sum_all()?.sqrt()?.to_scalar::<f32>()?;
        let along = (&plain * &sum)?.sum_all()?.to_scalar::<f32>()? / length;

        let tokens = unit_rows(&towers.text_tower()?.all_tokens()?)?;
        let similarities = unit_rows(&attributes.squeeze(0)?)?.matmul(&tokens.t()?)?.to_vec2::<f32>()?; // [k, vocabulary]
        let word = |id: usize| towers.token(id as u32);
        let attributes = similarities.iter().map(|row| nearest(row, count, word)).collect();

        let mut near = [Vec::new(), Vec::new()];
        if !among.is_empty() {
            let mut others = [Vec::new(), Vec::new()];
            for batch in among.chunks(self.label_batch()) {
                let (plain, embedded) = embed(batch)?;
                others[0].push(unit_rows(&plain)?);
                others[1].push(unit_rows(&embedded.labels)?);
            }
            let own = [unit_rows(&plain)?, unit_rows(&embedded.labels)?];
            for ((near, others), own) in near.iter_mut().zip(others).zip(own) {
                let others = Tensor::cat(&others, 0)?;
                let row = others.broadcast_mul(&own)?.sum(D::Minus1)?.to_vec1::<f32>()?;
                *near = nearest(&row, count, |other| among[other].name.clone());
            }
        }
        let [before, after] = near;
        Ok(Explanation { label: label.name.clone(), gate, prompt_share: along / length, attributes, before, after })
    }
}

/// The `count` greatest, greatest first.
fn nearest(similarities: &[f32], count: usize, name: impl Fn(usize) -> String) -> Vec<Near> {
    let mut order: Vec<usize> = (0..similarities.len()).collect();
    order.sort_by(|&a, &b| similarities[b].total_cmp(&similarities[a]));
    order.into_iter().take(count).map(|i| Near { name: name(i), similarity: similarities[i] }).collect()
}
