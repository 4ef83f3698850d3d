"""What CLIP's image processor does to a picture, in torch (the same operations as torchvision's and transformers'
fast processors: Pillow's bicubic filter on bytes)."""

import torch
import torch.nn.functional as F

SIDE = 224
MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
_MEAN = torch.tensor(MEAN).mul(255).view(3, 1, 1)
_STD = torch.tensor(STD).mul(255).view(3, 1, 1)


def preprocess(rgb):
    """uint8 [H, W, 3] -> float32 [1, 3, 224, 224]: shortest edge to 224, centre crop, normalised."""
    height, width, _ = rgb.shape
    scale = SIDE / min(height, width)
    size = (max(SIDE, int(height * scale)), max(SIDE, int(width * scale)))
    planes = torch.from_numpy(rgb).permute(2, 0, 1)[None]  # channels last in memory: torch's fast path
    resized = F.interpolate(planes, size=size, mode="bicubic", antialias=True)
    top, left = (size[0] - SIDE) // 2, (size[1] - SIDE) // 2
    return (resized[:, :, top : top + SIDE, left : left + SIDE].float() - _MEAN) / _STD
