use std::path::PathBuf;

use candle_core::{Device, Result, Tensor};
use serde::Deserialize;

use super::{gguf::Gguf, llama::Llama};
use crate::nn::{Compute, on_every_path};
use lexivid_kernels::Precision;

/// What transformers answers on the same GGUF; scripts/goldens/llama.py.
#[derive(Deserialize)]
struct Tiny {
    texts: Vec<String>,
    tokens: Vec<Vec<u32>>,
    /// For the first texts: embeddings and every block's output, flattened `[T, E]`.
    states: Vec<Vec<Vec<f32>>>,
}

fn tiny() -> Result<(Gguf, Tiny)> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/llama_tiny.gguf");
    let golden = serde_json::from_str(include_str!("../../tests/goldens/llama_tiny.json")).expect("golden");
    Ok((Gguf::open(&path)?, golden))
}

fn exact() -> Compute {
    Compute::exact().expect("instructions that this processor has")
}

fn worst_difference(got: &Tensor, expected: &[f32]) -> Result<f32> {
    let got = got.flatten_all()?.to_vec1::<f32>()?;
    assert_eq!(got.len(), expected.len());
    Ok(got.iter().zip(expected).map(|(g, e)| (g - e).abs()).fold(0.0, f32::max))
}

#[test]
fn tokens_agree_with_the_tokenizers_library() -> Result<()> {
    let (gguf, golden) = tiny()?;
    let tokenizer = gguf.tokenizer()?;
    for (text, expected) in golden.texts.iter().zip(&golden.tokens) {
        let encoding = tokenizer.encode(text.as_str(), false).expect("tokenizes");
        assert_eq!(encoding.get_ids(), expected, "{text:?}");
    }
    Ok(())
}

#[test]
fn states_of_a_padded_batch_agree_with_transformers_on_every_path() -> Result<()> {
    for compute in on_every_path(Precision::F32) {
        agrees_with_transformers(&compute, 1e-5)?;
    }
    // States up to 5, eight bits of mantissa.
    for compute in on_every_path(Precision::Bf16) {
        agrees_with_transformers(&compute, 0.1)?;
    }
    Ok(())
}

fn agrees_with_transformers(compute: &Compute, tolerance: f32) -> Result<()> {
    let (mut gguf, golden) = tiny()?;
    let llama = Llama::from_gguf(&mut gguf, 3, compute)?;
    let length = golden.tokens[..2].iter().map(Vec::len).max().unwrap_or(0);
    let padded: Vec<u32> = (golden.tokens[..2].iter())
        .flat_map(|row| row.iter().copied().chain(std::iter::repeat(0)).take(length).collect::<Vec<_>>())
        .collect();
    let tokens = Tensor::from_vec(padded, (2, length), &Device::Cpu)?;
    let states = llama.hidden_states(&llama.embed(&tokens)?)?;
    for (text, expected) in golden.states.iter().enumerate() {
        assert_eq!(expected.len(), states.len());
        for (layer, expected) in expected.iter().enumerate() {
            let state = states[layer].get(text)?.narrow(0, 0, golden.tokens[text].len())?;
            let worst = worst_difference(&state, expected)?;
            let path = compute.isa;
            assert!(worst < tolerance, "{path}: text {text}, layer {layer}: max abs difference {worst}");
        }
    }
    Ok(())
}

#[test]
fn gradients_flow_to_the_input_embeddings() -> Result<()> {
    let (mut gguf, golden) = tiny()?;
    let llama = Llama::from_gguf(&mut gguf, 3, &exact())?;
    let tokens = Tensor::new(&golden.tokens[0][..4], &Device::Cpu)?.unsqueeze(0)?;
    let input = candle_core::Var::from_tensor(&llama.embed(&tokens)?)?;
    let loss = |x: &Tensor| llama.hidden_states(x)?[3].sqr()?.sum_all();
    let gradient = loss(&input)?.backward()?.get(&input).expect("a gradient").flatten_all()?.to_vec1::<f32>()?;
    // Central differences; the first token is seen by all later ones, so this also passes through the attention.
    for at in [0, 5, 30] {
        let moved = |by: f32| -> Result<f32> {
            let mut values = input.flatten_all()?.to_vec1::<f32>()?;
            values[at] += by;
            loss(&Tensor::from_vec(values, input.shape(), &Device::Cpu)?)?.to_scalar()
        };
        let numeric = (moved(1e-2)? - moved(-1e-2)?) / 2e-2;
        let error = (numeric - gradient[at]).abs();
        assert!(error < 1e-2 * numeric.abs().max(1.0), "at {at}: numeric {numeric}, backward {}", gradient[at]);
    }
    Ok(())
}

#[test]
fn too_long_an_input_and_too_many_layers_are_errors() -> Result<()> {
    let (mut gguf, _) = tiny()?;
    assert!(Llama::from_gguf(&mut gguf, 4, &exact()).is_err());
    let llama = Llama::from_gguf(&mut gguf, 1, &exact())?;
    let tokens = Tensor::zeros((1, 65), candle_core::DType::U32, &Device::Cpu)?;
    let message = llama.hidden_states(&llama.embed(&tokens)?).expect_err("65 of 64 tokens").to_string();
    assert!(message.contains("at most 64"), "{message}");
    Ok(())
}

#[test]
fn what_is_no_gguf_is_refused() {
    let file = tempfile::NamedTempFile::new().expect("temporary file");
    for bytes in [&b""[..], b"GG", b"not a model", b"GGUF\x03\0\0\0\xff\xff"] {
        std::fs::write(file.path(), bytes).expect("writes");
        assert!(Gguf::open(file.path()).is_err(), "{bytes:?}");
    }
}
