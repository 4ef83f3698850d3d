"""Fits the starter's calibration (KNOWN and INFERRED in models/starter/mod.rs): similarity -> probability.

Pictures: the emoji of Noto Color Emoji (Debian fonts-noto-color-emoji, Apache-2.0 and OFL-1.1), drawn on generated
backgrounds; their Unicode names are the labels. None of this is evaluation data. Image and text features are computed by
PyTorch and transformers from the packages that the starter is made of; the regression is the starter's own.

Run: pip install torch transformers accelerate gguf pillow efficientnet-lite-pytorch==0.1.0 safetensors
     python scripts/calibration/starter.py STARTER_DIRECTORY EFFICIENTNET.pth NotoColorEmoji.ttf

Printed (Noto 2.042, 483 emoji, 3 pictures each):
KNOWN: 139 labels, scale 22.0, bias -2.88; at p = 0.5: 0.30 of present, 0.008 of absent
INFERRED: 334 labels, scale 12.1, bias -2.55; at p = 0.5: 0.02 of present, 0.001 of absent
"""

import json
import sys
import unicodedata
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from safetensors.numpy import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

torch.set_num_threads(2)
STARTER, CHECKPOINT, FONT = map(Path, sys.argv[1:4])
# Animals, plants, food, vehicles and things; no faces, hands, signs or people.
BLOCKS = [(0x1F32D, 0x1F380), (0x1F3A4, 0x1F3C0), (0x1F400, 0x1F440), (0x1F451, 0x1F463), (0x1F4A1, 0x1F52E),
          (0x1F680, 0x1F6A6), (0x1F6B2, 0x1F6B3), (0x1F6CB, 0x1F6D2), (0x1F6F4, 0x1F6FD), (0x1F940, 0x1F970),
          (0x1F980, 0x1F9B0), (0x1F9C0, 0x1F9CC), (0x1F9E6, 0x1FA00), (0x1FA70, 0x1FAF0)]  # fmt: skip
# Words of Unicode's names that do not belong to the thing.
DROP = {"FACE", "SYMBOL", "WITH", "SLICE", "OF", "AND", "EMOJI", "CLOSED", "OPEN", "SPIRAL"}


def unit(x):
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)


def emoji() -> list[tuple[str, Image.Image]]:
    """(label, RGBA cut-out) of every emoji whose name is one or two plain words."""
    font = ImageFont.truetype(FONT, 109)
    found = []
    for first, last in BLOCKS:
        for code in range(first, last):
            words = unicodedata.name(chr(code), "").split()
            if not 1 <= len(words) <= 2 or DROP & set(words) - {"FACE"} or not font.getmask(chr(code)).getbbox():
                continue
            name = " ".join(word for word in words if word != "FACE").lower()
            picture = Image.new("RGBA", (136, 128))
            ImageDraw.Draw(picture).text((0, 0), chr(code), font=font, embedded_color=True)
            box = picture.getchannel("A").getbbox()
            if name and box:
                found.append((name, picture.crop(box)))
    return found


def background(rng: np.random.Generator) -> Image.Image:
    """White, grey, a ramp between two colours, or blurred noise: 320 x 320."""
    kind = rng.integers(4)
    if kind < 2:
        return Image.new("RGB", (320, 320), (255,) * 3 if kind == 0 else (int(rng.integers(60, 200)),) * 3)
    if kind == 2:
        ramp, ends = np.linspace(0, 1, 320)[:, None, None], rng.integers(0, 256, (2, 3))
        return Image.fromarray(np.broadcast_to(ends[0] * (1 - ramp) + ends[1] * ramp, (320, 320, 3)).astype(np.uint8))
    noise = Image.fromarray(rng.integers(0, 256, (12, 12, 3)).astype(np.uint8))
    return noise.resize((320, 320), Image.BICUBIC).filter(ImageFilter.GaussianBlur(4))


def image_features(cut_outs: list[Image.Image]) -> np.ndarray:
    """As models/starter does it: centre crop and stretched view, normalised, averaged. Three pictures a cut-out."""
    tower = EfficientNet.from_name("efficientnet-lite2").eval()
    tower.load_state_dict(torch.load(CHECKPOINT, weights_only=True))
    rng, features = np.random.default_rng(0), []
    for cut_out in cut_outs:
        views = []
        for _ in range(3):
            scene, side = background(rng), int(rng.integers(180, 290))
            scale = side / max(cut_out.size)
            thing = cut_out.resize([max(1, round(s * scale)) for s in cut_out.size], Image.BICUBIC)
            scene.paste(thing, [int(rng.integers(0, 321 - s)) for s in thing.size], thing)
            views += [scene.resize((297, 297), Image.BICUBIC).crop((18, 18, 278, 278)),
                      scene.resize((260, 260), Image.BICUBIC)]  # fmt: skip
        pixels = torch.from_numpy((np.stack([np.asarray(v, np.float32) for v in views]) - 127) / 128)
        with torch.no_grad():
            h = tower.extract_features(pixels.permute(0, 3, 1, 2)).mean((2, 3)).numpy()
        features.append(unit(unit(h).reshape(3, 2, -1).mean(1)))
    return np.stack(features)


def label_embeddings(labels: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Inferred embeddings [N, D], and the anchor of a known name or -1."""
    tensors, names = load_file(STARTER / "regression.safetensors"), json.loads((STARTER / "names.json").read_text())
    gguf = {"gguf_file": "smollm2-135m-instruct.gguf"}
    tokenizer = AutoTokenizer.from_pretrained(STARTER, **gguf)
    llm = AutoModelForCausalLM.from_pretrained(STARTER, dtype=torch.float32, **gguf)
    rows = []
    for label in labels:
        with torch.no_grad():
            tokens = tokenizer(f"A photo of a {label}.", return_tensors="pt")
            states = llm.model(**tokens, output_hidden_states=True).hidden_states
        rows.append(np.concatenate([unit(states[8][0].mean(0).numpy()), unit(states[24][0, -1].numpy())]))
    x = np.stack(rows)
    distance = (x**2).sum(1)[:, None] + (tensors["anchors"] ** 2).sum(1)[None] - 2 * x @ tensors["anchors"].T
    inferred = unit(np.exp(-distance / tensors["width"]) @ tensors["coefficients"])
    anchor = np.array([names["known"].get(label, -1) for label in labels])
    return np.where(anchor[:, None] >= 0, tensors["rows"][anchor], inferred), anchor


def fit(similarity: np.ndarray, present: np.ndarray, prior: float) -> tuple[float, float]:
    """Logistic regression by Newton's method, classes weighted so that positives make up `prior`."""
    weight = np.where(present, prior / present.sum(), (1 - prior) / (~present).sum())
    x, theta = np.stack([similarity, np.ones_like(similarity)], 1), np.zeros(2)
    for _ in range(50):
        p = 1 / (1 + np.exp(-x @ theta))
        gradient = x.T @ (weight * (present - p))
        theta += np.linalg.solve((x * (weight * p * (1 - p))[:, None]).T @ x + 1e-9 * np.eye(2), gradient)
    return theta[0], theta[1]


if __name__ == "__main__":
    pairs = emoji()
    labels = sorted({label for label, _ in pairs})
    index = np.array([labels.index(label) for label, _ in pairs])
    embeddings, anchor = label_embeddings(labels)
    features = image_features([picture for _, picture in pairs])
    similarity = features.reshape(-1, features.shape[-1]) @ embeddings.T  # [pictures * 3, labels]
    present = np.repeat(index, 3)[:, None] == np.arange(len(labels))
    for name, columns in (("KNOWN", anchor >= 0), ("INFERRED", anchor < 0)):
        s, y = similarity[:, columns].ravel(), present[:, columns].ravel()
        scale, bias = fit(s, y, prior=0.1)
        p = 1 / (1 + np.exp(-(scale * s + bias)))
        print(f"{name}: {columns.sum()} labels, scale {scale:.1f}, bias {bias:.2f}; at p = 0.5: "
              f"{(p[y] >= 0.5).mean():.2f} of present, {(p[~y] >= 0.5).mean():.3f} of absent")  # fmt: skip
