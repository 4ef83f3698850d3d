"""What the contestants of the section `tower` share: arguments, pixels, the check of the outputs."""

import argparse

import numpy as np


def arguments(*precisions):
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True, help="a directory or an .onnx file")
    parser.add_argument("--pixels", required=True, help="float32 .npy [N, 3, 224, 224]; the first batch is taken")
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--precision", choices=precisions, required=True)
    parser.add_argument("--runs", type=int, required=True)
    parser.add_argument("--check", help="write the embeddings to this .npy file, float32 [B, D]")
    return parser.parse_args()


def pixels(args):
    return np.load(args.pixels)[: args.batch]


def write_check(args, embeddings):
    if args.check:
        np.save(args.check, embeddings)
