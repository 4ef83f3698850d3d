"""A full-size CLIP ViT-B/16 with random weights through the whole program, against transformers.

    cargo build --release
    python scripts/check_vit_b16.py target/release/lexivid

Needs: torch, transformers, pillow. Builds the model in a temporary directory (600 MB); the tokenizer is that of the
fixture `clip_gelu`. Ends with status 1 if an embedding differs by more than the tolerance.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from PIL import Image
from transformers import AutoTokenizer, CLIPConfig, CLIPModel

TOLERANCE = 1e-4
FIXTURE = Path(__file__).parent.parent / "crates/lexivid/tests/fixtures/clip_gelu"
TEXTS = ["a photo of a dog.", "riding a bike", "a rather long text that takes many more tokens than the others do"]
MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]


def embed(model, *args):
    command = [sys.argv[1], "embed", "--model", str(model), "--json", *map(str, args)]
    rows = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return torch.tensor([row["embedding"] for row in rows])


def check(name, got, expected):
    difference = (got - expected).abs().max().item()
    print(f"{name}: largest difference {difference:.1e}, tolerance {TOLERANCE:.0e}")
    return difference <= TOLERANCE


with tempfile.TemporaryDirectory() as directory, torch.no_grad():
    directory = Path(directory)
    tokenizer = AutoTokenizer.from_pretrained(FIXTURE)
    torch.manual_seed(0)
    text = {"vocab_size": 49408, "eos_token_id": tokenizer.eos_token_id}
    config = CLIPConfig(text_config=text, vision_config={"patch_size": 16}, initializer_factor=2.0)
    model = CLIPModel(config).eval()
    model.save_pretrained(directory)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(FIXTURE / file, directory)
    preprocessor = {"size": {"shortest_edge": 224}, "crop_size": 224, "resample": 3, "image_mean": MEAN, "image_std": STD}
    (directory / "preprocessor_config.json").write_text(json.dumps(preprocessor))

    # Of the model's own size and without loss: resizing and decoding have goldens of their own.
    pictures = torch.randint(0, 256, (8, 224, 224, 3), dtype=torch.uint8)
    files = [directory / f"{i}.png" for i in range(len(pictures))]
    for file, picture in zip(files, pictures):
        Image.fromarray(picture.numpy()).save(file)

    pixels = ((pictures.float() / 255 - torch.tensor(MEAN)) / torch.tensor(STD)).permute(0, 3, 1, 2).contiguous()
    ids = tokenizer(TEXTS, padding=True, return_tensors="pt")["input_ids"]
    out = model(input_ids=ids, pixel_values=pixels)
    texts = [word for text in TEXTS for word in ("--text", text)]
    good = [
        check("pictures", embed(directory, *files), out.image_embeds),
        check("texts", embed(directory, *texts), out.text_embeds),
    ]
sys.exit(0 if all(good) else 1)
