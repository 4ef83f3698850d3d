"""Similarity -> probability by logistic regression, where truth may be soft, and how reliable it is for labels that it was not fitted on."""

import numpy as np

PRIOR = 0.05  # how many of the labels that are asked for are there: between two of ten and ten of a thousand
FOLDS, BINS = 5, 10


def weights(truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of being there and of not, of pairs whose `truth` is 0 to 1, so that what is there makes up `PRIOR`; all of them sum to 1."""
    return PRIOR * truth / truth.sum(), (1 - PRIOR) * (1 - truth) / (1 - truth).sum()


def fit(similarity: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Scale and bias, by Newton's method."""
    there, absent = weights(truth)
    x, theta = np.stack([similarity, np.ones_like(similarity)], 1), np.zeros(2)
    for _ in range(50):
        p = 1 / (1 + np.exp(-x @ theta))
        gradient = x.T @ (there - (there + absent) * p)
        theta += np.linalg.solve((x * ((there + absent) * p * (1 - p))[:, None]).T @ x + 1e-9 * np.eye(2), gradient)
    return theta[0], theta[1]


def probability(similarity: np.ndarray, scale: float, bias: float) -> np.ndarray:
    return 1 / (1 + np.exp(-(scale * similarity + bias)))


def tell(name: str, similarity: np.ndarray, truth: np.ndarray):
    """[pictures, labels]: the fit, and how often labels are there, by probability, fitted on the other four fifths of the labels."""
    there, absent = weights(truth.ravel())
    scale, bias = fit(similarity.ravel(), truth.ravel())
    found = probability(similarity.ravel(), scale, bias) >= 0.5
    print(f"{name}: {truth.shape[1]} labels, scale {scale:.1f}, bias {bias:.2f}; at p = 0.5: "
          f"{there[found].sum() / there.sum():.2f} of present, {absent[found].sum() / absent.sum():.3f} of absent")  # fmt: skip
    fold = np.random.default_rng(1).permutation(similarity.shape[1]) % FOLDS
    p = np.empty_like(similarity)
    for k in range(FOLDS):
        p[:, fold == k] = probability(similarity[:, fold == k], *fit(similarity[:, fold != k].ravel(), truth[:, fold != k].ravel()))
    p, weight = p.ravel(), there + absent
    bins = np.minimum((p * BINS).astype(int), BINS - 1)
    total, said, held = (np.bincount(bins, x, BINS) for x in (weight, weight * p, there))
    high = p > 0.1
    gap_of_high = np.bincount(bins[high], (weight * p - there)[high], BINS)
    print(f"  labels left out: calibration error {abs(said - held).sum():.4f}; of p > .1 {abs(gap_of_high).sum() / weight[high].sum():.3f}")
    rows = (f"{s / t:.2f}: {x / t:.2f} ({n})" for t, s, x, n in zip(total, said, held, np.bincount(bins, minlength=BINS)) if n)
    print("  mean p: share there (pairs):", ", ".join(rows))
