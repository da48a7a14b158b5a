"""python -m proof.processors [--quick] [--cpu CPU ...] [--aarch64 FOLDER]: each kind of processor.

(a) User-mode QEMU runs this Python, NumPy and the built package as on another processor. An
    instruction that this processor does not have ends the process.
(b) For each processor: the target that is chosen, that the next better one is refused, and a smoke
    test of every dtype, whose results must have the bits that the same target gives here.
    Without `--quick`, also the golden hashes of `proof.same_bits` and a selection of the tests.
(c) The oldest processor that NumPy's wheels run on is Nehalem's (x86-64-v2). Older ones run the
    detection alone, without NumPy. One with AVX2 but without BMI1 has no C library that starts;
    tests/simd/test_detection.py decides for it.
(d) A processor that has AVX2 under a system that does not save its registers is `max,-xsave`.
(e) QEMU knows no AVX-512: a Skylake-X is one without it there. The golden hashes are for this.
(f) FOLDER is that of `tools/aarch64.sh`, which has to have run before.
(g) Where nothing can be emulated, `--quick` says so and does not fail; in full it does.
"""

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]

# The processor in QEMU's words, and the target that has to be chosen.
X86_64 = {
    "Nehalem": "generic",
    "SandyBridge": "generic",  # AVX without AVX2
    "Haswell": "avx2",
    "Haswell,-fma": "generic",
    "Haswell,-avx2": "generic",
    "Haswell,-bmi2": "generic",
    "Haswell,-movbe": "generic",
    "Haswell,-abm": "generic",
    "Haswell,-f16c": "generic",
    "max,-xsave": "generic",
    "EPYC": "avx2",
    "Skylake-Server": "avx2",
    "max": "avx2",
}
WHOLE = ("Nehalem", "SandyBridge", "Haswell", "Haswell,-fma", "max,-xsave")
OLDEST = ("qemu64,-sse3", "Opteron_G1", "Conroe")
AARCH64 = {"cortex-a53": "neon", "max": "neon"}
BETTER = {"generic": "avx2", "avx2": "avx512", "neon": "avx2"}

TESTS = (
    "tests/test_import.py",
    "tests/test_special_values.py",
    "tests/test_dtypes.py",
    "tests/test_accuracy.py",
)
# QEMU warns of a feature that it cannot play, so an import is not silent there.
SELECTION = (
    "({target} or import) and (not accuracy or any_finite_bits or normal or subnormal_results) "
    "and not is_silent"
)

SMOKE = """
import hashlib, sys
import numpy as np
import fastsoftmax as fs
from fastsoftmax import _target
assert _target.name == sys.argv[1], f"{_target.name} was chosen, not {sys.argv[1]}"
dtypes = [np.float16, np.float32, np.float64]
try:
    from ml_dtypes import bfloat16
    dtypes.append(bfloat16)
except ImportError:
    pass
digest, calls = hashlib.sha256(), 0
for dtype in dtypes:
    for n in (1, 2, 7, 10, 16, 33, 64, 100, 257, 1025):
        x = ((np.arange(9 * n) * 37 % 97 - 40) / 4).astype(dtype).reshape(9, n)
        y = fs.softmax(x, axis=1)
        results = [
            y, fs.log_softmax(x, axis=1), fs.logsumexp(x, axis=1), fs.softmax(x.T, axis=0),
            fs.softmax_vjp(x, y, axis=1), fs.log_softmax_vjp(x, x - 30, axis=1),
            *fs.cross_entropy_value_and_grad(x, np.arange(9) % n),
            fs.SoftmaxState(1).update(x).log_softmax(x),
        ]
        assert abs(y.astype(float).sum(axis=1) - 1).max() < n * 0.004
        calls += len(results)
        for result in results:
            digest.update(np.ascontiguousarray(result))
print(_target.name, ",".join(_target.runnable), calls, digest.hexdigest()[:16])
"""
DETECTION = """
import sys
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_file_location
loader = ExtensionFileLoader("fastsoftmax._cpu", sys.argv[1])
module = module_from_spec(spec_from_file_location("fastsoftmax._cpu", sys.argv[1], loader=loader))
loader.exec_module(module)
print(*module.runnable_targets())
"""

failures = []


def fail(text):
    failures.append(text)
    print(f"FAILED: {text}", flush=True)


def environment(cpu=None, **more):
    # PYTHONPATH may name kernels of this machine; and OpenBLAS's choice breaks NumPy elsewhere.
    away = ("OPENBLAS_", "FASTSOFTMAX_", "PYTHONPATH")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(away)}
    return kept | ({} if cpu is None else {"QEMU_CPU": cpu}) | more


def run(python, arguments, env, timeout=3000):
    """What the process says, or None and a failure."""
    command = [python, *arguments]
    try:
        done = subprocess.run(
            command,
            env=env,
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        return None, f"no answer within {timeout} s"
    return (done.stdout if done.returncode == 0 else None), done.stdout[-3000:] + done.stderr[
        -3000:
    ]


def emulated_python(folder):
    """This environment with a python that starts the emulator, for child processes as well."""
    base = Path(sys._base_executable).resolve()
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    (folder / "bin").mkdir()
    packages = folder / "lib" / version
    packages.mkdir(parents=True)
    (packages / "site-packages").symlink_to(sysconfig.get_path("platlib"))
    (folder / "pyvenv.cfg").write_text(f"home = {base.parent}\n")
    python = folder / "bin" / "python"
    python.write_text(f"#!/bin/sh\nexec qemu-x86_64-static -0 '{python}' '{base}' \"$@\"\n")
    python.chmod(0o755)
    return python


def smoke(python, cpu, target, with_refusal):
    """The chosen target, that a better one is refused, and the bits of the smoke test."""
    said, why = run(python, ["-c", SMOKE, target], environment(cpu))
    if said is None:
        fail(f"{cpu}: {why}")
        return None
    name, runnable, calls, digest = said.split()
    if with_refusal:
        asked = environment(cpu, FASTSOFTMAX_TARGET=BETTER[target])
        refused, why = run(python, ["-c", "import fastsoftmax"], asked)
        if refused is not None or "ImportError" not in why:
            fail(f"{cpu}: the target {BETTER[target]} was not refused: {why}")
    print(f"{cpu}: {name} of {runnable}; {calls} calls, {digest}", flush=True)
    return digest


def whole(python, cpu, target):
    """The golden hashes and a selection of tests."""
    for what, arguments in {
        "golden hashes": ["-m", "proof.same_bits", "--quick", "--hashes", "--target", target],
        "tests": [
            *("-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS),
            *("-k", SELECTION.format(target=target)),
        ],
    }.items():
        begin = time.monotonic()
        said, why = run(python, arguments, environment(cpu))
        if said is None:
            fail(f"{cpu}: {what}: {why}")
        else:
            print(f"{cpu}: {said.splitlines()[-1]} ({time.monotonic() - begin:.0f} s)", flush=True)


def native_bits(targets):
    """The smoke test here, for each target of this machine among those."""
    found = {}
    for target in targets:
        said, _ = run(sys.executable, ["-c", SMOKE, target], environment(FASTSOFTMAX_TARGET=target))
        if said is not None:
            found["generic" if target == "generic" else "fma"] = said.split()[-1]
    return found


def oldest(python):
    """The detection alone, on processors that NumPy does not run on."""
    code = "import fastsoftmax._cpu as c; print(c.__file__)"
    path, why = run(sys.executable, ["-c", code], environment())
    if path is None:
        fail(why)
        return
    for cpu in OLDEST:
        said, why = run(python, ["-c", DETECTION, path.strip()], environment(cpu))
        if said != "generic\n":
            fail(f"{cpu}: the detection says {said!r}: {why}")
        else:
            print(f"{cpu}: generic, by the detection alone", flush=True)


def arguments():
    parser = argparse.ArgumentParser(prog="python -m proof.processors", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the choice and a smoke test alone")
    parser.add_argument("--cpu", nargs="+", choices=sorted({*X86_64, *AARCH64}), help="not all")
    parser.add_argument("--aarch64", type=Path, help="the folder of tools/aarch64.sh")
    return parser.parse_args()


def main():
    options = arguments()
    chosen = options.cpu or sorted({*X86_64, *AARCH64})
    checked = []
    bits = native_bits(("generic", "avx2", "avx512", "neon"))
    print(f"here: {bits}", flush=True)

    def examine(python, table, in_whole):
        for cpu, target in table.items():
            if cpu not in chosen:
                continue
            digest = smoke(python, cpu, target, cpu in in_whole)
            expected = bits.get("generic" if target == "generic" else "fma")
            if digest is not None and digest != expected:
                fail(f"{cpu}: the bits of {target} are {digest}, here {expected}")
            if not options.quick and cpu in in_whole:
                whole(python, cpu, target)
            checked.append(cpu)

    if sysconfig.get_platform() == "linux-x86_64" and shutil.which("qemu-x86_64-static"):
        with tempfile.TemporaryDirectory() as folder:
            python = emulated_python(Path(folder))
            examine(python, X86_64, WHOLE)
            if not options.cpu:
                oldest(python)
                checked.extend(OLDEST)
    else:
        print("No emulation of x86-64: that takes Linux on x86-64 and qemu-user-static.")
    if options.aarch64:
        examine(options.aarch64.resolve() / "bin" / "python", AARCH64, AARCH64)
    if not checked and options.quick and not options.cpu:
        print("processors: not proved here, for there is no emulator")
        return 0
    if not checked:
        fail("no processor was emulated")
    print(f"processors: {len(checked)} processors, {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
