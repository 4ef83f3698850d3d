"""How much better could label embeddings make Stage's unseen words, with the video embedding as it is? Two estimates, by subset of
entities:

- an oracle that learns every label's direction from labelled *test* videos (a linear discriminant learned on four fifths of them
  and tested on the last): what the video embedding would allow if the text side knew everything;
- kernel ridge regression from the language model's states to the text encoder's embeddings, learned on Stage's words, among which
  there is no U1, U2 or P label: what the language model's states say, read linearly, without the text encoder knowing the name.

Run, after `lexivid stage render full -o stage-full` and `lexivid models pull starter`:
    python scripts/studies/label_headroom.py target/release/lexivid crates/lexivid-stage/nano-clip stage-full
Needs: numpy; for the second one torch, transformers, gguf.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

lexivid, model, stage = sys.argv[1], sys.argv[2], Path(sys.argv[3])
FOLDS = 5
RIDGE = 0.3
# Of the blocks' outputs, the embeddings being 0.
LAYERS = [6, 12, 18, 24, 30]


def embed(*arguments):
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory, "embeddings.npy")
        told = subprocess.run([lexivid, "embed", "-m", model, "-q", "-o", out, *arguments], check=True, capture_output=True)
        return np.load(out), [json.loads(line) for line in told.stdout.splitlines()]


def average_precision(scores, present):
    present = present[np.argsort(-scores, kind="stable")]
    return (np.cumsum(present) / np.arange(1, len(present) + 1) * present).sum() / present.sum()


def labels_of(texts):
    return embed(*(part for text in texts for part in ("--label", text)))[0]


vocabulary = json.loads((stage / "vocabulary.json").read_text())
words = [word["name"] for word in json.loads((stage / "words.json").read_text())]
examples = [json.loads(line) for line in (stage / "manifest.jsonl").read_text().splitlines()]
examples = {example["video"]: example for example in examples if example["split"] == "test"}
videos, rows = embed("--window", "whole", "--frames", "8", str(stage / "videos/test"))
rows = [examples[str(Path(row["path"]).relative_to(stage))] for row in rows]
videos /= np.linalg.norm(videos, axis=1, keepdims=True)

names = [label["name"] for label in vocabulary]
plain = labels_of(names)
entities = []
for index, label in enumerate(vocabulary):
    present = np.array([label["name"] in row["positives"] for row in rows])
    known = np.array([label["name"] not in row.get("unknown", []) for row in rows])
    if label["kind"] == "entity" and present.sum() > 1:
        entities.append((index, label["subset"], present, known))


def tell(what, score):
    by_subset = {}
    for index, subset, present, known in entities:
        by_subset.setdefault(subset, []).append(average_precision(score(index, present, known)[known], present[known]))
    print(f"{what:42}", "  ".join(f"{subset} {np.mean(found):.3f}" for subset, found in sorted(by_subset.items())), flush=True)


fold = np.random.default_rng(0).permutation(len(rows)) % FOLDS


def oracle(index, present, known):
    scores = np.zeros(len(rows))
    for k in range(FOLDS):
        learned = (fold != k) & known
        if (learned & present).any():
            covariance = np.cov(videos[learned].T) + 1e-3 * np.eye(videos.shape[1])
            difference = videos[learned & present].mean(0) - videos[learned].mean(0)
            scores[fold == k] = videos[fold == k] @ np.linalg.solve(covariance, difference)
    return scores


tell("plain prompt", lambda index, *_: videos @ plain[index])
tell("oracle that learned from test videos", oracle)

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

home = subprocess.run([lexivid, "models", "path", "starter"], check=True, capture_output=True, text=True).stdout.strip()
file = next(Path(home).glob("*.gguf")).name
tokenizer = AutoTokenizer.from_pretrained(home, gguf_file=file)
llm = AutoModelForCausalLM.from_pretrained(home, gguf_file=file, dtype=torch.float32).eval()
with torch.no_grad():
    found = [llm(**tokenizer(text, return_tensors="pt"), output_hidden_states=True).hidden_states for text in names + words]
targets = labels_of(words)
middle = targets.mean(0)
for layer in LAYERS:
    for reading, read in (("mean of tokens", lambda h: h.mean(0)), ("last token", lambda h: h[-1])):
        x = np.stack([read(states[layer][0]).numpy() for states in found]).astype(np.float64)
        x = (x - x[len(names) :].mean(0)) / (x[len(names) :].std(0) + 1e-6)
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        kernel = x @ x[len(names) :].T
        weights = np.linalg.solve(kernel[len(names) :] + RIDGE * np.eye(len(words)), targets - middle)
        said = kernel[: len(names)] @ weights + middle
        tell(f"language model, block {layer}, {reading}", lambda index, *_: videos @ said[index])
