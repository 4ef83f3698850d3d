"""The common inputs, made once: models with random weights, their ONNX exports, pixels, labels, clips.

    python inputs.py DIRECTORY VIDEO

| in DIRECTORY | what |
|---|---|
| `vit_b16/`, `vit_b32/` | CLIP with random weights in Hugging Face's layout, with CLIP's own vocabulary |
| `vit_b16.onnx`, `vit_b32.onnx` | their image towers with projection, [B, 3, 224, 224] -> [B, 512], B free |
| `x.npy` | 32 frames of the clip as the towers take them, float32 [32, 3, 224, 224] |
| `labels.txt` | the 1,000 class names of ImageNet, as CLIP was given them, in the prompt `a photo of a {}.` |
| `few.csv` | twenty labels for `lexivid classify` |
| `clip.mp4`, `short.mp4`, `clips/` | VIDEO scaled and cropped to 1280 x 720, H.264: ten seconds, two seconds, copies |
"""

import gzip
import importlib.util
import json
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import torch
from contestants.clip_preprocessing import MEAN, SIDE, STD, preprocess
from sections import CLIPS
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

MODELS = {"vit_b16": 16, "vit_b32": 32}
FEW = """dog cat guitar bicycle car tree house boat horse bird
airplane child phone book chair bridge river mountain street crowd"""


def open_clip_file(name):
    """A file of the package open_clip_torch, found without importing it (that would need torchvision)."""
    return Path(importlib.util.find_spec("open_clip").submodule_search_locations[0]) / name


def clip_tokenizer():
    """CLIP's byte-pair encoding; the order of its vocabulary is that of CLIP's simple_tokenizer.py."""
    lines = gzip.open(open_clip_file("bpe_simple_vocab_16e6.txt.gz"), "rt", encoding="utf-8").read().split("\n")
    merges = [tuple(line.split()) for line in lines[1 : 49152 - 256 - 2 + 1]]
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    symbols = [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(others))]
    words = symbols + [s + "</w>" for s in symbols] + ["".join(pair) for pair in merges]
    vocabulary = {word: i for i, word in enumerate([*words, "<|startoftext|>", "<|endoftext|>"])}
    return CLIPTokenizer(vocab=vocabulary, merges=merges)


def make_model(directory, patch_size, tokenizer):
    torch.manual_seed(0)
    # Twice the usual spread, so that embeddings of different pictures differ.
    config = CLIPConfig(
        text_config={"eos_token_id": tokenizer.eos_token_id, "bos_token_id": tokenizer.bos_token_id},
        vision_config={"patch_size": patch_size},
        initializer_factor=2.0,
    )
    model = CLIPModel(config).eval()
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    preprocessor = {
        "size": {"shortest_edge": SIDE},
        "crop_size": SIDE,
        "resample": 3,
        "image_mean": MEAN,
        "image_std": STD,
    }
    (directory / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return model


class ImageTower(torch.nn.Module):
    """Pixels [B, 3, 224, 224] -> embeddings [B, 512], not normalised."""

    def __init__(self, clip):
        super().__init__()
        self.clip = clip

    def forward(self, pixel_values):
        return self.clip.visual_projection(self.clip.vision_model(pixel_values=pixel_values).pooler_output)


def export(model, file):
    batch = torch.export.Dim("batch", min=1, max=1024)
    torch.onnx.export(
        ImageTower(model).eval(),
        (torch.zeros(2, 3, SIDE, SIDE),),
        file,
        input_names=["pixel_values"],
        output_names=["image_embedding"],
        dynamic_shapes={"pixel_values": {0: batch}},
        external_data=False,
        dynamo=True,
    )


def make_clip(video, file, seconds):
    """`video` scaled to 720 lines, its middle 1280 columns; libx264 with its defaults but constant quality 18."""
    scale = ["-vf", "scale=-2:720:flags=lanczos,crop=1280:720", "-t", str(seconds)]
    codec = ["-c:v", "libx264", "-preset", "medium", "-crf", "18", "-pix_fmt", "yuv420p", "-an"]
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", video, *scale, *codec, file], check=True)


def make_pixels(clip, count):
    """`count` frames of the clip, evenly spaced, float32 [count, 3, 224, 224]."""
    with av.open(str(clip)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    chosen = [frames[len(frames) * i // count] for i in range(count)]
    return torch.cat([preprocess(frame) for frame in chosen]).numpy()


def main(directory, video):
    directory.mkdir(parents=True, exist_ok=True)
    make_clip(video, directory / "clip.mp4", 10)
    make_clip(video, directory / "short.mp4", 2)
    (directory / "clips").mkdir(exist_ok=True)
    for i in range(CLIPS):
        shutil.copy(directory / "clip.mp4", directory / "clips" / f"{i}.mp4")
    np.save(directory / "x.npy", make_pixels(directory / "clip.mp4", 32))

    names = runpy.run_path(str(open_clip_file("zero_shot_metadata.py")))["IMAGENET_CLASSNAMES"]
    (directory / "labels.txt").write_text("".join(f"a photo of a {name}.\n" for name in names))
    # With their kind, so that lexivid has not to guess it and both use the prompt `a photo of a {}.`.
    (directory / "few.csv").write_text("name,kind\n" + "".join(f"{name},entity\n" for name in FEW.split()))

    tokenizer = clip_tokenizer()
    for name, patch_size in MODELS.items():
        model = make_model(directory / name, patch_size, tokenizer)
        with torch.no_grad():
            export(model, directory / f"{name}.onnx")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
