"""A frozen transformer stack of SmolLM2-135M's shape in PyTorch, forward and backward to a learned prefix.

Sizes and wiring are those of the model's config.json: RMS norm, rotary positions, 9 query heads over 3 key and value
heads, causal, gated SiLU. Written without transformers' modules: fused `rms_norm` and attention with grouped heads are
the fastest that PyTorch has.
"""

import argparse

import timed
import torch
import torch.nn.functional as F

LAYERS, WIDTH, HEADS, KEY_HEADS, MLP = 30, 576, 9, 3, 1536
BATCH, TOKENS, PREFIX = 8, 64, 16
HEAD = WIDTH // HEADS
ROPE_BASE, EPSILON = 100_000.0, 1e-5

parser = argparse.ArgumentParser()
parser.add_argument("--threads", type=int, required=True)
parser.add_argument("--precision", choices=["f32", "bf16"], required=True)
parser.add_argument("--runs", type=int, required=True)
args = parser.parse_args()

torch.set_num_threads(args.threads)
torch.manual_seed(0)
dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[args.precision]


def weight(outputs, inputs):
    return (torch.randn(outputs, inputs) / inputs**0.5).to(dtype)


norm = torch.ones(WIDTH, dtype=dtype)
key_width = KEY_HEADS * HEAD
shapes = [
    (WIDTH, WIDTH),
    (key_width, WIDTH),
    (key_width, WIDTH),
    (WIDTH, WIDTH),
    (MLP, WIDTH),
    (MLP, WIDTH),
    (WIDTH, MLP),
]
blocks = [[weight(*shape) for shape in shapes] for _ in range(LAYERS)]
prefix = torch.randn(1, PREFIX, WIDTH).to(dtype).requires_grad_()
body = torch.randn(BATCH, TOKENS - PREFIX, WIDTH).to(dtype)

frequencies = ROPE_BASE ** (-torch.arange(0, HEAD, 2) / HEAD)
angles = torch.outer(torch.arange(TOKENS), frequencies).repeat(1, 2)  # [T, head]
cos, sin = angles.cos().to(dtype), angles.sin().to(dtype)


def rotate(x):
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin


def block(x, query, key, value, output, gate, up, down):
    def heads(t):
        return t.view(BATCH, TOKENS, -1, HEAD).transpose(1, 2)

    y = F.rms_norm(x, (WIDTH,), norm, EPSILON)
    q, k, v = rotate(heads(F.linear(y, query))), rotate(heads(F.linear(y, key))), heads(F.linear(y, value))
    mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
    x = x + F.linear(mixed.transpose(1, 2).reshape(BATCH, TOKENS, WIDTH), output)
    y = F.rms_norm(x, (WIDTH,), norm, EPSILON)
    return x + F.linear(F.silu(F.linear(y, gate)) * F.linear(y, up), down)


def loss():
    x = torch.cat([prefix.expand(BATCH, PREFIX, WIDTH), body], dim=1)
    for weights in blocks:
        x = block(x, *weights)
    return x.float().square().mean()


def forward():
    with torch.inference_mode():
        loss()


def forward_backward():
    prefix.grad = None
    loss().backward()


timed.report("forward", timed.timed(forward, args.runs))
timed.report("forward_backward", timed.timed(forward_backward, args.runs))
