"""Where the figures come from: machine, system, versions."""

import os
import platform
from pathlib import Path
from statistics import median

import numpy as np

from fastsoftmax import _target

from .clock import frequency


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def _caches() -> str:
    found = []
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = (
            (index / name).read_text().strip() for name in ("level", "type", "size")
        )
        if kind != "Instruction":
            found.append(f"L{level} {size}")
    return ", ".join(found) or "unknown"


def target() -> str:
    """The compiled target in use."""
    return _target.name


def describe(cpu: int | None) -> list[tuple[str, str]]:
    """The head of a report."""
    readings = [hertz for _ in range(15) if (hertz := frequency()) is not None]
    clock = f"{median(readings) / 1e9:.2f} GHz at the start" if readings else "not known here"
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    pinned = "not pinned" if cpu is None else f"pinned to CPU {cpu}"
    return [
        ("CPU", f"{_cpu_model()}, {os.cpu_count()} visible, {pinned}"),
        ("Clock", clock),
        ("Caches", _caches()),
        ("Load average at the start", load),
        ("System", f"{platform.system()} {platform.release()}, {platform.machine()}"),
        ("Python", f"{platform.python_version()}, NumPy {np.__version__}"),
        ("Target", target()),
    ]
