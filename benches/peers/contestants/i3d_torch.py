"""The convolutions of I3D in PyTorch, each with bias and ReLU on an input of its shape; a run's time is their sum."""

import argparse
import json

import timed
import torch
import torch.nn.functional as F

parser = argparse.ArgumentParser()
parser.add_argument("--layers", required=True, help="i3d_layers.json")
parser.add_argument("--threads", type=int, required=True)
parser.add_argument("--precision", choices=["f32", "bf16"], required=True)
parser.add_argument("--channels-last", action="store_true", help="torch.channels_last_3d")
parser.add_argument("--runs", type=int, required=True)
args = parser.parse_args()

torch.set_num_threads(args.threads)
torch.manual_seed(0)
memory_format = torch.channels_last_3d if args.channels_last else torch.contiguous_format
dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[args.precision]


def same_padding(size, kernel, stride):
    """TensorFlow's SAME: (before, after), the odd one after."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class Layer:
    """One convolution, ready to run."""

    def __init__(self, layer):
        self.name, self.stride = layer["name"], layer["stride"]
        kernel = layer["kernel"]
        shape = (layer["out_channels"], layer["in_channels"], *kernel)
        self.weight = torch.randn(shape).to(dtype, memory_format=memory_format)
        self.bias = torch.randn(shape[0]).to(dtype)
        input_shape = (1, layer["in_channels"], *layer["input_size"])
        self.input = torch.randn(input_shape).to(dtype, memory_format=memory_format)
        padding = [same_padding(*of_axis) for of_axis in zip(layer["input_size"], kernel, self.stride)]
        self.symmetric = [before for before, _ in padding]
        # The convolution pads alike on both sides; where SAME does not, the input is padded first, as pytorch-i3d does.
        self.uneven = [side for pair in reversed(padding) for side in pair] if any(a != b for a, b in padding) else None

    @torch.inference_mode()
    def __call__(self):
        x, padding = self.input, self.symmetric
        if self.uneven:
            x, padding = F.pad(x, self.uneven), 0
        return F.conv3d(x, self.weight, self.bias, self.stride, padding).relu_()


with open(args.layers) as file:
    layers = [Layer(layer) for layer in json.load(file)]
times = [timed.timed(layer, args.runs) for layer in layers]
for layer, milliseconds in zip(layers, times):
    timed.report(layer.name, milliseconds)
timed.report("stack", [sum(of_run) for of_run in zip(*times)])
