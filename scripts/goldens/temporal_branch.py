"""What the temporal branch (video_embedding/temporal_branch) says, in numpy and float64, written down as STAN's description has it: one class token and
N * T patches, the class token copied into every frame for the step across space and averaged after it.

Run: python scripts/goldens/temporal_branch.py   (needs numpy, safetensors)
"""

import json
import math
from pathlib import Path

import numpy as np
from pseudo_random import pseudo_random
from safetensors.numpy import load_file

TESTS = Path(__file__).parents[2] / "crates/lexivid/tests"
K = 2
# Numbers of a patch that moments are taken of, and products from frame to frame.
RANK, PAIRS = 3, 2
# Two windows of three frames, one of two; times as they come, not evenly.
TIMES = [[0.0, 0.4, 1.0], [2.0, 2.5, 3.5], [1.0, 4.0]]


def weight(name: str, *shape: int) -> np.ndarray:
    seed = sum(name.encode())
    return 0.3 * pseudo_random(seed, math.prod(shape)).reshape(shape).astype(np.float64)


def layer_norm(x, gain, bias, eps):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((x.var(-1, keepdims=True)) + eps) * gain + bias


def attention(q, k, v, heads):
    """[S, W] queries, [N, W] keys and values."""
    width = q.shape[-1] // heads
    out = []
    for h in range(heads):
        part = slice(h * width, (h + 1) * width)
        scores = q[:, part] @ k[:, part].T / math.sqrt(width)
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        out.append(scores / scores.sum(-1, keepdims=True) @ v[:, part])
    return np.concatenate(out, -1)


def gelu_tanh(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def quick_gelu(x):
    return x / (1 + np.exp(-1.702 * x))


def unit(x):
    return x / np.linalg.norm(x)


class Branch:
    def __init__(self, model: str, family: str):
        config = json.loads((TESTS / "fixtures" / model / "config.json").read_text())["vision_config"]
        self.tower = {k: v.astype(np.float64) for k, v in load_file(TESTS / "fixtures" / model / "model.safetensors").items()}
        self.width, self.heads = config["hidden_size"], config["num_attention_heads"]
        self.mlp_width, self.eps = config["intermediate_size"], config["layer_norm_eps"]
        self.patches = (config["image_size"] // config["patch_size"]) ** 2
        self.has_class = family == "clip"
        self.activation = quick_gelu if family == "clip" else gelu_tanh

    def attend(self, prefix: str, x):
        """x + attention(norm(x)) of one sequence [S, W]."""
        w = self.width
        normed = layer_norm(x, weight(prefix + "layer_norm1.weight", w), weight(prefix + "layer_norm1.bias", w), self.eps)
        projected = [
            normed @ weight(f"{prefix}self_attn.{p}_proj.weight", w, w).T + weight(f"{prefix}self_attn.{p}_proj.bias", w)
            for p in "qkv"
        ]
        mixed = attention(*projected, self.heads)
        out = f"{prefix}self_attn.out_proj."
        return x + mixed @ weight(out + "weight", w, w).T + weight(out + "bias", w)

    def mlp(self, prefix: str, x):
        w, f = self.width, self.mlp_width
        normed = layer_norm(x, weight(prefix + "layer_norm2.weight", w), weight(prefix + "layer_norm2.bias", w), self.eps)
        hidden = self.activation(normed @ weight(prefix + "mlp.fc1.weight", f, w).T + weight(prefix + "mlp.fc1.bias", f))
        return x + hidden @ weight(prefix + "mlp.fc2.weight", w, f).T + weight(prefix + "mlp.fc2.bias", w)

    def moments(self, prefix: str, patches, waves):
        """Patches [T, N, W] -> [W]: every product of a cosine of time and one of each axis, one by one."""
        w, grid = self.width, math.isqrt(self.patches)
        gain, bias = weight(prefix + "norm.weight", w), weight(prefix + "norm.bias", w)
        read = layer_norm(patches, gain, bias, self.eps) @ weight(prefix + "read.weight", RANK, w).T  # [T, N, r]
        axis = np.array([[math.cos(math.pi * k * (i + 0.5) / grid) for i in range(grid)] for k in range(3)])
        found = []
        for wave in waves.T:
            for r in range(RANK):
                picture = read[:, :, r].reshape(len(read), grid, grid)
                found += [(picture * wave[:, None, None] * np.outer(axis[a], axis[b])).mean() for a in range(3) for b in range(3)]
        found = np.array(found) * math.sqrt(waves.shape[1] * self.patches)
        return weight(prefix + "write.weight", w, len(found)) @ found

    def pairs(self, prefix: str, patches):
        """Patches [T, N, W] -> [W]: products of patches and neighbours in the next frame, less those the other way round, one by one."""
        w, grid, frames = self.width, math.isqrt(self.patches), len(patches)
        read = layer_norm(patches, 1.0, 0.0, self.eps) @ weight(prefix + "read.weight", PAIRS, w).T
        z = (read - read.mean(0)).reshape(frames, grid, grid, PAIRS)
        found = []
        for dy, dx in ((0, 0), (0, 1), (1, -1), (1, 0), (1, 1)):
            for i in range(PAIRS):
                for j in range(PAIRS):
                    total = 0.0
                    for t in range(frames - 1):
                        for y in range(grid):
                            for x in range(grid):
                                if y + dy < grid and 0 <= x + dx < grid:
                                    total += z[t, y, x, i] * z[t + 1, y + dy, x + dx, j] - z[t + 1, y, x, i] * z[t, y + dy, x + dx, j]
                    found.append(total)
        found = np.array(found) / math.sqrt((frames - 1) * self.patches)
        return weight(prefix + "write.weight", w, len(found)) @ (found / (1 + found**2) ** 0.25)

    def project(self, states):
        """The tower's own head: [S, W] -> [D]."""
        t = self.tower
        norm = lambda x: layer_norm(x, t["vision_model.post_layernorm.weight"], t["vision_model.post_layernorm.bias"], self.eps)
        if self.has_class:
            return norm(states[0]) @ t["visual_projection.weight"].T
        head = "vision_model.head."
        w, b = t[head + "attention.in_proj_weight"], t[head + "attention.in_proj_bias"]
        x, n = norm(states), self.width
        q = t[head + "probe"][0] @ w[:n].T + b[:n]
        k, v = x @ w[n : 2 * n].T + b[n : 2 * n], x @ w[2 * n :].T + b[2 * n :]
        mixed = attention(q, k, v, self.heads) @ t[head + "attention.out_proj.weight"].T + t[head + "attention.out_proj.bias"]
        normed = layer_norm(mixed, t[head + "layernorm.weight"], t[head + "layernorm.bias"], self.eps)
        hidden = self.activation(normed @ t[head + "mlp.fc1.weight"].T + t[head + "mlp.fc1.bias"])
        return (mixed + hidden @ t[head + "mlp.fc2.weight"].T + t[head + "mlp.fc2.bias"])[0]

    def forward(self, states, times, mean):
        """states: [T, K, S, W]; mean: [D]."""
        frames, w, c = len(times), self.width, int(self.has_class)
        tau = [(t - times[0]) / (times[-1] - times[0]) for t in times]
        waves = np.array([[math.cos(math.pi * k * x) for k in range(8)] for x in tau])
        time = waves @ weight("time_embedding", 8, w)  # [T, W]
        patches = states[:, 0, c:] + weight("position_embedding", self.patches, w) + time[:, None]  # [T, N, W]
        if c:
            cls = (states[:, 0, 0].mean(0) + weight("class_embedding", w)) / 2
        for i in range(K):
            if i > 0:
                patches = patches + states[:, i, c:]
                if c:
                    cls = cls + states[:, i, 0].mean(0)
            moments = self.moments(f"blocks.{i}.moments.", patches, waves) + self.pairs(f"blocks.{i}.pairs.", patches)
            if c:
                cls = cls + moments
            else:
                patches = patches + moments
            for n in range(self.patches):
                patches[:, n] = self.attend(f"blocks.{i}.time.", patches[:, n])
            copies = []
            for t in range(frames):
                sequence = np.concatenate([cls[None], patches[t]]) if c else patches[t]
                seen = self.attend(f"blocks.{i}.space.", sequence)
                patches[t] = seen[c:]
                copies.append(seen[0])
            if c:
                cls = self.mlp(f"blocks.{i}.space.", np.mean(copies, 0)[None])[0]
            patches = self.mlp(f"blocks.{i}.space.", patches)
        if c:
            seen = self.project(cls[None])
        else:
            seen = np.mean([self.project(patches[t]) for t in range(frames)], 0)
        return unit(mean + weight("output.weight", len(seen), len(seen)) @ unit(seen))


golden = {}
for model, family in (("clip_quick_gelu", "clip"), ("siglip", "siglip")):
    branch = Branch(model, family)
    tokens = branch.patches + branch.has_class
    width = len(branch.project(np.zeros((tokens, branch.width))))
    windows = []
    for number, times in enumerate(TIMES):
        shape = (len(times), K, tokens, branch.width)
        # Frames come with their states in f16.
        states = pseudo_random(100 + number, math.prod(shape)).reshape(shape).astype(np.float16).astype(np.float64)
        mean = unit(pseudo_random(200 + number, width).astype(np.float64))
        windows.append(branch.forward(states, times, mean).round(7).tolist())
    golden[model] = windows
(TESTS / "goldens/temporal_branch.json").write_text(json.dumps({"times": TIMES, "embeddings": golden}))
