"""Fits the starter's calibration of things (KNOWN and INFERRED in models/starter/mod.rs): similarity -> probability, and tells how reliable it is for labels that it was not
fitted on (five folds of labels; shares are weighted like the fit).

Pictures: the emoji of Noto Color Emoji (OFL-1.1), drawn on generated backgrounds; their Unicode names are the labels. None of this is evaluation
data. Embeddings are the program's own, as they are before calibration.

Run: pip install numpy pillow; lexivid models pull starter
     python scripts/calibration/things.py LEXIVID "$(lexivid models path starter)" "$(scripts/stage-assets)/noto.ttf"

Printed:
KNOWN: 139 labels, scale 28.2, bias -4.05; at p = 0.5: 0.35 of present, 0.004 of absent
  labels left out: calibration error 0.0056; of p > .1 0.043
  mean p: share there (pairs): 0.02: 0.02 (190824), 0.14: 0.18 (6715), 0.24: 0.27 (1693), 0.35: 0.39 (739), 0.45: 0.56 (436), 0.54: 0.50 (303),
  0.64: 0.62 (219), 0.76: 0.72 (137), 0.86: 0.82 (137), 0.98: 0.95 (208)
INFERRED: 334 labels, scale 19.7, bias -3.58; at p = 0.5: 0.09 of present, 0.002 of absent
  labels left out: calibration error 0.0006; of p > .1 0.006
  mean p: share there (pairs): 0.03: 0.03 (443627), 0.14: 0.14 (28127), 0.24: 0.24 (6989), 0.34: 0.34 (2726), 0.45: 0.40 (1317), 0.55: 0.56 (630),
  0.64: 0.67 (294), 0.75: 0.68 (166), 0.84: 0.88 (69), 0.93: 0.94 (21)
"""

import json
import sys
import tempfile
import unicodedata
from pathlib import Path

import logistic
import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from program import embedded

LEXIVID, STARTER, FONT = map(Path, sys.argv[1:4])
PICTURES = 3
# Animals, plants, food, vehicles and things; no faces, hands, signs or people.
BLOCKS = [(0x1F32D, 0x1F380), (0x1F3A4, 0x1F3C0), (0x1F400, 0x1F440), (0x1F451, 0x1F463), (0x1F4A1, 0x1F52E),
          (0x1F680, 0x1F6A6), (0x1F6B2, 0x1F6B3), (0x1F6CB, 0x1F6D2), (0x1F6F4, 0x1F6FD), (0x1F940, 0x1F970),
          (0x1F980, 0x1F9B0), (0x1F9C0, 0x1F9CC), (0x1F9E6, 0x1FA00), (0x1FA70, 0x1FAF0)]  # fmt: skip
# Words of Unicode's names that do not belong to the thing.
DROP = {"FACE", "SYMBOL", "WITH", "SLICE", "OF", "AND", "EMOJI", "CLOSED", "OPEN", "SPIRAL"}


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


def draw(cut_outs: list[Image.Image], directory: Path):
    """Three pictures of every cut-out, named by its place."""
    rng = np.random.default_rng(0)
    for place, cut_out in enumerate(cut_outs):
        for take in range(PICTURES):
            scene, side = background(rng), int(rng.integers(180, 290))
            scale = side / max(cut_out.size)
            thing = cut_out.resize([max(1, round(s * scale)) for s in cut_out.size], Image.BICUBIC)
            scene.paste(thing, [int(rng.integers(0, 321 - s)) for s in thing.size], thing)
            scene.save(directory / f"{place:04}-{take}.png")


if __name__ == "__main__":
    pairs = emoji()
    labels = sorted({label for label, _ in pairs})
    index = np.array([labels.index(label) for label, _ in pairs])
    known = json.loads((STARTER / "names.json").read_text())["known"]
    anchor = np.array([known.get(label, -1) for label in labels])
    embeddings = embedded(LEXIVID, *(f"--label={label}" for label in labels))
    with tempfile.TemporaryDirectory() as directory:
        draw([picture for _, picture in pairs], Path(directory))
        features = embedded(LEXIVID, directory)
    similarity = features @ embeddings.T  # [pictures * 3, labels]
    present = np.repeat(index, PICTURES)[:, None] == np.arange(len(labels))
    for name, columns in (("KNOWN", anchor >= 0), ("INFERRED", anchor < 0)):
        logistic.tell(name, similarity[:, columns], present[:, columns].astype(float))
