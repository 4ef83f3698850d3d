"""Numbers that the Rust tests can make again (nn/pseudo_random.rs), so that no weights need to be committed."""

import numpy as np


def pseudo_random(seed: int, count: int) -> np.ndarray:
    """`count` float32 values in [-1, 1)."""
    with np.errstate(over="ignore"):
        u = np.arange(count, dtype=np.uint32) * np.uint32(0x9E3779B1) + np.uint32(seed * 0x85EBCA77 & 0xFFFFFFFF)
        u = (u ^ (u >> np.uint32(16))) * np.uint32(0x85EBCA6B)
        u = (u ^ (u >> np.uint32(13))) * np.uint32(0xC2B2AE35)
        u ^= u >> np.uint32(16)
    return (u >> np.uint32(8)).astype(np.float32) / np.float32(1 << 23) - np.float32(1)
