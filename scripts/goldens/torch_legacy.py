"""A small checkpoint in PyTorch's legacy format, for nn/torch_legacy.rs.

Run: python scripts/goldens/torch_legacy.py   (needs torch)
"""

from collections import OrderedDict
from pathlib import Path

import torch

state = OrderedDict(
    weight=torch.arange(6, dtype=torch.float32).reshape(2, 3) / 2,
    transposed=torch.arange(8, dtype=torch.float32).reshape(2, 4).T[::2],
    num_batches_tracked=torch.tensor(7),
    bias=torch.tensor([-1.0, 3.25]),
)
out = Path(__file__).parents[2] / "crates/lexivid/tests/goldens/torch_legacy.pth"
torch.save(state, out, _use_new_zipfile_serialization=False)
