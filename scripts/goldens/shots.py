"""Scores and cuts of PySceneDetect's ContentDetector on generated frames.

    pip install scenedetect==0.7.2 opencv-python-headless==5.0.0.93
    python scripts/goldens/shots.py > crates/lexivid/tests/goldens/shots.json
"""

import json

import numpy as np
from scenedetect import FrameTimecode
from scenedetect.detectors import ContentDetector
from scenedetect.stats_manager import StatsManager

WIDTH, HEIGHT = 40, 24
# Lengths of scenes: long ones, a flash at the start, a run of short ones that are merged, a cut near the end.
LENGTHS = [9, 20, 30, 4, 5, 3, 6, 7, 40, 15, 14, 30, 5]


def frame(scene, index):
    y, x, c = np.mgrid[0:HEIGHT, 0:WIDTH, 0:3]
    rgb = (x * (3 + scene) + y * (5 + 2 * scene) + scene * (61 + 40 * c) + index % 3 * 4) % 256
    return np.ascontiguousarray(rgb[..., ::-1].astype(np.uint8))  # BGR


scenes = [scene for scene, length in enumerate(LENGTHS) for _ in range(length)]
detector = ContentDetector()
scores, cuts = [], []
for index, scene in enumerate(scenes):
    timecode = FrameTimecode(index, fps=25.0)
    cuts += [cut.frame_num for cut in detector.process_frame(timecode, frame(scene, index))]
    scores.append(float(detector._frame_score))
json.dump({"width": WIDTH, "height": HEIGHT, "scenes": scenes, "scores": scores, "cuts": cuts}, __import__("sys").stdout)
