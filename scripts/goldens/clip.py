"""Tiny CLIP, SigLIP and SigLIP 2 models with random weights, and what transformers makes of them.

    python scripts/goldens/clip.py crates/lexivid/tests/fixtures

Needs: torch, transformers, safetensors, sentencepiece, protobuf (made with torch 2.15, transformers 5.23).
Writes one model directory each, in Hugging Face's layout, with `golden.safetensors` (inputs, hidden states,
embeddings, logits) and `tokens.json` (awkward texts and the ids of the reference tokenizer).
"""

import io
import json
import sys
from pathlib import Path
from pydoc_data.topics import topics

import sentencepiece
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPTokenizer,
    Siglip2Config,
    Siglip2Model,
    Siglip2Tokenizer,
    SiglipConfig,
    SiglipModel,
    SiglipTokenizer,
)
from transformers.convert_slow_tokenizer import import_protobuf
from transformers.models.siglip2.image_processing_pil_siglip2 import convert_image_to_patches

OUT = Path(sys.argv[1])
# Plain English of the Python documentation, only to have some merges.
CORPUS = [line for name in sorted(topics)[:40] for line in topics[name].splitlines() if line.strip()]

AWKWARD = [
    "",
    " ",
    "dog",
    "a photo of a dog.",
    "Riding a BIKE",
    "crème brûlée",
    "cre\u0300me bru\u0302le\u0301e",
    "naïve Ångström ﬁre",
    "👩‍👩‍👧‍👦 family 🐕",
    "犬と猫",
    "Собака",
    "كلب",
    "İstanbul STRASSE ẞ",
    "tabs\tand\nnewlines\r\nand  many   spaces",
    "non\u00a0breaking\u3000ideographic\u2009thin",
    "control \x01\x02\x07 characters \x7f",
    "zero\u200bwidth \ufeffmark",
    "it's don't we've I'll he'd I'm you're",
    "price: $1,234.56 (50% off!) #1 @home ~ ^ ` | \\ / < >",
    "1234567890 12 3",
    "_under_score_ and-hyphen—dash…",
    "the " * 100,
    "x" * 300,
    "🐕" * 60,
]


def clip_tokenizer():
    """CLIP's pipeline over a small byte-pair vocabulary, ids in CLIP's order: bytes, bytes at a word's end, merges, start, end."""
    pipeline = CLIPTokenizer()._tokenizer
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    small = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    small.normalizer, small.pre_tokenizer = pipeline.normalizer, pipeline.pre_tokenizer
    small.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=700, end_of_word_suffix="</w>", initial_alphabet=alphabet)
    )
    merges = [tuple(m) for m in json.loads(small.to_str())["model"]["merges"]]
    tokens = alphabet + [c + "</w>" for c in alphabet] + ["".join(m) for m in merges]
    tokens = list(dict.fromkeys(tokens)) + ["<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={t: i for i, t in enumerate(tokens)}, merges=merges, model_max_length=77)


def siglip_tokenizer(directory):
    """A small SentencePiece unigram model, and the tokenizer.json that stands for it."""
    directory.mkdir(parents=True, exist_ok=True)
    proto = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS), model_writer=proto, vocab_size=400, model_type="unigram",
        pad_id=-1, eos_id=1, unk_id=2, bos_id=-1, user_defined_symbols="<pad>", normalization_rule_name="identity",
        minloglevel=2,
    )  # fmt: skip
    spiece = directory / "spiece.model"
    spiece.write_bytes(proto.getvalue())
    slow = SiglipTokenizer(str(spiece))
    model = import_protobuf().ModelProto()
    model.ParseFromString(proto.getvalue())
    fast = Tokenizer(models.Unigram([(p.piece, p.score) for p in model.pieces], unk_id=2))
    fast.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    fast.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", slow.eos_token_id)])
    fast.save(str(directory / "tokenizer.json"), pretty=False)
    spiece.unlink()
    (directory / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "SiglipTokenizer", "pad_token": "</s>", "model_max_length": 64})
    )
    return slow


def siglip2_tokenizer():
    """Gemma's pipeline, lower-cased, over a small byte-pair vocabulary with bytes to fall back on."""
    pipeline = Siglip2Tokenizer()._tokenizer
    small = Tokenizer(models.BPE())
    small.normalizer, small.pre_tokenizer = pipeline.normalizer, pipeline.pre_tokenizer
    small.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=300))
    model = json.loads(small.to_str())["model"]
    specials = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    tokens = specials + [f"<0x{b:02X}>" for b in range(256)] + list(model["vocab"])
    tokenizer = Siglip2Tokenizer(
        vocab={t: i for i, t in enumerate(dict.fromkeys(tokens))},
        merges=[tuple(m) for m in model["merges"]],
        model_max_length=64,
    )
    tokenizer._tokenizer.post_processor = processors.TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 1)])
    return tokenizer


def randomise(model):
    """Weights of a size at which every layer matters; transformers' own initialisation is too small to show mistakes."""
    generator = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        if name in ("logit_scale", "logit_bias"):
            parameter.data.fill_({"logit_scale": 3.0, "logit_bias": -4.0}[name])
        else:
            noise = torch.randn(parameter.shape, generator=generator)
            around_one = "norm" in name and name.endswith("weight")
            scale = 0.1 if parameter.ndim == 1 else 0.8 * parameter.shape[-1] ** -0.5
            parameter.data = noise * scale + (1.0 if around_one else 0.0)
    return model.eval()


def write(name, model, dtype, ids, pixel_values, picture, vision_inputs, preprocessor, max_shard_size="1GB"):
    """Saves the model in `dtype` and what its rounded weights make of the inputs in f32."""
    directory = OUT / name
    randomise(model).to(dtype).save_pretrained(directory, max_shard_size=max_shard_size)
    model.float()
    (directory / "generation_config.json").unlink(missing_ok=True)
    (directory / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    with torch.no_grad():
        text = model.text_model(input_ids=ids, output_hidden_states=True)
        vision = model.vision_model(**vision_inputs, output_hidden_states=True)
        out = model(input_ids=ids, **vision_inputs)
    golden = {
        "ids": ids.int(),
        "pixels": pixel_values,
        "picture": picture,
        "text_embeds": out.text_embeds,
        "image_embeds": out.image_embeds,
        "logits_per_image": out.logits_per_image,
    }
    golden |= {f"text_hidden.{i}": h for i, h in enumerate(text.hidden_states)}
    golden |= {f"vision_hidden.{i}": h for i, h in enumerate(vision.hidden_states)}
    save_file({k: v.contiguous() for k, v in golden.items()}, directory / "golden.safetensors")


def write_tokens(directory, encode):
    """`encode`: text -> ids with start and end, cut to the context as the reference does."""
    tokens = [{"text": text, "ids": encode(text)} for text in AWKWARD]
    (directory / "tokens.json").write_text(json.dumps(tokens, ensure_ascii=True))


def pictures(size, mean, std):
    """Two random 8-bit pictures `[2, H, W, 3]`, and the same normalised, `[2, 3, H, W]`."""
    picture = torch.randint(0, 256, (2, size, size, 3), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    mean, std = torch.tensor(mean), torch.tensor(std)
    return picture, ((picture.float() / 255 - mean) / std).permute(0, 3, 1, 2).contiguous()


def prompts(tokenizer, **padding):
    """Ids of three sentences of different lengths, padded."""
    rows = [encode_row(tokenizer, t) for t in ("a photo of a dog.", "a video of riding a bike.", "cat")]
    length = padding.get("to", max(map(len, rows)))
    return torch.tensor([row + [padding["pad"]] * (length - len(row)) for row in rows])


def encode_row(tokenizer, text):
    return tokenizer(text, truncation=True)["input_ids"]


tower = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4)


def clip(name, act, eos, dtype, max_shard_size):
    tokenizer = clip_tokenizer()
    end = len(tokenizer) - 1
    text = dict(tower, vocab_size=len(tokenizer), hidden_act=act, eos_token_id=eos or end, bos_token_id=end - 1)
    text["hidden_size"], text["num_attention_heads"] = 24, 2
    vision = dict(tower, image_size=12, patch_size=4, hidden_act=act)
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)
    mean, std = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
    picture, pixels = pictures(12, mean, std)
    preprocessor = {
        "crop_size": {"height": 12, "width": 12}, "do_center_crop": True, "do_normalize": True, "do_resize": True,
        "image_mean": mean, "image_std": std, "resample": 3, "size": {"shortest_edge": 12},
    }  # fmt: skip
    ids = prompts(tokenizer, pad=end)
    write(name, CLIPModel(config), dtype, ids, pixels, picture, {"pixel_values": pixels}, preprocessor, max_shard_size)
    tokenizer.save_pretrained(OUT / name)
    write_tokens(OUT / name, lambda t: encode_row(tokenizer, t))


def siglip():
    tokenizer = siglip_tokenizer(OUT / "siglip")
    text = dict(tower, vocab_size=len(tokenizer), max_position_embeddings=64)
    # 14 is no multiple of 4: as in so400m-patch14-384, the last pixels belong to no patch.
    config = SiglipConfig(text_config=text, vision_config=dict(tower, image_size=14, patch_size=4))
    picture, pixels = pictures(14, [0.5] * 3, [0.5] * 3)
    preprocessor = {
        "do_normalize": True, "do_resize": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3,
        "resample": 3, "size": {"height": 14, "width": 14},
    }  # fmt: skip
    ids = prompts(tokenizer, pad=tokenizer.pad_token_id, to=64)
    write("siglip", SiglipModel(config), torch.float16, ids, pixels, picture, {"pixel_values": pixels}, preprocessor)
    write_tokens(OUT / "siglip", lambda t: encode_row(tokenizer, t))


def siglip2():
    tokenizer = siglip2_tokenizer()
    text = dict(tower, vocab_size=len(tokenizer), max_position_embeddings=64)
    config = Siglip2Config(text_config=text, vision_config=dict(tower, num_patches=9, patch_size=4))
    picture, pixels = pictures(12, [0.5] * 3, [0.5] * 3)
    inputs = {
        "pixel_values": torch.stack([torch.from_numpy(convert_image_to_patches(p.numpy(), 4)) for p in pixels]),
        "pixel_attention_mask": torch.ones(2, 9, dtype=torch.int32),
        "spatial_shapes": torch.tensor([[3, 3], [3, 3]]),
    }
    preprocessor = {
        "do_normalize": True, "do_resize": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3,
        "resample": 2, "patch_size": 4, "max_num_patches": 9,
    }  # fmt: skip
    ids = prompts(tokenizer, pad=0, to=64)
    write("siglip2", Siglip2Model(config), torch.bfloat16, ids, pixels, picture, inputs, preprocessor)
    tokenizer.save_pretrained(OUT / "siglip2")
    write_tokens(OUT / "siglip2", lambda t: encode_row(tokenizer, t))


if __name__ == "__main__":
    clip("clip_quick_gelu", "quick_gelu", eos=2, dtype=torch.float32, max_shard_size="1GB")
    clip("clip_gelu", "gelu", eos=None, dtype=torch.float16, max_shard_size="40KB")
    siglip()
    siglip2()
