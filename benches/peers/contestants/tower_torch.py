"""CLIP's image tower and projection in PyTorch, by transformers."""

import timed
import torch
import tower
from transformers import CLIPModel

args = tower.arguments("f32", "bf16")
torch.set_num_threads(args.threads)
dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[args.precision]
model = CLIPModel.from_pretrained(args.model, dtype=dtype).eval()
pixels = torch.from_numpy(tower.pixels(args)).to(dtype)


@torch.inference_mode()
def run():
    return model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output)


tower.write_check(args, run().float().numpy())
timed.report("tower", timed.timed(run, args.runs))
