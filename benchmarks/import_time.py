"""What an import adds to that of NumPy, in a process of its own."""

import subprocess
import sys
from statistics import median, quantiles

ROUNDS = 15
PROGRAM = """
import numpy, time
start = time.perf_counter()
import {module}
print(time.perf_counter() - start)
"""
MODULES = {
    "fastsoftmax": "fastsoftmax",
    "SciPy": "scipy.special",
    "PyTorch": "torch",
    "ONNX Runtime": "onnxruntime",
    "JAX": "jax",
}


def _once(module: str) -> float:
    command = [sys.executable, "-c", PROGRAM.format(module=module)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout) * 1e3


def milliseconds(name: str) -> tuple[float, float, float]:
    """Median and quartiles of a library's import over NumPy's."""
    module = MODULES[name]
    _once(module)  # fills the disk cache and writes the bytecode
    times = [_once(module) for _ in range(ROUNDS)]
    low, _, high = quantiles(times, n=4)
    return median(times), low, high
