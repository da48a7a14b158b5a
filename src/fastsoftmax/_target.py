"""Pick the compiled target, once, at import.

(a) The best target this processor and operating system can run, unless `FASTSOFTMAX_TARGET` names
    another one.
(b) Detection lives in `_cpu`, which is built with baseline flags. A kernel module is imported only
    after it was found runnable, because even its start-up code may use the instructions it was
    compiled for.
(c) A target that cannot be had is an ImportError, never a silent second best: who sets the variable
    measures or debugs, and must know what runs.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING

from ._cache import cache
from ._cpu import runnable_targets

if TYPE_CHECKING:
    from . import _kernels as kernels

__all__ = ["kernels", "name", "runnable"]

VARIABLE = "FASTSOFTMAX_TARGET"


def _choose(wanted: str | None, runnable: tuple[str, ...]) -> str:
    """The target to import: the wanted one, or the best of those that run here."""
    if not wanted:
        return runnable[0]
    if wanted not in runnable:
        raise ImportError(
            f"{VARIABLE}={wanted!r} names no target that this machine can run; it can run: "
            + ", ".join(runnable)
        )
    return wanted


runnable: tuple[str, ...] = runnable_targets()
name: str = _choose(os.environ.get(VARIABLE), runnable)

if not TYPE_CHECKING:
    kernels = import_module(f"{__package__}._kernels_{name}")

kernels.set_cache(cache)
