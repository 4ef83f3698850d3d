"""Asks the program."""

import subprocess
import tempfile
from pathlib import Path

import numpy as np


def embedded(lexivid: Path, *arguments: str) -> np.ndarray:
    """What `lexivid embed` gives for what is asked."""
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / "embeddings.npy"
        subprocess.run([lexivid, "embed", "--quiet", "--output", out, *arguments], check=True, stdout=subprocess.DEVNULL)
        return np.load(out)
