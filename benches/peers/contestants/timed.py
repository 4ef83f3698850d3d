"""How every contestant measures and reports: warm up, time each run, print one line of JSON."""

import json
import time

WARM_UP_RUNS = 2


def timed(run, runs):
    """Milliseconds of each of `runs` calls after the warm-up."""
    for _ in range(WARM_UP_RUNS):
        run()
    milliseconds = []
    for _ in range(runs):
        start = time.perf_counter()
        run()
        milliseconds.append((time.perf_counter() - start) * 1e3)
    return milliseconds


def report(name, milliseconds, **fields):
    print(json.dumps({"name": name, "ms": [round(ms, 3) for ms in milliseconds], **fields}), flush=True)
