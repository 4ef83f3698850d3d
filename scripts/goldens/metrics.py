"""What scikit-learn answers for the metrics of eval/: ties, unknown pairs, empty labels, one label, all positive.

Run: python scripts/goldens/metrics.py   (needs numpy, scikit-learn 1.9)
"""

import json
from pathlib import Path

import numpy as np
from pseudo_random import pseudo_random
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    f1_score,
    precision_recall_curve,
    precision_score,
    recall_score,
)

BINS = 15
K = 3
THRESHOLD = 0.5


def case(seed, examples, labels, levels, rate, unknown, empty=()):
    """Scores on `levels` levels, positives at `rate`, unknown pairs at `unknown`, labels `empty` without a positive."""
    uniform = lambda i, *shape: (pseudo_random(10 * seed + i, int(np.prod(shape))).reshape(shape).astype(np.float64) + 1) / 2
    scores = (np.floor(uniform(0, examples, labels) * levels) / levels).astype(np.float32)
    present = uniform(1, examples, labels) < rate
    present[:, list(empty)] = False
    known = uniform(2, examples, labels) >= unknown
    sources = np.floor(uniform(3, examples) * examples / 3).astype(int)
    truth = np.where(known, present, 2).astype(int)
    pairs = lambda: (present[known], scores[known].astype(np.float64))
    return {
        "scores": scores.tolist(),
        "truths": truth.tolist(),  # 0 negative, 1 positive, 2 unknown
        "sources": sources.tolist(),
        "labels": [label(present[known[:, l], l], scores[known[:, l], l], sources[known[:, l]]) for l in range(labels)],
        "micro_average_precision": average_precision(*pairs()),
        "peak_f1": peak_f1(*pairs()),
        **at_k(present, known, scores),
        **at_threshold(present, known, scores),
        **calibration(*pairs()),
        "calibration_error_above_0_1": calibration(*above(*pairs(), 0.1))["calibration_error"],
    }


def average_precision(present, scores, weights=None):
    return average_precision_score(present, scores, sample_weight=weights) if present.any() else None


def label(present, scores, sources):
    scores = scores.astype(np.float64)
    same = (sources[:, None] == sources[None]) & (present[:, None] == present[None])
    return {
        "average_precision": average_precision(present, scores),
        "weighted_average_precision": average_precision(present, scores, 1 / same.sum(1)) if len(present) else None,
        "interpolated_average_precision": interpolated(present, scores),
        "calibration_error": calibration(present, scores)["calibration_error"] if len(present) else None,
    }


def interpolated(present, scores):
    if not present.any():
        return None
    precision, recall, _ = precision_recall_curve(present, scores)
    # Recall falls along the arrays: the highest precision at this or a higher recall is a running maximum.
    highest = np.maximum.accumulate(precision[:-1])
    return float(-np.sum(np.diff(recall) * highest))


def peak_f1(present, scores):
    if not present.any():
        return None
    return max(f1_score(present, scores >= t, zero_division=0) for t in np.unique(scores))


def best(scores, known, k):
    """Which pairs are among the k best known ones of their row; of equal scores those that stand first."""
    chosen = np.zeros(scores.shape, bool)
    for row in range(len(scores)):
        order = [l for l in np.argsort(-scores[row], kind="stable") if known[row, l]]
        chosen[row, order[:k]] = True
    return chosen


def at_k(present, known, scores):
    chosen = best(scores, known, K)
    twenty = best(scores, known, 20)
    positives = present[known].sum()
    pooled = average_precision(present[twenty], scores[twenty])
    rows = [r for r in range(len(scores)) if present[r][known[r]].any()]
    count = lambda r: int(present[r][known[r]].sum())
    precise = [present[r][best(scores[r : r + 1], known[r : r + 1], count(r))[0]].mean() for r in rows]
    return {
        "f1_at_k": f1_score(present[known], chosen[known], zero_division=0),
        "gap_at_20": None if positives == 0 else (pooled or 0) * float(present[twenty].sum()) / float(positives),
        "hit_at_1": None if not rows else float(np.mean([present[r][best(scores, known, 1)[r]].any() for r in rows])),
        "perr": None if not rows else float(np.mean(precise)),
    }


def at_threshold(present, known, scores):
    of = lambda metric: [
        metric(present[known[:, l], l], scores[known[:, l], l] >= THRESHOLD, zero_division=0)
        for l in range(scores.shape[1])
        if present[known[:, l], l].any()
    ]
    precision, recall = (float(np.mean(of(m))) if of(m) else None for m in (precision_score, recall_score))
    cf1 = None if precision is None else 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return {"cf1": cf1, "of1": f1_score(present[known], scores[known] >= THRESHOLD, zero_division=0)}


def above(present, p, least):
    return present[p > np.float32(least)], p[p > np.float32(least)]


def calibration(present, p):
    if not len(p):
        return {"calibration_error": None, "brier": None}
    share, mean = calibration_curve(present, p, n_bins=BINS) if 0 < present.sum() < len(p) else one_class(present, p)
    count = np.bincount(np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], p), minlength=BINS)
    weight = count[count > 0] / count.sum()
    return {
        "calibration_error": float(np.sum(weight * np.abs(share - mean))),
        "brier": float(brier_score_loss(present, p, pos_label=True)),
    }


def one_class(present, p):
    """calibration_curve refuses truths that are all the same."""
    bins = np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], p)
    used = np.unique(bins)
    return np.full(len(used), float(present[0])), np.array([p[bins == b].mean() for b in used])


cases = {
    "plain": case(0, 40, 6, 100000, 0.3, 0.0),
    "ties": case(1, 60, 5, 4, 0.3, 0.0),
    "unknown": case(2, 50, 30, 100000, 0.2, 0.5),
    "unknown and ties": case(3, 50, 8, 6, 0.2, 0.4),
    "empty labels": case(4, 40, 6, 1000, 0.3, 0.1, empty=(1, 4)),
    "one label": case(5, 40, 1, 50, 0.4, 0.0),
    "all positive": case(6, 20, 3, 1000, 2.0, 0.0),
    "no positive": case(7, 20, 3, 1000, -1.0, 0.0),
}
out = Path(__file__).parents[2] / "crates/lexivid/tests/goldens/metrics.json"
out.write_text(json.dumps(cases))
print(out.stat().st_size, "bytes")
