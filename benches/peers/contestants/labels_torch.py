"""CLIP's tokenizer and text tower with projection in PyTorch, by transformers: sentences -> embeddings."""

import argparse

import timed
import torch
from transformers import AutoTokenizer, CLIPModel

BATCH = 64

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--labels", required=True, help="a sentence a line")
parser.add_argument("--threads", type=int, required=True)
parser.add_argument("--precision", choices=["f32", "bf16"], required=True)
parser.add_argument("--runs", type=int, required=True)
args = parser.parse_args()

torch.set_num_threads(args.threads)
model = CLIPModel.from_pretrained(
    args.model, dtype={"f32": torch.float32, "bf16": torch.bfloat16}[args.precision]
).eval()
tokenizer = AutoTokenizer.from_pretrained(args.model)
with open(args.labels, encoding="utf-8") as file:
    sentences = file.read().splitlines()


@torch.inference_mode()
def run():
    for start in range(0, len(sentences), BATCH):
        # No attention mask: the attention is causal, so padding behind the pooled token changes nothing, and torch
        # has a faster path for a causal mask that it knows.
        ids = tokenizer(sentences[start : start + BATCH], padding=True, return_tensors="pt")["input_ids"]
        model.text_projection(model.text_model(input_ids=ids).pooler_output)


timed.report("labels", timed.timed(run, args.runs), count=len(sentences))
