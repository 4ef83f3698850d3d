"""Which way round does it run, by the frozen states of Nano-CLIP's patches? For pairs of actions that are each other's reverse in time, ridge regressions learn to tell one from the other from

- slopes: how every patch changes from early to late, which is what the temporal branch's moments are made of;
- pairs: products of a patch with itself and its neighbours in the next frame, less the same the other way round in time, summed over places and times.

Learned on Stage's training videos, tested on the validation videos: average precision of the first of the two, and its share, which is chance.

Run, after `lexivid stage render full -o stage-full`, with ffmpeg, numpy, torch and transformers:
    python scripts/studies/directions_in_time.py crates/lexivid-stage/nano-clip stage-full [--frames 16]
"""

import argparse
import json
import subprocess
from pathlib import Path

import numpy as np
import torch
from transformers import CLIPVisionModel

PAIRS = [("rotating clockwise", "rotating counter-clockwise"), ("growing", "shrinking"), ("moving left", "moving right")]
KEPT = 2  # the block before the last
COMPONENTS = 16
RIDGES = (0.1, 0.3, 1, 3, 10)  # the best is told

parser = argparse.ArgumentParser()
parser.add_argument("model", type=Path)
parser.add_argument("stage", type=Path)
parser.add_argument("--frames", type=int, default=8)
args = parser.parse_args()
told = json.loads((args.model / "preprocessor_config.json").read_text())
mean, std = (torch.tensor(told[of]).view(3, 1, 1) for of in ("image_mean", "image_std"))
tower = CLIPVisionModel.from_pretrained(args.model, dtype=torch.float32).eval()
side = tower.config.image_size


@torch.no_grad()
def patches(video: str) -> np.ndarray:
    """[frames, rows, columns, W]: states of the frames in the middles of equal parts of the video, behind the kept block."""
    command = ["ffmpeg", "-v", "error", "-i", args.stage / video, "-vf", f"scale={side}:{side}:flags=bicubic", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    frames = np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, np.uint8).reshape(-1, side, side, 3)
    frames = frames[((np.arange(args.frames) + 0.5) * len(frames) / args.frames).astype(int)]
    pixels = (torch.tensor(frames).permute(0, 3, 1, 2) / 255 - mean) / std
    states = tower(pixels, output_hidden_states=True).hidden_states[-KEPT][:, 1:]
    return states.unflatten(1, (side // tower.config.patch_size, -1)).numpy()


def products(z: np.ndarray) -> np.ndarray:
    """States [videos, frames, rows, columns, C] -> [videos, 9 C C]."""
    found = []
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            rows, columns = z.shape[2:4]
            here = np.s_[:, :, max(0, -dy) : rows - max(0, dy), max(0, -dx) : columns - max(0, dx)]
            there = np.s_[:, :, max(0, dy) : rows - max(0, -dy), max(0, dx) : columns - max(0, -dx)]
            forwards = np.einsum("ntyxi,ntyxj->nij", z[:, :-1][here], z[:, 1:][there])
            backwards = np.einsum("ntyxi,ntyxj->nij", z[:, 1:][here], z[:, :-1][there])
            found.append((forwards - backwards).reshape(len(z), -1))
    found = np.concatenate(found, 1)
    return np.sign(found) * np.sqrt(abs(found))


def average_precision(scores, present):
    present = present[np.argsort(-scores, kind="stable")]
    return (np.cumsum(present) / np.arange(1, len(present) + 1) * present).sum() / present.sum()


def told_apart(features, first, learned) -> float:
    x = (features - features[learned].mean(0)) / (features[learned].std(0) + 1e-6)
    kernel, query = (x[of] @ x[learned].T / x.shape[1] for of in (learned, ~learned))
    values, vectors = np.linalg.eigh(kernel)
    target = vectors.T @ (2.0 * first[learned] - 1)
    return max(average_precision(query @ (vectors @ (target / (values + ridge))), first[~learned]) for ridge in RIDGES)


examples = [json.loads(line) for line in (args.stage / "manifest.jsonl").read_text().splitlines()]
for one, other in PAIRS:
    chosen = [e for e in examples if e["split"] != "test" and (one in e["positives"]) != (other in e["positives"])]
    learned = np.array([e["split"] == "train" for e in chosen])
    first = np.array([one in e["positives"] for e in chosen])
    states = np.stack([patches(e["video"]) for e in chosen])
    moments = np.linspace(-1, 1, args.frames, dtype=np.float32)
    slopes = np.einsum("t,ntyxc->nyxc", moments, states).reshape(len(states), -1)
    flat = states[learned].reshape(-1, states.shape[-1])
    centre = flat.mean(0)
    axes = np.linalg.svd(flat[::50] - centre, full_matrices=False)[2][:COMPONENTS].T
    z = (states - centre) @ axes
    z -= z.mean(1, keepdims=True)  # what stands still
    of = {"slopes": slopes, "pairs": products(z)}
    result = ", ".join(f"{what} {told_apart(features, first, learned):.2f}" for what, features in of.items())
    print(f"{one} / {other}: {learned.sum()} and {(~learned).sum()} videos, {result}, chance {first[~learned].mean():.2f}", flush=True)
