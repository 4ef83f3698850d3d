"""CLIP's image tower and projection in OpenVINO; int8 is NNCF's post-training quantisation for transformers,
calibrated on the frames of the pixel file."""

import numpy as np
import openvino
import timed
import tower

args = tower.arguments("f32", "bf16", "int8")
core = openvino.Core()
model = core.read_model(args.model)
if args.precision == "int8":
    import nncf

    frames = np.load(args.pixels)
    model.reshape([1, *frames.shape[1:]])
    model = nncf.quantize(model, nncf.Dataset(frames[:, None]), model_type=nncf.ModelType.TRANSFORMER)
pixels = tower.pixels(args)
model.reshape(list(pixels.shape))
compiled = core.compile_model(
    model,
    "CPU",
    {
        "INFERENCE_NUM_THREADS": args.threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        # What int8 leaves in floating point is bf16, as in the bf16 contestant.
        "INFERENCE_PRECISION_HINT": "f32" if args.precision == "f32" else "bf16",
    },
)


def run():
    return compiled(pixels)[0]


tower.write_check(args, run().astype(np.float32))
timed.report("tower", timed.timed(run, args.runs))
