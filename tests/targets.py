"""Load the package once for every instruction set this machine can run, all in one process.

(a) The package chooses its target while it is being imported, so every target needs an import of
    its own. The compiled kernels of different targets are different modules; the Python modules
    around them are imported afresh.
(b) A module that is imported late, inside a function, would look its package up by name and find
    that of another target. So `activate` puts the modules of one target back under their names,
    with those that were imported late.
"""

import functools
import importlib
import os
import sys
from types import ModuleType

ALL = ("generic", "avx2", "avx512", "neon")
# These round every step alike, by fused multiply-add, and promise each other's bits.
WITH_FMA = ("avx2", "avx512", "neon")
VARIABLE = "FASTSOFTMAX_TARGET"
_loaded: dict[str, dict[str, ModuleType]] = {}  # the modules of each target


def _ours(name: str) -> bool:
    return name == "fastsoftmax" or name.startswith("fastsoftmax.")


def _forget() -> dict[str, ModuleType]:
    return {name: sys.modules.pop(name) for name in list(sys.modules) if _ours(name)}


@functools.cache
def runnable() -> tuple[str, ...]:
    """Names of the targets that can run here, the best first."""
    return importlib.import_module("fastsoftmax._cpu").runnable_targets()


def _modules(target: str) -> dict[str, ModuleType]:
    if target in _loaded:
        return _loaded[target]
    before, asked = _forget(), os.environ.get(VARIABLE)
    os.environ[VARIABLE] = target
    try:
        importlib.import_module("fastsoftmax")
        kernels = importlib.import_module("fastsoftmax._target").kernels
        assert kernels.__name__ == f"fastsoftmax._kernels_{target}", kernels.__name__
        _loaded[target] = _forget()
        return _loaded[target]
    finally:
        if asked is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = asked
        sys.modules.update(before)


def activate(target: str) -> ModuleType:
    """The package as imported for `target`, now also what `import fastsoftmax` finds."""
    modules = _modules(target)
    active = _forget()
    for known in _loaded.values():
        if known["fastsoftmax"] is active.get("fastsoftmax"):
            known.update(active)
    sys.modules.update(modules)
    return modules["fastsoftmax"]
