"""Runs the contestants alternately, keeps every raw run, prints the tables. `run` sets its environment up.

Each round runs every contestant once, in a process of its own that loads, warms up and times itself. What takes turns
meets the same machine: a slow minute slows all.
"""

import argparse
import dataclasses
import datetime
import json
import re
import subprocess
import sys
from pathlib import Path

import machine
import measure
import numpy as np
import table
from sections import SECTIONS

HERE = Path(__file__).resolve().parent


def arguments():
    parser = argparse.ArgumentParser(prog="run", description="Measures lexivid beside its peers.")
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, comma-separated (default: %(default)s)")
    parser.add_argument("--match", default="", help="only contestants whose name matches this regular expression")
    parser.add_argument("--rounds", type=int, default=5, help="times that each runs (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="one round with few runs: does everything work?")
    parser.add_argument("--cache", type=Path, required=True, help="where environment and inputs are (`run` gives it)")
    parser.add_argument("--target", type=Path, required=True, help="cargo's target directory (`run` gives it)")
    parser.add_argument("--output", type=Path, help="the raw runs (default: benches/results/DATE-peers.json)")
    args = parser.parse_args()
    if unknown := set(args.only.split(",")) - set(SECTIONS):
        parser.error(f"no section named {', '.join(unknown)}: {', '.join(SECTIONS)}")
    return args


def build_ours():
    packages = ["--package", "lexivid-cli", "--package", "lexivid-peers"]
    return subprocess.run(["cargo", "build", "--release", "--locked", *packages], cwd=machine.ROOT).returncode == 0


def cosines(contestants, checks):
    """Index of a contestant -> the lowest cosine of its embeddings to those of PyTorch f32."""
    found = {}
    for index, contestant in enumerate(contestants):
        of_torch = next(
            (
                c
                for c in contestants
                if (c.section, c.fields) == (contestant.section, contestant.fields) and c.name.startswith("PyTorch f32")
            ),
            None,
        )
        if not (
            contestant.check
            and of_torch
            and (checks / contestant.check).exists()
            and (checks / of_torch.check).exists()
        ):
            continue
        got, expected = np.load(checks / contestant.check), np.load(checks / of_torch.check)
        lengths = np.linalg.norm(got, axis=1) * np.linalg.norm(expected, axis=1)
        found[str(index)] = round(float(((got * expected).sum(1) / lengths).min()), 6)
    return found


def lined(result):
    """JSON with a line for every contestant and every run, so that it can be read and compared."""
    parts = []
    for key, value in result.items():
        if isinstance(value, list):
            text = "[\n    " + ",\n    ".join(json.dumps(item) for item in value) + "\n  ]"
        else:
            text = json.dumps(value)
        parts.append(f"  {json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main():
    args = arguments()
    rounds, runs = (1, 2) if args.quick else (args.rounds, 7)
    contestants = [c for name in args.only.split(",") for c in SECTIONS[name](runs) if re.search(args.match, c.name)]
    if any(c.is_ours() for c in contestants) and not build_ours():
        print("run: our side did not build; what cannot be started is reported as failed", file=sys.stderr)
    checks = args.cache / "checks"
    checks.mkdir(exist_ok=True)
    for old in checks.glob("*.npy"):
        old.unlink()
    places = {
        "python": sys.executable,
        "here": HERE / "contestants",
        "cache": args.cache,
        "inputs": args.cache / "inputs",
        "checks": checks,
        "ours": args.target / "release/lexivid-peers",
        "lexivid": args.target / "release/lexivid",
    }
    now = datetime.date.today().isoformat()
    output = args.output or HERE.parent / "results" / f"{now}-peers.json"
    result = {
        "date": now,
        "command": "benches/peers/run " + " ".join(sys.argv[5:]),
        "machine": machine.machine(),
        "versions": machine.versions(),
        "contestants": [dataclasses.asdict(c) for c in contestants],
        "runs": [],
    }
    for number in range(rounds):
        for index, contestant in enumerate(contestants):
            print(
                f"round {number + 1}/{rounds}: {contestant.section}, {contestant.name} {contestant.fields or ''}",
                file=sys.stderr,
            )
            command = [word.format(**places) for word in contestant.command.split()]
            environment = {name: value.format(**places) for name, value in contestant.environment.items()}
            run = measure.run(command, environment)
            if run.error:
                run.error = run.error.replace(str(args.cache), "{cache}").replace(str(args.target), "{target}")
                print(f"  failed: {run.error}", file=sys.stderr)
            result["runs"].append({"contestant": index, "round": number, **dataclasses.asdict(run)})
            result["cosines"] = cosines(contestants, checks)
            # After every run: a long bench that is cut short keeps what it measured.
            output.write_text(lined(result))
    print(table.markdown(result))


if __name__ == "__main__":
    main()
