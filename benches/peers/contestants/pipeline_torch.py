"""Videos -> label probabilities with PyAV, PyTorch and transformers, the way `lexivid classify` works: windows of 2 s
every second, 8 frames a window, each frame encoded once. A thread decodes and resizes ahead of the model.

    python pipeline_torch.py --model DIR --labels labels.csv --threads 2 --precision bf16 CLIP..
"""

import argparse
import csv
import json
import queue
import threading

import av
import torch
import torch.nn.functional as F
from clip_preprocessing import preprocess
from transformers import AutoTokenizer, CLIPModel

WINDOW, HOP, FRAMES, BATCH = 2.0, 1.0, 8, 8
AHEAD = 32


def windows(duration):
    """(start, end) of each; what would be shorter than half a window belongs to the one before it."""
    spans = [(0.0, min(WINDOW, duration))]
    while spans[-1][1] < duration and duration - (start := spans[-1][0] + HOP) >= WINDOW / 2:
        spans.append((start, min(start + WINDOW, duration)))
    spans[-1] = (spans[-1][0], duration)
    return spans


def moments(start, end):
    return [start + (i + 0.5) * (end - start) / FRAMES for i in range(FRAMES)]


def sampled(container, targets):
    """Pixels [1, 3, 224, 224] of the frame on display at each target. Only those frames are converted."""
    frames = container.decode(video=0)
    current = next(frames)
    begin, following = current.time, next(frames, None)
    for target in targets:
        while following is not None and following.time - begin <= target:
            current, following = following, next(frames, None)
        yield preprocess(current.to_ndarray(format="rgb24"))


def ahead(items):
    """The same items, made in a thread."""
    channel = queue.Queue(AHEAD)

    def fill():
        for item in items:
            channel.put(item)
        channel.put(None)

    threading.Thread(target=fill, daemon=True).start()
    return iter(channel.get, None)


def batched(items, size):
    batch = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


class Pipeline:
    """Both towers, and the labels' embeddings."""

    def __init__(self, model, labels, dtype):
        self.labels, self.dtype = labels, dtype
        self.model = CLIPModel.from_pretrained(model, dtype=dtype).eval()
        tokenizer = AutoTokenizer.from_pretrained(model)
        ids = tokenizer([f"a photo of a {label}." for label in labels], padding=True, return_tensors="pt")["input_ids"]
        text = self.model.text_projection(self.model.text_model(input_ids=ids).pooler_output)
        self.text = F.normalize(text.float(), dim=-1)
        self.scale = self.model.logit_scale.float().exp()

    def encode(self, pixels):
        batch = torch.cat(pixels).to(self.dtype)
        embeddings = self.model.visual_projection(self.model.vision_model(pixel_values=batch).pooler_output)
        return F.normalize(embeddings.float(), dim=-1)

    def windows(self, clip):
        """Normalised embeddings of the clip's windows [W, D]."""
        with av.open(clip) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            spans = [moments(*span) for span in windows(float(stream.duration * stream.time_base))]
            targets = sorted({time for span in spans for time in span})
            embeddings = torch.cat([self.encode(b) for b in batched(ahead(sampled(container, targets)), BATCH)])
        of_target = dict(zip(targets, embeddings))
        means = [torch.stack([of_target[time] for time in span]).mean(0) for span in spans]
        return F.normalize(torch.stack(means), dim=-1)

    def classify(self, embeddings):
        """Label -> probability, even odds at a similarity of 0.25, the mean of the highest tenth of the windows."""
        probabilities = torch.sigmoid(self.scale * (embeddings @ self.text.T - 0.25))
        highest = probabilities.topk(max(1, len(embeddings) // 10), dim=0).values.mean(0)
        return dict(zip(self.labels, highest.tolist()))


def cuda_mib():
    """Memory that libraries for other devices hold resident: PyPI's PyTorch loads CUDA's even where there is none."""
    kib = 0
    with open("/proc/self/smaps") as maps:
        for line in maps:
            fields = line.split()
            if not fields[0].endswith(":"):
                name = fields[-1]
            elif fields[0] == "Rss:" and ("nvidia" in name or "cuda" in name):
                kib += int(fields[1])
    return round(kib / 1024, 1)


@torch.inference_mode()
def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--labels", required=True, help="a CSV file with a column `name`")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--precision", choices=["f32", "bf16"], required=True)
    parser.add_argument("--windows", help="write the last clip's window embeddings to this .pt file")
    parser.add_argument("clips", nargs="+")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with open(args.labels, encoding="utf-8") as file:
        labels = [row["name"] for row in csv.DictReader(file)]
    pipeline = Pipeline(args.model, labels, {"f32": torch.float32, "bf16": torch.bfloat16}[args.precision])
    for clip in args.clips:
        embeddings = pipeline.windows(clip)
        print(json.dumps({"name": "clip", "probabilities": pipeline.classify(embeddings)}), flush=True)
    if args.windows:
        torch.save(embeddings, args.windows)
    print(json.dumps({"name": "memory", "cuda_libraries_mib": cuda_mib()}))


main()
