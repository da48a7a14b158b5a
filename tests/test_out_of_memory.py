"""Where there is no memory, an operation says so; it loses none, and changes no input.

The whole of it is `python -m proof.out_of_memory`.
"""

import allocation_sweep
import pytest


def test_each_allocation_may_fail(target):
    if allocation_sweep.shim() is None:
        pytest.skip("needs Linux, glibc and a C compiler")
    counts, failure = allocation_sweep.run(target, "some")
    assert not failure, failure
    assert counts["MemoryError"] > 5_000
