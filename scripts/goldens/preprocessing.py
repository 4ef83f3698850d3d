"""Pixels made by Pillow and by transformers' CLIPImageProcessorPil out of generated pictures.

    pip install pillow==13.0.0 transformers==5.23.0 torch==2.15.0
    python scripts/goldens/preprocessing.py > crates/lexivid/tests/goldens/preprocessing.json
"""

import json
import sys

import numpy as np
from PIL import Image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

SIZES = [(1, 1), (3, 2), (37, 53), (53, 37), (641, 3), (100, 21), (64, 64), (200, 113)]
FILTERS = {"Bilinear": 2, "Bicubic": 3, "Lanczos": 1}
CROPS = [(16, 16), (18, 15), (12, 16)]  # shortest edge, crop
STRETCHES = [(14, 17)]  # height, width


def picture(width, height):
    """Smooth waves with sharp edges."""
    y, x, c = np.mgrid[0:height, 0:width, 0:3]
    value = (x * x * 3 + y * y * 5 + x * y * (c + 1) + 40 * c) // 7 % 256
    value[(x // 5 + y // 3) % 4 == 0] = 255
    value[(x // 7 + y // 4) % 5 == 0] = 0
    return Image.fromarray(value.astype(np.uint8), "RGB")


cases = []
for width, height in SIZES:
    image = picture(width, height)
    for name, number in FILTERS.items():
        for edge, crop in CROPS:
            processor = CLIPImageProcessorPil(
                size={"shortest_edge": edge},
                crop_size={"height": crop, "width": crop},
                resample=number,
                do_rescale=False,
                do_normalize=False,
            )
            pixels = np.asarray(processor(image)["pixel_values"][0])  # [3, H, W]
            cases.append((width, height, name, edge, crop, crop, pixels.transpose(1, 2, 0)))
        for h, w in STRETCHES:
            cases.append((width, height, name, 0, h, w, np.asarray(image.resize((w, h), resample=number))))

json.dump(
    [
        {"width": w, "height": h, "filter": f, "shortest_edge": e, "size": [oh, ow], "rgb": p.astype(np.uint8).tobytes().hex()}
        for w, h, f, e, oh, ow, p in cases
    ],
    sys.stdout,
    indent=0,
)
