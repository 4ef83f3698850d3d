"""CLIP's image tower and projection in onnxruntime."""

import onnxruntime
import timed
import tower

args = tower.arguments("f32")
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = args.threads
options.inter_op_num_threads = 1
pixels = tower.pixels(args)
options.add_free_dimension_override_by_name("batch", args.batch)
session = onnxruntime.InferenceSession(args.model, options, providers=["CPUExecutionProvider"])


def run():
    return session.run(None, {"pixel_values": pixels})[0]


tower.write_check(args, run())
timed.report("tower", timed.timed(run, args.runs))
