"""Nothing beyond an array is touched: it ends, or begins, at a page that kills the process.

The whole of it, more than two million calls, is `python -m proof.guard_pages`.
"""

import subprocess
import sys

import guard_sweep
import guarded_memory
import numpy as np
import pytest

pytestmark = pytest.mark.skipif(not guarded_memory.AVAILABLE, reason="needs mprotect")

BEYOND = """
import ctypes, sys
import numpy as np
from guarded_memory import Room
room = Room(1 << 16)
array, part = room.place((3,), np.dtype("f4"), (4,), sys.argv[1] == "end")
ctypes.string_at(array.ctypes.data - (sys.argv[1] == "start"), array.nbytes + 1)
print("alive")
"""


@pytest.mark.parametrize("edge", ["start", "end"])
def test_the_pages_kill_a_process_that_reads_one_byte_of_them(edge):
    folder = str(guarded_memory.__file__).rpartition("guarded_memory")[0]
    done = subprocess.run(
        [sys.executable, "-c", BEYOND, edge],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode < 0 and "alive" not in done.stdout


def test_a_byte_written_beside_an_array_is_seen():
    room = guarded_memory.Room(1 << 16)
    for at_end, beside in ((True, -1), (False, 3 * 4)):
        array, part = room.place((3,), np.dtype("f4"), (4,), at_end)
        array[...] = 1
        assert not room.is_clear(part)
        room.clear(part)
        assert room.is_clear(part)
        room.bytes[part.start + beside] = 0
        assert not room.is_clear(part)
        room.bytes[...] = guarded_memory.POISON


def test_nothing_beyond_an_array_is_touched(target):
    swept = guard_sweep.run(target, "some")
    assert not swept.failure, swept.failure
    assert swept.counts.total() > 50_000
