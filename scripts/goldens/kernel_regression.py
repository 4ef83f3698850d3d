"""What scikit-learn's KernelRidge answers on readings that are standardised and divided by their median distance, for
label_embedding/kernel_regression.rs.

Run: python scripts/goldens/kernel_regression.py   (needs numpy, scikit-learn)
"""

import json
from pathlib import Path

import numpy as np
from pseudo_random import pseudo_random
from sklearn.kernel_ridge import KernelRidge
from sklearn.preprocessing import StandardScaler

PARTS = 2
known, asked = (
    pseudo_random(seed, rows * 6).reshape(rows, PARTS, 3).astype(np.float64) for seed, rows in ((1, 20), (3, 5))
)
targets = pseudo_random(2, 80).reshape(20, 4).astype(np.float64)
scaled = []
for part in range(PARTS):
    scaler = StandardScaler().fit(known[:, part])
    x, y = scaler.transform(known[:, part]), scaler.transform(asked[:, part])
    distances = ((x[:, None] - x[None]) ** 2).sum(-1)
    median = np.sort(distances, axis=None)[distances.size // 2]
    scaled.append([z / np.sqrt(PARTS * median) for z in (x, y)])
known, asked = (np.concatenate(parts, 1) for parts in zip(*scaled))
model = KernelRidge(alpha=0.1, kernel="rbf", gamma=1.0).fit(known, targets)
kernel = np.exp(-((asked[:, None] - known[None]) ** 2).sum(-1))
golden = {"kernel": kernel.round(6).tolist(), "predictions": model.predict(asked).round(6).tolist()}
out = Path(__file__).parents[2] / "crates/lexivid/tests/goldens/kernel_regression.json"
out.write_text(json.dumps(golden))
