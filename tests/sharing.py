"""Make workers share calls that would be too small for it, on a machine of any size."""

import sys
from contextlib import contextmanager


def module(fs, name):
    """A module of the package under test."""
    return __import__(f"{fs.__name__}.{name}", fromlist=[name])


@contextmanager
def forced(fs, alone, processors=4):
    """Calls of more than `alone` bytes are shared, and there seem to be so many processors.

    Gives a list that grows by the number of helpers with each call that was shared.
    """
    modules = {
        name: sys.modules[f"{fs.__name__}.{name}"] for name in ("_packing", "_cross_entropy")
    }
    sharing = module(fs, "_sharing")
    kernels, calls, run = fs._target.kernels, [], sharing._Shared.run
    before = modules["_packing"].ALONE
    kept = sharing.cpu_count, sharing._executors

    def noted(self, helpers):
        calls.append(helpers)
        return run(self, helpers)

    try:
        for each in modules.values():
            each.ALONE = alone
        kernels.set_alone(alone)
        sharing._Shared.run = noted
        sharing.cpu_count, sharing._executors = (lambda: processors), {}
        yield calls
    finally:
        for executor in sharing._executors.values():
            executor.shutdown()
        sharing.cpu_count, sharing._executors = kept
        sharing._Shared.run = run
        kernels.set_alone(before)
        for each in modules.values():
            each.ALONE = before
