"""What was measured on, and with which versions."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PEERS = ["torch", "transformers", "av", "openvino", "nncf", "onnxruntime", "numpy"]
# The instructions that the contestants differ in.
ISA = ["fma", "avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16", "amx_int8"]


def said(*command):
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def machine():
    with open("/proc/cpuinfo") as file:
        cpu = dict(
            part.split(":", 1) for part in file.read().split("\n\n")[0].replace("\t", "").splitlines() if ":" in part
        )
    flags = cpu["flags"].split()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        # Clouds hide the name; family and model do not.
        "cpu": f"{cpu['model name'].strip()}, family {cpu['cpu family'].strip()}, model {cpu['model'].strip()}",
        "cores": len(os.sched_getaffinity(0)),
        "isa": [flag for flag in ISA if flag in flags],
        "memory_gib": round(memory / 2**30, 1),
        "kernel": platform.release(),
        "load_before": os.getloadavg()[0],
    }


def versions():
    return {
        "commit": said("git", "rev-parse", "HEAD") + ("+changes" if said("git", "status", "--porcelain") else ""),
        "rustc": said("rustc", "--version").split()[1],
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in PEERS},
    }
