"""Tiny language models of every family that soft_attributes reads, with pseudo-random weights, in Hugging Face's layout and,
converted with the gguf package, as GGUF files; and what transformers says of them: tokens, states, chat prompts, greedy
replies.

Run: pip install torch transformers gguf
     python scripts/goldens/language_models.py
"""

import json
from copy import deepcopy
from pathlib import Path

import gguf
import numpy as np
import torch
from pseudo_random import pseudo_random
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    MistralConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2Tokenizer,
    Qwen3Config,
)
from transformers.convert_slow_tokenizer import TikTokenConverter

FIXTURES = Path(__file__).parents[2] / "crates/lexivid/tests/fixtures/language_models"
TEXTS = [
    "A photo of a dog.",
    "route 66,  12345 km",
    "DON'T   stop\n\tnow \n\n xyz",
    "cafe\u0301 brûlée 🍮 東京タワー",
    "<|im_start|>user",
]
SYSTEM, QUESTION = "Be brief. ", "Name a dog."
EXAMPLES = [("Name a cat.", "Tom"), ("Name a cow.", "Elsie")]
NEW_TOKENS = 24
CHATML = """\
{%- if messages[0]['role'] != 'system' %}
    {{- '<|im_start|>system\\nYou help.<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {{- '<|im_start|>' + message['role'] + '\\n' + message.content.strip() + '<|im_end|>' + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
"""
HEADERS = """\
{% for message in messages %}
{% set content = '<|start|>' + message['role'] + '<|stop|>\\n\\n' + message['content'] | trim + '<|turn|>' %}
{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}
{{- content -}}
{% endfor %}
{% if add_generation_prompt %}{{- '<|start|>assistant<|stop|>\\n\\n' -}}{% endif %}
"""
INSTRUCTIONS = """\
{{ bos_token }}{% for message in messages %}\
{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}\
{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token }}\
{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}"""

LETTERS = sorted(pre_tokenizers.ByteLevel.alphabet())
MERGES = ["Ġ a", "p h", "o t", "ph ot", "Ġ o", "Ġo f", "d o", "do g", "1 2", "12 3", "3 4", "Ġ 1", "Ġ Ġ", "' T", "Ċ Ċ", "Ċ ĉ"]
# The last one is a word that no merge leads to.
WORDS = [*LETTERS, *(merge.replace(" ", "") for merge in MERGES), "xyz"]


def qwen_tokenizer() -> PreTrainedTokenizerFast:
    vocab = {token: i for i, token in enumerate([*WORDS, "<|endoftext|>", "<|im_start|>", "<|im_end|>"])}
    tokenizer = Qwen2Tokenizer(vocab=vocab, merges=[tuple(merge.split(" ")) for merge in MERGES])
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.add_tokens([AddedToken("<think>", special=False, normalized=False)])
    tokenizer.chat_template = CHATML
    return tokenizer


def llama_tokenizer() -> PreTrainedTokenizerFast:
    special = ["<|begin|>", "<|end|>", "<|start|>", "<|stop|>", "<|turn|>"]
    vocab = {token: i for i, token in enumerate([*WORDS, *special])}
    pairs = [tuple(merge.split(" ")) for merge in MERGES]
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=pairs, ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(TikTokenConverter().pattern), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in special])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|begin|> $A", special_tokens=[("<|begin|>", vocab["<|begin|>"])]
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<|begin|>", eos_token="<|end|>")
    fast.chat_template = HEADERS
    return fast


def mistral_tokenizer() -> PreTrainedTokenizerFast:
    """As SentencePiece's: spaces are letters, and what is no letter is its bytes."""
    letters = [chr(c) for c in range(33, 127)]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{b:02X}>" for b in range(256)), "▁", *letters, "▁a", "do", "dog"]
    vocab = {token: i for i, token in enumerate(tokens)}
    pairs = [("▁", "a"), ("d", "o"), ("do", "g")]
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=pairs, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in tokens[:3]])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    fast.chat_template = INSTRUCTIONS
    return fast


COMMON = {"intermediate_size": 40, "num_hidden_layers": 2, "max_position_embeddings": 256, "rms_norm_eps": 1e-5}
LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}  # fmt: skip


def plain(theta: float) -> dict:
    return {"rope_type": "default", "rope_theta": theta}


# family: tokenizer, configuration, type of the stored weights, GGUF's architecture and pre-tokenizer
FAMILIES = {
    # Rotary frequencies scaled as in Llama 3.1, an output head of its own.
    "llama": (
        llama_tokenizer(),
        lambda n: LlamaConfig(
            vocab_size=n, hidden_size=32, num_attention_heads=2, num_key_value_heads=1, rope_parameters=LLAMA3, **COMMON
        ),
        torch.float32,
        (gguf.MODEL_ARCH.LLAMA, "llama-bpe"),
    ),
    # Heads wider than their share of the width; a sliding window shorter than the context.
    "mistral": (
        mistral_tokenizer(),
        lambda n: MistralConfig(
            vocab_size=n, hidden_size=20, num_attention_heads=2, num_key_value_heads=1, head_dim=16,
            sliding_window=96, rope_parameters=plain(10000.0), **COMMON,
        ),
        torch.float32,
        None,
    ),
    # Biases on queries, keys and values; the output head is the token embedding; stored in bf16; room for long questions.
    "qwen2": (
        qwen_tokenizer(),
        lambda n: Qwen2Config(
            vocab_size=n + 3, hidden_size=24, num_attention_heads=3, num_key_value_heads=1, tie_word_embeddings=True,
            rope_parameters=plain(1000000.0), **COMMON | {"max_position_embeddings": 4096},
        ),
        torch.bfloat16,
        (gguf.MODEL_ARCH.QWEN2, "qwen2"),
    ),
    # Norms on the heads of queries and keys.
    "qwen3": (
        qwen_tokenizer(),
        lambda n: Qwen3Config(
            vocab_size=n + 3, hidden_size=24, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
            tie_word_embeddings=True, rope_parameters=plain(1000000.0), **COMMON,
        ),
        torch.float32,
        (gguf.MODEL_ARCH.QWEN3, "qwen2"),
    ),
}  # fmt: skip


def raw_states(model, tokens: list[int]) -> list[torch.Tensor]:
    """Embeddings and every block's output, before the final norm: [T, E] each."""
    states = []
    hooks = [layer.register_forward_hook(lambda _m, _i, out: states.append(out)) for layer in model.model.layers]
    ids = torch.tensor([tokens])
    with torch.no_grad():
        states.append(model.model.embed_tokens(ids))
        model(ids)
    for hook in hooks:
        hook.remove()
    return [(s[0] if isinstance(s, tuple) else s)[0] for s in states]


def rounded(tensor: torch.Tensor) -> list:
    return [round(float(v), 6) for v in tensor.flatten()]


def greedy(model, prompt: list[int]) -> list[int]:
    """The greatest logit, one token after the other, no cache."""
    tokens = list(prompt)
    for _ in range(NEW_TOKENS):
        with torch.no_grad():
            logits = model(torch.tensor([tokens]), use_cache=False).logits[0, -1]
        first, second = logits.topk(2).values
        assert first - second > 2e-3, "too close for a test"
        tokens.append(int(logits.argmax()))
    return tokens[len(prompt) :]


def neighbours(weight: np.ndarray, heads: int) -> np.ndarray:
    """llama.cpp's order of the rows of query and key projections (convert_hf_to_gguf.py, `permute`)."""
    rows, width = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, width).swapaxes(1, 2).reshape(rows, width)


def to_gguf(path: Path, arch, pre: str, model, tokenizer, ends: list[int]) -> None:
    config = model.config
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[arch])
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    if arch == gguf.MODEL_ARCH.QWEN3:
        writer.add_key_length(config.head_dim)
        writer.add_value_length(config.head_dim)
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    added = {token["id"]: token for token in backend["added_tokens"]}
    tokens = {i: token for token, i in tokenizer.get_vocab().items()}
    names = [tokens.get(i, f"[PAD{i}]") for i in range(config.vocab_size)]
    kinds = [
        (3 if added[i]["special"] else 4) if i in added else (1 if i in tokens else 5) for i in range(config.vocab_size)
    ]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(names)
    writer.add_token_types(kinds)
    writer.add_token_merges(MERGES)
    if tokenizer.bos_token_id is not None:
        writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(ends[0])
    writer.add_chat_template(tokenizer.chat_template)
    table = gguf.get_tensor_name_map(arch, config.num_hidden_layers)
    state = model.state_dict()
    if config.tie_word_embeddings:
        del state["lm_head.weight"]
    for name, value in state.items():
        value = value.float().numpy()
        if arch == gguf.MODEL_ARCH.LLAMA and "q_proj" in name:
            value = neighbours(value, config.num_attention_heads)
        if arch == gguf.MODEL_ARCH.LLAMA and "k_proj" in name:
            value = neighbours(value, config.num_key_value_heads)
        writer.add_tensor(table.get_name(name, try_suffixes=(".weight", ".bias")), value)
    if config.rope_parameters["rope_type"] == "llama3":
        inverse = model.model.rotary_emb.inv_freq.numpy().astype(np.float64)
        count = len(inverse)
        unscaled = config.rope_parameters["rope_theta"] ** (-np.arange(count) / count)
        writer.add_tensor("rope_freqs.weight", (unscaled / inverse).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def make(family: str) -> None:
    tokenizer, config, dtype, as_gguf = FAMILIES[family]
    config = config(len(tokenizer))
    config.eos_token_id = None
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    state = {}
    for seed, (name, value) in enumerate(model.state_dict().items()):
        noise = torch.from_numpy(pseudo_random(seed, value.numel())).reshape(value.shape).float()
        norm = value.ndim == 1 and not name.endswith("bias")
        state[name] = (1 + 0.2 * noise if norm else noise * 0.4).to(dtype).float()
    if config.tie_word_embeddings:
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model.load_state_dict(state)

    def chat_of(examples: list[tuple[str, str]]) -> str:
        turns = [turn for asked, answer in examples for turn in (("user", asked), ("assistant", answer))]
        turns = [("system", SYSTEM), *turns, ("user", QUESTION)]
        if family == "mistral":  # takes no word of the system's
            turns = [("user", f"{SYSTEM}\n\n{turns[1][1]}"), *turns[2:]]
        messages = [{"role": role, "content": content} for role, content in turns]
        return tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True, enable_thinking=False
        )

    chat = chat_of([])
    prompt = tokenizer(chat, add_special_tokens=False).input_ids
    reply = greedy(model, prompt)
    # The Llama never ends; the others end with a token that the reply comes to, listed last.
    ends = [tokenizer.eos_token_id]
    if family != "llama":
        ends = [reply[next(i for i in range(6, NEW_TOKENS) if reply[i] not in reply[:i])]]
    assert family != "llama" or ends[0] not in reply

    directory = FIXTURES / family
    directory.mkdir(parents=True, exist_ok=True)
    model.generation_config.eos_token_id = [len(tokenizer) - 1, *ends] if family == "qwen3" else ends[0]
    model.generation_config.do_sample = False
    # A copy: `to` would round the rotary frequencies, too.
    stored = deepcopy(model).to(dtype)
    stored.save_pretrained(directory, max_shard_size="20KB" if family == "qwen3" else "1MB")
    tokenizer.save_pretrained(directory)
    if as_gguf:
        path = FIXTURES / f"{family}.gguf"
        to_gguf(path, *as_gguf, model, tokenizer, ends)
        if family != "llama":  # transformers reads no rope_freqs.weight
            read = {"gguf_file": path.name, "dtype": torch.float32, "attn_implementation": "eager"}
            # It does not read Qwen3's width of a head.
            again = AutoModelForCausalLM.from_pretrained(FIXTURES, config=deepcopy(config), **read)
            for ours, theirs in zip(raw_states(model, prompt), raw_states(again, prompt)):
                assert (ours - theirs).abs().max() < 1e-5, path

    ids = [tokenizer(text).input_ids for text in TEXTS]
    golden = {
        "texts": TEXTS,
        "tokens": ids,
        "states": [[rounded(s) for s in raw_states(model, row)] for row in ids[:2]],
        "chat": chat,
        "chat_with_examples": chat_of(EXAMPLES),
        "prompt": prompt,
        "greedy": reply,
        "end": ends[0],
        "text": tokenizer.decode(reply[: reply.index(ends[0])] if ends[0] in reply else reply, skip_special_tokens=True),
    }
    (directory / "golden.json").write_text(json.dumps(golden))


torch.set_num_threads(1)
for family in FAMILIES:
    make(family)
