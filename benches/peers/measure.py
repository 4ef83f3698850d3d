"""One run of one contestant: a process of its own, and what else the machine did meanwhile."""

import json
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass, field

TICK = os.sysconf("SC_CLK_TCK")


@dataclass
class Run:
    """What came of it."""

    wall_s: float
    # The most memory that the process held at once (VmHWM).
    peak_mib: float
    # Cores that other processes kept busy, and that the hypervisor took away.
    other_cpu: float
    steal: float
    # What it printed: one object a line.
    lines: list = field(default_factory=list)
    # Its last line of error if it failed.
    error: str | None = None


def machine_seconds():
    """Seconds of all cores since the start: busy (user, nice, system, interrupts), stolen."""
    with open("/proc/stat") as stat:
        user, nice, system, _, _, irq, softirq, steal = (int(x) / TICK for x in stat.readline().split()[1:9])
    return user + nice + system + irq + softirq, steal


def run(command, environment):
    """Runs `command` (a list) to its end, with `environment` on top of ours."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        busy, stolen = machine_seconds()
        start = time.perf_counter()
        try:
            process = subprocess.Popen(command, stdout=output, stderr=errors, env=os.environ | environment)
        except OSError as error:
            return Run(0.0, 0.0, 0.0, 0.0, error=str(error))
        # Not `process.wait`: only wait4 tells what this one process used.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - start
        busy_after, stolen_after = machine_seconds()
        output.seek(0)
        errors.seek(0)
        own = usage.ru_utime + usage.ru_stime
        return Run(
            wall_s=round(wall, 4),
            peak_mib=round(usage.ru_maxrss / 1024, 1),
            other_cpu=round(max(0.0, busy_after - busy - own) / wall, 3),
            steal=round((stolen_after - stolen) / wall, 3),
            lines=[json.loads(line) for line in output if line.startswith('{"name"')],
            error=failure(process.returncode, errors.read()),
        )


def failure(code, errors):
    if code == 0:
        return None
    said = [line.strip() for line in errors.splitlines() if line.strip()]
    return said[-1] if said else f"ended with status {code} and said nothing"
