"""A copy of Stage to choose strengths of regularizers on, so that the test videos are not looked at: 60 of the seen things that are no parents are hidden from training and take the
place of U1, and the validation videos that of the test. Videos are linked, not copied.

Run: lexivid stage render full -o stage-full
     python scripts/studies/regularization/develop.py stage-full stage-develop
     lexivid bench method stage-develop --model crates/lexivid-stage/nano-clip --table scripts/studies/regularization/heads.toml -o heads --seeds 1
     lexivid bench method stage-develop --model crates/lexivid-stage/nano-clip --table scripts/studies/regularization/branch.toml -o branch --seeds 1
"""

import json
import random
import sys
from collections import Counter
from pathlib import Path

HIDDEN, RARE, USUAL = 60, 2, 14  # parents hold in more validation videos
source, copy = map(Path, sys.argv[1:])
vocabulary = json.loads((source / "vocabulary.json").read_text())
examples = [json.loads(line) for line in (source / "manifest.jsonl").read_text().splitlines()]
held = Counter(label for example in examples if example["split"] == "val" for label in example["positives"])
things = [label["name"] for label in vocabulary if label["subset"] == "seen" and label["kind"] == "entity"]
leaves = [name for name in things if RARE <= held[name] <= USUAL]
random.Random(7).shuffle(leaves)
hidden = set(leaves[:HIDDEN])

copy.mkdir()
for path in source.iterdir():
    if path.name not in ("vocabulary.json", "manifest.jsonl"):
        (copy / path.name).symlink_to(path.resolve())
seen = [label for label in vocabulary if label["subset"] == "seen"]
seen = [label | {"seen": False, "subset": "U1"} if label["name"] in hidden else label for label in seen]
(copy / "vocabulary.json").write_text(json.dumps(seen))
with (copy / "manifest.jsonl").open("w") as manifest:
    for example in examples:
        if example["split"] == "test":
            continue
        learned = example | {"positives": [label for label in example["positives"] if label not in hidden]}
        tested = [example | {"split": "test"}] if example["split"] == "val" else []
        manifest.writelines(json.dumps(line) + "\n" for line in [learned, *tested])
