"""What scikit-learn's KernelRidge answers, for label_embedding/kernel_regression.rs.

Run: python scripts/goldens/kernel_regression.py   (needs numpy, scikit-learn)
"""

import json
from pathlib import Path

import numpy as np
from pseudo_random import pseudo_random
from sklearn.kernel_ridge import KernelRidge

anchors, targets, queries = (
    pseudo_random(seed, rows * columns).reshape(rows, columns).astype(np.float64)
    for seed, rows, columns in ((1, 20, 6), (2, 20, 4), (3, 5, 6))
)
distances = ((anchors[:, None] - anchors[None]) ** 2).sum(-1)
median = np.sort(distances, axis=None)[distances.size // 2]
model = KernelRidge(alpha=0.1, kernel="rbf", gamma=1 / (0.5 * median)).fit(anchors, targets)
golden = {"median": median, "predictions": model.predict(queries).round(6).tolist()}
out = Path(__file__).parents[2] / "crates/lexivid/tests/goldens/kernel_regression.json"
out.write_text(json.dumps(golden))
