"""A small pickle of numpy arrays in dictionaries, as flax checkpoints are, for nn/numpy_pickle.rs.

Run: python scripts/goldens/numpy_pickle.py   (needs numpy)
"""

import pickle
from pathlib import Path

import numpy as np

arrays = {
    "params": {
        "w": np.arange(6, dtype=np.float32).reshape(2, 3) / 2,
        "b": np.array([-1.0, 3.25], np.float32),
    },
    "stats": {"w": np.arange(3, dtype=np.float32).reshape(1, 1, 1, 1, 3)},
}
out = Path(__file__).parents[2] / "crates/lexivid/tests/goldens/numpy_pickle.pkl"
out.write_bytes(pickle.dumps(arrays, protocol=4))
