use super::*;
use crate::{
    label_embedding::LabelEncoderConfig,
    nn::unit_rows,
    soft_attributes::{LanguageModel, PromptingConfig, Reader},
    training::additions_start,
};
use candle_core::Var;
use std::collections::BTreeMap;

const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/clip_quick_gelu");
const LANGUAGE_MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/llama_tiny.gguf");

/// A tiny label encoder that was never trained, and everything beneath it.
struct Untrained {
    base: Arc<dyn Model>,
    side: LabelSide,
    additions: Additions,
    texts: LabelTexts,
    variables: BTreeMap<String, Var>,
}

fn untrained(reader: Reader, prefixes: usize) -> Untrained {
    let compute = Compute::exact().unwrap();
    let base = crate::models::load(TINY, &compute).unwrap();
    let encoder =
        LabelEncoderConfig { language_model: LANGUAGE_MODEL.into(), layers: Some(2), prefixes, attributes: 3, reader };
    let side = LabelSide::open(Some(&encoder), &compute).unwrap();
    let deviation = side.language_model().map_or(0.0, |model| LanguageModel::token_deviation(model).unwrap());
    let start = additions_start(1, Calibration { scale: 10.0, bias: -2.0 }, deviation, None);
    let weights = Weights::start(start, &compute);
    let config = AdditionsConfig { label_encoder: Some(encoder), ..AdditionsConfig::default() };
    let additions = Additions::load(&weights.root(), base.as_ref(), &side, &config).unwrap();
    let texts = side.read(base.as_ref(), &["dog", "riding a bike", "thin cat"].map(Label::new)).unwrap();
    let variables = weights.variables();
    Untrained { base, side, additions, texts, variables }
}

const PROMPTING: Reader = Reader::Prompting(PromptingConfig { blocks: 2, width: 8, heads: 2 });

impl Untrained {
    fn embed(&self, chosen: &[u32]) -> Tensor {
        let Self { base, side, additions, texts, .. } = self;
        unit_rows(&side.embed(base.as_ref(), additions, texts, chosen, None).unwrap().labels).unwrap()
    }

    fn open_the_gate(&self) {
        self.variables["label_encoder.gate"].set(&Tensor::new(0.7f32, &Device::Cpu).unwrap()).unwrap();
    }

    /// A loss that every number of the embeddings has a part in.
    fn loss(&self) -> Tensor {
        let embedded = self.embed(&[2, 0, 1]);
        let weights = Tensor::arange(0f32, embedded.elem_count() as f32, &Device::Cpu).unwrap().sin().unwrap();
        (embedded.flatten_all().unwrap() * weights).unwrap().sum_all().unwrap()
    }
}

#[test]
fn before_training_a_label_is_its_plain_prompt_exactly() {
    for reader in [PROMPTING, Reader::Pooled { width: 8 }, Reader::Shared] {
        let model = untrained(reader, 2);
        // As often normalised as f_t is: bit for bit the same.
        let plain = unit_rows(&unit_rows(&model.texts.plain).unwrap()).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(model.embed(&[0, 1, 2]).to_vec2::<f32>().unwrap(), plain);
        model.open_the_gate();
        assert_ne!(model.embed(&[0, 1, 2]).to_vec2::<f32>().unwrap(), plain);
    }
}

#[test]
fn a_label_does_not_depend_on_the_others_of_its_batch() {
    let model = untrained(PROMPTING, 2);
    model.open_the_gate();
    let together = model.embed(&[0, 1, 2]).to_vec2::<f32>().unwrap();
    for (label, together) in together.iter().enumerate() {
        let alone = &model.embed(&[label as u32]).to_vec2::<f32>().unwrap()[0];
        let apart = alone.iter().zip(together).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart < 1e-5, "{apart}");
    }
}

#[test]
fn kept_states_give_the_same_embeddings() {
    let mut model = untrained(PROMPTING, 0);
    model.open_the_gate();
    let before = model.embed(&[1, 2]).to_vec2::<f32>().unwrap();
    model.side.keep_states(&model.additions, &mut model.texts).unwrap();
    let after = model.embed(&[1, 2]).to_vec2::<f32>().unwrap();
    let apart = before.iter().flatten().zip(after.iter().flatten()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(apart < 1e-5, "{apart}");
}

#[test]
fn gradients_through_both_frozen_models_agree_with_finite_differences() {
    for reader in [PROMPTING, Reader::Pooled { width: 8 }, Reader::Shared] {
        let model = untrained(reader, 2);
        model.open_the_gate();
        let gradients = model.loss().backward().unwrap();
        let trained = model.variables.iter().filter(|(name, _)| name.starts_with("label_encoder."));
        for (name, variable) in trained {
            let gradient = gradients.get(variable).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let values = variable.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            // Along the gradient itself the difference is largest, and stands out from rounding.
            let length = gradient.iter().map(|g| g * g).sum::<f32>().sqrt();
            let step = 1e-2 / length.max(1e-2);
            let at = |sign: f32| {
                let moved: Vec<f32> = values.iter().zip(&gradient).map(|(v, g)| v + sign * step * g).collect();
                variable.set(&Tensor::from_vec(moved, variable.shape(), &Device::Cpu).unwrap()).unwrap();
                f64::from(model.loss().to_scalar::<f32>().unwrap())
            };
            let difference = (at(1.0) - at(-1.0)) / (2.0 * f64::from(step));
            variable.set(&Tensor::from_vec(values, variable.shape(), &Device::Cpu).unwrap()).unwrap();
            let expected = f64::from(length * length);
            let tolerance = 2e-2 * expected + 1e-5 / f64::from(step);
            assert!((difference - expected).abs() < tolerance, "{reader:?} {name}: {difference} {expected}");
        }
    }
}
