"""The tables of docs/PERFORMANCE.md from the raw runs: python table.py ../results/DATE-peers.json

A cell is the median over the rounds of the median within a run, `lowest to highest` those of the rounds. Rounds in
which other programs kept more than 0.15 of a core busy are left out where there are better ones.
"""

import json
import statistics
import sys
from collections import defaultdict

from sections import CLIPS, MODELS, SECTIONS

QUIET = 0.15
CLIP_SECONDS = 10


class Rows:
    """The runs of one section, by contestant."""

    def __init__(self, result, section):
        self.contestants = [(str(i), c) for i, c in enumerate(result["contestants"]) if c["section"] == section]
        self.runs = defaultdict(list)
        for run in result["runs"]:
            self.runs[str(run["contestant"])].append(run)
        self.cosines = result["cosines"]

    def find(self, **fields):
        """Name -> index, of the contestants with these fields, in their order."""
        return {c["name"]: i for i, c in self.contestants if fields.items() <= c["fields"].items()}

    def good(self, index):
        """Runs without error, only the quiet ones if there are any."""
        good = [run for run in self.runs[index] if not run["error"]]
        return [run for run in good if run["other_cpu"] < QUIET] or good

    def error(self, index):
        return next((run["error"] for run in self.runs[index] if run["error"]), "not run")

    def rounds(self, index, line):
        """Milliseconds of the line with that name, a number a round."""
        return [statistics.median(of["ms"]) for run in self.good(index) for of in run["lines"] if of["name"] == line]

    def over(self, index, key):
        """The median of what was measured from outside."""
        return statistics.median(run[key] for run in self.good(index))


def grid(heads, rows):
    yield "| " + " | ".join(heads) + " |"
    yield "|---" + "|---:" * (len(heads) - 1) + "|"
    for row in rows:
        yield "| " + " | ".join(row) + " |"
    yield ""


def failed(name, rows, index, columns):
    error = rows.error(index).replace("|", "/")
    return [name, f"failed: {error[:120]}", *[""] * (columns - 2)]


def number(x):
    return f"{x:,.0f}" if x >= 100 else f"{x:.1f}" if x >= 10 else f"{x:.2f}"


def spread(rounds):
    return f"{number(min(rounds))} to {number(max(rounds))}"


def ratio(reference, value):
    return f"{reference / value:.2f}" if reference else ""


def medians(rows, of_name, line):
    """Name -> median milliseconds, of those that have any."""
    rounds = {name: rows.rounds(index, line) for name, index in of_name.items()}
    return {name: statistics.median(r) for name, r in rounds.items() if r}


def timed_table(rows, of_name, line, references, extra_heads=(), extra=lambda index, ms: []):
    """One row a contestant: milliseconds, spread, what `extra` says, and how many times as fast as each reference."""
    heads = ["", "ms", "lowest to highest", *extra_heads, *(f"against {r}" for r in references)]
    ms = medians(rows, of_name, line)
    table = []
    for name, index in of_name.items():
        if name not in ms:
            table.append(failed(name, rows, index, len(heads)))
            continue
        ratios = [ratio(ms.get(r), ms[name]) for r in references]
        table.append([name, number(ms[name]), spread(rows.rounds(index, line)), *extra(index, ms[name]), *ratios])
    return grid(heads, table)


def tower(rows):
    for model, title in MODELS.items():
        of_name = rows.find(model=model)
        yield f"### {title}, image tower and projection, batch 8, 2 threads\n"

        def extra(index, ms):
            return [number(8000 / ms), f"{rows.cosines[index]:.5f}" if index in rows.cosines else ""]

        heads = ["frames/s", "cosine to PyTorch f32"]
        yield from timed_table(
            rows, of_name, "tower", ["PyTorch f32", "PyTorch bf16 tuned", "OpenVINO bf16"], heads, extra
        )


def scaling(rows):
    for model, title in MODELS.items():
        yield f"### {title}, frames/s by batch and threads\n"
        batches = sorted({c["fields"]["batch"] for _, c in rows.contestants})
        table = []
        for threads in sorted({c["fields"]["threads"] for _, c in rows.contestants}):
            names = dict.fromkeys(c["name"] for _, c in rows.contestants)
            for name in names:
                cells = []
                for batch in batches:
                    ms = medians(rows, rows.find(model=model, batch=batch, threads=threads), "tower").get(name)
                    cells.append(number(1000 * batch / ms) if ms else "failed")
                table.append([f"{name}, {threads} thread{'s' * (threads > 1)}", *cells])
        yield from grid(["", *(f"batch {b}" for b in batches)], table)


def pipeline(rows):
    yield "### Whole program: 10 s of 720p, windows of 2 s every second, 8 frames a window, ViT-B/16, 20 labels\n"
    heads = ["", "one clip, s", "each further clip, s", "videos/h", "peak memory, MiB", "2 s clip, s"]
    of = {clips: rows.find(clips=clips) for clips in ("one", "several", "short")}
    table, further = [], {}
    for name in of["one"]:
        parts = [of[clips][name] for clips in ("one", "several", "short")]
        if broken := [part for part in parts if not rows.good(part)]:
            table.append(failed(name, rows, broken[0], len(heads) + 1))
            continue
        one, several, short = (rows.over(part, "wall_s") for part in parts)
        further[name] = (several - one) / (CLIPS - 1)
        peak = max(run["peak_mib"] for part in parts for run in rows.good(part))
        cells = [number(one), number(further[name]), number(3600 / further[name]), number(peak), number(short)]
        table.append([name, *cells, ratio(next(iter(further.values())), further[name])])
    yield from grid([*heads, "videos/h against the first"], table)
    yield from cuda_note(rows, of["one"])


def cuda_note(rows, of_one):
    """PyPI's PyTorch holds libraries that a build for CPUs has not: said, so that everyone can take it off."""
    for name, index in of_one.items():
        mib = [
            of["cuda_libraries_mib"] for run in rows.good(index) for of in run["lines"] if "cuda_libraries_mib" in of
        ]
        if mib:
            cuda = number(statistics.median(mib))
            yield f"Of {name}'s peak, {cuda} MiB are CUDA libraries, which PyPI's build loads on any machine.\n"


def labels(rows):
    yield "### Text tower of ViT-B/16: 1,000 labels, tokenized, in batches of 64\n"
    references = ["PyTorch f32", "PyTorch bf16 tuned"]
    yield from timed_table(rows, rows.find(), "labels", references, ["labels/s"], lambda _, ms: [number(1e6 / ms)])


def grad(rows):
    titles = {"forward": "forward", "forward_backward": "forward and backward to the input embeddings"}
    for line, title in titles.items():
        yield f"### Frozen SmolLM2-135M stack, 8 x 64 tokens: {title}\n"
        yield from timed_table(rows, rows.find(), line, ["PyTorch f32", "PyTorch bf16 tuned"])


def i3d(rows):
    yield "### I3D's 57 convolutions with bias and ReLU, 32 frames of 224 px, one crop: sum of all\n"
    fastest = ["PyTorch f32", "PyTorch f32 channels last tuned", "PyTorch bf16 channels last tuned"]
    yield from timed_table(rows, rows.find(), "stack", fastest)


def ceilings(rows):
    yield "### What the machine can do at most\n"
    for name, index in rows.find().items():
        values = defaultdict(list)
        for run in rows.good(index):
            for line in run["lines"]:
                values[line["name"], line["unit"]].append(line["value"])
        table = [[what, f"{number(max(v))} {unit}"] for (what, unit), v in values.items()]
        yield from grid(["highest of all rounds", ""], table or [failed(name, rows, index, 2)])


TABLES = {f.__name__: f for f in (tower, scaling, pipeline, labels, grad, i3d, ceilings)}


def markdown(result):
    machine, versions = result["machine"], result["versions"]
    rounds = 1 + max(run["round"] for run in result["runs"])
    noisy = sum(run["other_cpu"] >= QUIET for run in result["runs"])
    lines = [
        f"{result['date']}, `{result['command']}`, {rounds} rounds. {machine['cores']} cores, {machine['cpu']}"
        f" ({', '.join(machine['isa'])}), {machine['memory_gib']} GiB.",
        ", ".join(f"{name} {version}" for name, version in versions.items()) + ".",
        f"{noisy} of {len(result['runs'])} runs were disturbed by other programs.\n",
    ]
    for section in SECTIONS:
        rows = Rows(result, section)
        if rows.contestants:
            lines.extend(TABLES[section](rows))
    return "\n".join(lines)


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        print(markdown(json.load(file)))
