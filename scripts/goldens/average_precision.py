"""What scikit-learn's average_precision_score answers, ties included, for eval/metrics.rs.

Run: python scripts/goldens/average_precision.py   (needs numpy, scikit-learn)
"""

import json
from pathlib import Path

import numpy as np
from pseudo_random import pseudo_random
from sklearn.metrics import average_precision_score

cases = []
for seed, (count, levels, rate) in enumerate([(30, 1000, 0.3), (30, 4, 0.3), (50, 2, 0.5), (8, 1, 0.4), (12, 1000, -1.0)]):
    scores = np.floor((pseudo_random(seed, count) + 1) / 2 * levels)
    present = pseudo_random(seed + 100, count) < rate * 2 - 1
    present[seed] = True
    cases.append(
        {
            "scores": scores.tolist(),
            "present": present.tolist(),
            "average_precision": average_precision_score(present, scores),
        }
    )
out = Path(__file__).parents[2] / "crates/lexivid/tests/goldens/average_precision.json"
out.write_text(json.dumps(cases))
