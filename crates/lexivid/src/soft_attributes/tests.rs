use super::{
    Decoder, Generator, LanguageModelError, Limits, Written,
    checkpoint::{self, Chat, ChatFormat, Checkpoint, Directory, Gguf},
};
use crate::nn::{Compute, on_every_path};
use candle_core::{Device, Result, Tensor};
use lexivid_kernels::Precision;
use serde::Deserialize;
use serde_json::{Value, json};
use std::{fs, ops::ControlFlow, path::PathBuf};

/// What transformers answers: scripts/goldens/llama.py, scripts/goldens/language_models.py.
#[derive(Deserialize)]
struct Golden {
    texts: Vec<String>,
    tokens: Vec<Vec<u32>>,
    /// For the first texts: embeddings and every block's output, flattened `[T, E]`.
    states: Vec<Vec<Vec<f32>>>,
}

fn fixture(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join(path)
}

fn read(checkpoint: &str, golden: &str) -> (Box<dyn Checkpoint>, Golden) {
    let golden = fs::read_to_string(fixture(golden)).expect("golden");
    let checkpoint = checkpoint::open(&fixture(checkpoint)).unwrap_or_else(|e| panic!("{e}"));
    (checkpoint, serde_json::from_str(&golden).expect("golden"))
}

/// Every family, from both kinds of files that it comes in.
fn every_family() -> Vec<(&'static str, Box<dyn Checkpoint>, Golden)> {
    [
        ("goldens/llama_tiny.gguf", "goldens/llama_tiny.json"),
        ("fixtures/language_models/llama", "fixtures/language_models/llama/golden.json"),
        ("fixtures/language_models/llama.gguf", "fixtures/language_models/llama/golden.json"),
        ("fixtures/language_models/mistral", "fixtures/language_models/mistral/golden.json"),
        ("fixtures/language_models/qwen2", "fixtures/language_models/qwen2/golden.json"),
        ("fixtures/language_models/qwen2.gguf", "fixtures/language_models/qwen2/golden.json"),
        ("fixtures/language_models/qwen3", "fixtures/language_models/qwen3/golden.json"),
        ("fixtures/language_models/qwen3.gguf", "fixtures/language_models/qwen3/golden.json"),
    ]
    .into_iter()
    .map(|(path, golden)| {
        let (checkpoint, golden) = read(path, golden);
        (path, checkpoint, golden)
    })
    .collect()
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
fn tokens_agree_with_transformers() {
    for (path, checkpoint, golden) in every_family() {
        let tokenizer = checkpoint.tokenizer().unwrap_or_else(|e| panic!("{e}"));
        for (text, expected) in golden.texts.iter().zip(&golden.tokens) {
            let encoding = tokenizer.encode(text.as_str(), true).expect("tokenizes");
            assert_eq!(encoding.get_ids(), expected, "{path}: {text:?}");
        }
    }
}

#[test]
fn states_of_a_padded_batch_agree_with_transformers_on_every_path() -> Result<()> {
    for (path, checkpoint, golden) in every_family() {
        for compute in on_every_path(Precision::F32) {
            let decoder = Decoder::load(checkpoint.as_ref(), None, &compute).unwrap_or_else(|e| panic!("{e}"));
            agrees_with_transformers(path, &decoder, &golden, 2e-5)?;
        }
        let tensors =
            Decoder::load_as(checkpoint.as_ref(), None, &exact(), false).unwrap_or_else(|e| panic!("{path}: {e}"));
        agrees_with_transformers(path, &tensors, &golden, 2e-5)?;
    }
    // States up to 5, eight bits of mantissa.
    let (checkpoint, golden) = read("goldens/llama_tiny.gguf", "goldens/llama_tiny.json");
    for compute in on_every_path(Precision::Bf16) {
        let decoder = Decoder::load(checkpoint.as_ref(), None, &compute).unwrap_or_else(|e| panic!("{e}"));
        agrees_with_transformers("bf16", &decoder, &golden, 0.1)?;
    }
    Ok(())
}

fn agrees_with_transformers(path: &str, decoder: &Decoder, golden: &Golden, tolerance: f32) -> Result<()> {
    let length = golden.tokens[..2].iter().map(Vec::len).max().unwrap_or(0);
    let padded: Vec<u32> = (golden.tokens[..2].iter())
        .flat_map(|row| row.iter().copied().chain(std::iter::repeat(0)).take(length).collect::<Vec<_>>())
        .collect();
    let tokens = Tensor::from_vec(padded, (2, length), &Device::Cpu)?;
    let states = decoder.hidden_states(&decoder.embed(&tokens)?)?;
    for (text, expected) in golden.states.iter().enumerate() {
        assert_eq!(expected.len(), states.len());
        for (layer, expected) in expected.iter().enumerate() {
            let state = states[layer].get(text)?.narrow(0, 0, golden.tokens[text].len())?;
            let worst = worst_difference(&state, expected)?;
            assert!(worst < tolerance, "{path}: text {text}, layer {layer}: max abs difference {worst}");
        }
    }
    Ok(())
}

#[test]
fn gradients_flow_to_the_input_embeddings() -> Result<()> {
    for (path, checkpoint, golden) in every_family() {
        let decoder = Decoder::load(checkpoint.as_ref(), None, &exact()).unwrap_or_else(|e| panic!("{e}"));
        let tokens = Tensor::new(&golden.tokens[0][..4], &Device::Cpu)?.unsqueeze(0)?;
        let input = candle_core::Var::from_tensor(&decoder.embed(&tokens)?)?;
        let loss = |x: &Tensor| decoder.last_state(x)?.sqr()?.sum_all();
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
            let close = error < 1e-2 * numeric.abs().max(1.0);
            assert!(close, "{path}: at {at}: numeric {numeric}, backward {}", gradient[at]);
        }
        // The tensor operations of other devices have gradients of their own.
        let tensors = Decoder::load_as(checkpoint.as_ref(), None, &exact(), false).unwrap_or_else(|e| panic!("{e}"));
        let of_tensors = tensors.last_state(&input)?.sqr()?.sum_all()?.backward()?;
        let of_tensors = of_tensors.get(&input).expect("a gradient");
        let worst = worst_difference(of_tensors, &gradient)?;
        let greatest = gradient.iter().fold(0.0f32, |greatest, g| greatest.max(g.abs()));
        assert!(worst < 1e-4 * greatest, "{path}: max abs difference {worst} of {greatest}");
    }
    Ok(())
}

#[test]
fn too_long_an_input_and_too_many_layers_are_errors() -> Result<()> {
    let (checkpoint, _) = read("goldens/llama_tiny.gguf", "goldens/llama_tiny.json");
    let error = Decoder::load(checkpoint.as_ref(), Some(4), &exact()).err().expect("refused");
    assert!(error.to_string().ends_with("llama_tiny.gguf: expected at least 4 blocks, got 3"), "{error}");
    // The Mistral's sliding window is shorter than its context.
    for (path, longest) in [("goldens/llama_tiny.gguf", 64), ("fixtures/language_models/mistral", 96)] {
        let checkpoint = checkpoint::open(&fixture(path)).unwrap_or_else(|e| panic!("{e}"));
        let decoder = Decoder::load(checkpoint.as_ref(), Some(1), &exact()).unwrap_or_else(|e| panic!("{e}"));
        let tokens = Tensor::zeros((1, longest + 1), candle_core::DType::U32, &Device::Cpu)?;
        let message = decoder.hidden_states(&decoder.embed(&tokens)?).expect_err("one too many").to_string();
        assert!(message.contains(&format!("at most {longest}")), "{message}");
    }
    Ok(())
}

#[test]
fn what_is_no_gguf_is_refused() {
    let file = tempfile::NamedTempFile::new().expect("temporary file");
    for bytes in [&b""[..], b"GG", b"not a model", b"GGUF\x03\0\0\0\xff\xff"] {
        fs::write(file.path(), bytes).expect("writes");
        let error = Gguf::open(file.path()).err().expect("refused");
        assert!(matches!(error, LanguageModelError::BadFile { .. }), "{error}");
    }
    let error = checkpoint::open(&fixture("nowhere.gguf")).err().expect("refused");
    assert!(matches!(error, LanguageModelError::Io { .. }), "{error}");
}

/// A copy of the tiny Llama's configuration with some fields changed.
fn refusal(changed: &Value) -> String {
    let dir = tempfile::tempdir().expect("temporary directory");
    let original = fixture("fixtures/language_models/llama");
    let json = fs::read_to_string(original.join("config.json")).expect("reads");
    let mut config: Value = serde_json::from_str(&json).expect("JSON");
    for (name, value) in changed.as_object().expect("fields") {
        config[name] = value.clone();
    }
    fs::write(dir.path().join("config.json"), config.to_string()).expect("writes");
    fs::copy(original.join("model.safetensors"), dir.path().join("model.safetensors")).expect("copies");
    let opened = Directory::open(dir.path());
    let error = opened.and_then(|directory| Decoder::load(&directory, None, &exact()).map(drop)).expect_err("refused");
    error.to_string()
}

#[test]
fn families_and_features_that_are_not_known_are_refused_by_name() {
    for (changed, expected) in [
        (json!({"model_type": "gemma3"}), "expected model_type llama, mistral, qwen2 or qwen3, got \"gemma3\""),
        (json!({"model_type": null}), "expected model_type llama, mistral, qwen2 or qwen3, got no text"),
        (json!({"hidden_act": "gelu"}), "expected hidden_act silu, got gelu"),
        (json!({"mlp_bias": true}), "expected attention_bias and mlp_bias false, got true"),
        (json!({"rope_parameters": {"rope_type": "yarn"}}), "expected rope_type default or llama3, got \"yarn\""),
        (json!({"rope_parameters": {"rope_type": "llama3"}}), "missing field `factor`"),
        (json!({"quantization_config": {"quant_method": "gptq"}}), "expected quantization_config none, got \"gptq\""),
        (json!({"partial_rotary_factor": 0.5}), "expected partial_rotary_factor 1, got 0.5"),
        (json!({"hidden_size": "wide"}), "invalid type: string \"wide\""),
        (json!({"num_key_value_heads": 0}), "expected heads of keys from 1 to 16777216, got 0"),
        (json!({"num_attention_heads": 5, "num_key_value_heads": 2}), "5 heads that share out among heads of keys"),
        (json!({"num_hidden_layers": 1u64 << 60}), "expected blocks from 1 to 16777216"),
        (json!({"head_dim": 15}), "expected an even width of a head, got 15"),
        // These are only seen by the weights.
        (json!({"intermediate_size": 41}), "expected shape [41, 32], got [40, 32]"),
        (json!({"model_type": "qwen2"}), "no tensor \"model.layers.0.self_attn.q_proj.bias\""),
        (json!({"model_type": "qwen3"}), "no tensor \"model.layers.0.self_attn.q_norm.weight\""),
    ] {
        let message = refusal(&changed);
        assert!(message.contains(expected), "{changed}: {message}");
    }
    let without = tempfile::tempdir().expect("temporary directory");
    let message = Directory::open(without.path()).err().expect("refused").to_string();
    assert!(message.contains("config.json"), "{message}");
}

/// The tiny Qwen2 as GGUF with some bytes replaced by as many others.
fn patched(from: &str, to: &str) -> std::result::Result<(), LanguageModelError> {
    assert_eq!(from.len(), to.len());
    let mut bytes = fs::read(fixture("fixtures/language_models/qwen2.gguf")).expect("reads");
    for at in 0..bytes.len() - from.len() {
        if bytes[at..].starts_with(from.as_bytes()) {
            bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        }
    }
    let file = tempfile::NamedTempFile::new().expect("temporary file");
    fs::write(file.path(), bytes).expect("writes");
    let gguf = Gguf::open(file.path())?;
    gguf.tokenizer()?;
    Decoder::load(&gguf, None, &exact()).map(drop)
}

#[test]
fn a_gguf_file_says_what_is_wrong_with_it() {
    patched("qwen2", "qwen2").expect("as it is");
    for (from, to, expected) in [
        ("qwen2", "gemma", "expected general.architecture llama, qwen2 or qwen3, got \"gemma\""),
        ("gpt2", "bert", "expected tokenizer.ggml.model gpt2 (byte-level pairs), got \"bert\""),
        ("ggml.pre", "ggml.not", "expected metadata \"tokenizer.ggml.pre\", got none"),
        ("ggml.merges", "ggml.mergez", "expected metadata \"tokenizer.ggml.merges\", got none"),
        ("block_count", "black_count", "expected metadata \"qwen2.block_count\", got none"),
        ("blk.1.ffn_up", "blk.9.ffn_up", "a tensor \"blk.1.ffn_up.weight\" of shape [40, 24], got none"),
        // The text of the chat template.
        ("tokenizer.chat_template", "qwen2.rope.scaling.type", "expected qwen2.rope.scaling.type none, got"),
        // What stands before the text is its type and its length.
        (
            "ggml.pre\u{8}\0\0\0\u{5}\0\0\0\0\0\0\0qwen2",
            "ggml.pre\u{8}\0\0\0\u{5}\0\0\0\0\0\0\0falco",
            "expected tokenizer.ggml.pre smollm, llama-bpe or qwen2, got \"falco\"",
        ),
    ] {
        let message = patched(from, to).expect_err("refused").to_string();
        assert!(message.contains(expected), "{from}: {message}");
    }
}

/// What transformers says to a question.
#[derive(Deserialize)]
struct Spoken {
    chat: String,
    chat_with_examples: String,
    prompt: Vec<u32>,
    greedy: Vec<u32>,
    end: u32,
    text: String,
}

const CHAT: Chat = Chat { system: "Be brief. ", examples: &[], question: "Name a dog." };

/// Every family that speaks, from both kinds of files.
fn every_speaker() -> Vec<(PathBuf, Spoken)> {
    ["llama", "llama.gguf", "mistral", "qwen2", "qwen2.gguf", "qwen3", "qwen3.gguf"]
        .into_iter()
        .map(|name| {
            let family = name.trim_end_matches(".gguf");
            let golden = fixture(&format!("fixtures/language_models/{family}/golden.json"));
            let golden = serde_json::from_str(&fs::read_to_string(golden).expect("golden")).expect("golden");
            (fixture(&format!("fixtures/language_models/{name}")), golden)
        })
        .collect()
}

fn speaker(path: &std::path::Path) -> Generator {
    Generator::open(path, &exact()).unwrap_or_else(|e| panic!("{e}"))
}

fn go_on() -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[test]
fn chat_templates_are_filled_in_as_transformers_does() {
    for (path, golden) in every_speaker() {
        let checkpoint = checkpoint::open(&path).unwrap_or_else(|e| panic!("{e}"));
        let chat = checkpoint.chat().unwrap_or_else(|e| panic!("{e}"));
        let prompt = chat.prompt(&CHAT).unwrap_or_else(|e| panic!("{path:?}: {e}"));
        assert_eq!(prompt, golden.chat, "{path:?}");
        let encoding = checkpoint.tokenizer().unwrap().encode(prompt, false).expect("tokenizes");
        assert_eq!(encoding.get_ids(), golden.prompt, "{path:?}");
        let with_examples = Chat { examples: &[("Name a cat.", "Tom"), ("Name a cow.", "Elsie")], ..CHAT };
        let prompt = chat.prompt(&with_examples).unwrap_or_else(|e| panic!("{path:?}: {e}"));
        assert_eq!(prompt, golden.chat_with_examples, "{path:?}");
    }
}

#[test]
fn without_a_template_a_text_is_gone_on_with_and_a_bad_one_is_told() {
    let mut chat = ChatFormat::default();
    assert_eq!(chat.prompt(&CHAT).unwrap(), "Be brief. \n\nName a dog.\n");
    let with_examples = Chat { examples: &[("Name a cat.", "Tom")], ..CHAT };
    assert_eq!(chat.prompt(&with_examples).unwrap(), "Be brief. \n\nName a cat.\nTom\n\nName a dog.\n");
    chat.template = Some("{{ raise_exception('not to me') }}".into());
    assert!(chat.prompt(&CHAT).unwrap_err().to_string().contains("not to me"));
    chat.template = Some("{% for".into());
    assert!(chat.prompt(&CHAT).is_err());
}

#[test]
fn a_directory_s_chat_template_may_stand_in_the_configuration_of_its_tokenizer() {
    let original = fixture("fixtures/language_models/llama");
    let dir = tempfile::tempdir().expect("temporary directory");
    for file in ["config.json", "model.safetensors"] {
        fs::copy(original.join(file), dir.path().join(file)).expect("copies");
    }
    for (template, expected) in [
        (json!("one"), Some("one")),
        (json!([{"name": "tool_use", "template": "tools"}, {"name": "default", "template": "two"}]), Some("two")),
        (Value::Null, None),
    ] {
        let config = json!({"chat_template": template, "bos_token": {"content": "<s>"}, "eos_token": "</s>"});
        fs::write(dir.path().join("tokenizer_config.json"), config.to_string()).expect("writes");
        let chat = Directory::open(dir.path()).and_then(|directory| directory.chat()).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(chat.template.as_deref(), expected);
        assert_eq!((chat.begin.as_str(), chat.end.as_str()), ("<s>", "</s>"));
    }
}

#[test]
fn greedy_replies_agree_with_transformers() {
    for (path, golden) in every_speaker() {
        let limits = Limits::tokens(golden.greedy.len());
        let written = speaker(&path).answer(&CHAT, limits, &mut go_on).unwrap_or_else(|e| panic!("{e}"));
        let end = golden.greedy.iter().position(|&token| token == golden.end);
        assert_eq!(written.tokens, golden.greedy[..end.unwrap_or(golden.greedy.len())], "{path:?}");
        assert_eq!((written.text, written.cut_off), (golden.text, end.is_none()), "{path:?}");
    }
}

#[test]
fn a_repeated_line_is_found_once_it_is_whole() {
    for (text, expected) in [("", None), ("a\nb\na", None), ("a\nb\na\n", Some(3)), ("a\nab\n", None), ("\n\n", None)] {
        assert_eq!(super::before_a_repeated_line(text), expected, "{text:?}");
    }
}

#[test]
fn writing_ends_at_its_limits() {
    let (path, golden) = every_speaker().swap_remove(0);
    let speaker = speaker(&path);
    let answer = |limits| speaker.answer(&CHAT, limits, &mut go_on).unwrap();
    assert_eq!(answer(Limits::tokens(3)).tokens, golden.greedy[..3]);
    assert_eq!(answer(Limits::tokens(0)), Written { text: String::new(), tokens: Vec::new(), cut_off: true });
    // "$y" is in the text, a token each.
    let stopped = answer(Limits { most: 24, enough: &|text| text.find("$y") });
    assert!(golden.text.starts_with(&format!("{}$y", stopped.text)) && !stopped.cut_off, "{stopped:?}");
    assert!(stopped.tokens.len() < golden.greedy.len());

    let mut left = 3;
    let mut stop_soon = || {
        left -= 1;
        if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let error = speaker.answer(&CHAT, Limits::tokens(24), &mut stop_soon).unwrap_err();
    assert!(matches!(error, LanguageModelError::Interrupted) && left == 0, "{error}");

    // 256 tokens are the context, of which the text has some.
    let long = "?!".repeat(120);
    let written = speaker.complete(&long, Limits::tokens(1000), &mut go_on).unwrap();
    assert!(written.cut_off);
    assert_eq!(written.tokens.len(), 256 - 241, "the first token and 240 letters are there");
    let error = speaker.complete(&"?!".repeat(130), Limits::tokens(1), &mut go_on).unwrap_err();
    assert!(error.to_string().contains("at most 256 tokens, got 261"), "{error}");
}
