"""Make workers share calls that would be too small for it, on a machine of any size."""

import sys
from contextlib import contextmanager


@contextmanager
def forced(fs, alone, processors=4):
    """Calls of more than `alone` bytes are shared, and there seem to be so many processors.

    Gives a list that grows by the number of helpers with each call that was shared.
    """
    modules = {
        name: sys.modules[f"{fs.__name__}.{name}"] for name in ("_packing", "_cross_entropy")
    }
    sharing = __import__(f"{fs.__name__}._sharing", fromlist=["share"])
    kernels, calls, run = fs._target.kernels, [], sharing._Shared.run
    before = modules["_packing"].ALONE
    kept = sharing.cpu_count, sharing._executors

    def noted(self, helpers):
        calls.append(helpers)
        return run(self, helpers)

    try:
        for module in modules.values():
            module.ALONE = alone
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
        for module in modules.values():
            module.ALONE = before
