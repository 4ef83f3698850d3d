"""A full-size CLIP ViT-B/16 with random weights through lexivid, against transformers.

    cargo build --release --example embed
    python scripts/check_vit_b16.py target/release/examples/embed

Needs: torch, transformers, safetensors. Builds the model in a temporary directory (600 MB); the tokenizer is that of the
fixture `clip_gelu`. Ends with status 1 if an embedding differs by more than the tolerance.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoTokenizer, CLIPConfig, CLIPModel

TOLERANCE = 1e-4
FIXTURE = Path(__file__).parent.parent / "crates/lexivid/tests/fixtures/clip_gelu"
LABELS = ["dog", "riding a bike", "a rather long label that takes many more tokens than the others do"]
MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]


def check(name, got, expected):
    difference = (torch.tensor(got) - expected).abs().max().item()
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
    pictures = torch.randint(0, 256, (8, 224, 224, 3), dtype=torch.uint8)
    save_file({"pictures": pictures}, directory / "pictures.safetensors")

    command = [*sys.argv[1:], str(directory), str(directory / "pictures.safetensors"), *LABELS]
    ours = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)

    pixels = ((pictures.float() / 255 - torch.tensor(MEAN)) / torch.tensor(STD)).permute(0, 3, 1, 2).contiguous()
    ids = tokenizer([f"a photo of {label}." for label in LABELS], padding=True, return_tensors="pt")["input_ids"]
    out = model(input_ids=ids, pixel_values=pixels)
    times = []
    for _ in range(5):
        started = time.perf_counter()
        model.get_image_features(pixel_values=pixels)
        times.append(time.perf_counter() - started)

milliseconds = [f"{1000 * sorted(t)[2]:.0f}" for t in (ours["seconds"], times)]
print(f"8 pictures: {milliseconds[0]} ms, transformers {milliseconds[1]} ms (medians of 5)")
print(f"loading: {1000 * ours['load_seconds']:.0f} ms, {len(LABELS)} labels: {1000 * ours['label_seconds']:.0f} ms")
good = [check("images", ours["pictures"], out.image_embeds), check("labels", ours["labels"], out.text_embeds)]
sys.exit(0 if all(good) else 1)
