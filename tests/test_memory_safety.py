"""Nothing beyond an array is touched: it ends, or begins, at a page that kills the process."""

import os
import subprocess
import sys

import pytest
import targets

GUARDED = """
import ctypes, mmap, sys
import numpy as np

libc = ctypes.CDLL(None, use_errno=True)
PAGE = mmap.PAGESIZE

def guarded(pages):
    memory = mmap.mmap(-1, (pages + 2) * PAGE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for guard in (address, address + (pages + 1) * PAGE):
        assert libc.mprotect(ctypes.c_void_p(guard), ctypes.c_size_t(PAGE), 0) == 0
    inside = (ctypes.c_ubyte * (pages * PAGE)).from_address(address + PAGE)
    return memory, np.frombuffer(inside, np.uint8)

keep, room_x = guarded(8)
keep_too, room_out = guarded(8)

def place(room, shape, dtype, at_end):
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    part = room[room.size - size :] if at_end else room[:size]
    return part.view(dtype).reshape(shape)
"""

SWEEP = """
import fastsoftmax as fs
for dtype in ("f4", "f8", "f2"):
    shapes = [(n,) for n in (*range(1, 140), 255, 257, 1023, 1025)]
    shapes += [(r, n) for r in (2, 3, 15, 16, 17, 33) for n in (1, 2, 3, 7, 10, 16, 17, 33)]
    for shape in shapes:
        for at_end in (False, True):
            x = place(room_x, shape, dtype, at_end)
            x[...] = np.linspace(-3, 3, x.size, dtype=dtype).reshape(shape)
            out = place(room_out, shape, dtype, at_end)
            for axis in range(-1, len(shape) - 1):
                fs.softmax(x, axis=axis)
                fs.softmax(x, axis=axis, out=out)
                fs.log_softmax(x, axis=axis)
                fs.log_softmax(x, axis=axis, out=out)
                fs.logsumexp(x, axis=axis)
                fs.logsumexp(x, axis=axis, out=place(room_out, fs.logsumexp(x, axis=axis).shape,
                                                    dtype, at_end))
            fs.softmax(x, axis=-1, out=x)
print("whole")
"""


def _run(code, target, environment):
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", code],
        env=environment | {targets.VARIABLE: target},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def environment():
    if sys.platform not in ("linux", "darwin"):
        pytest.skip("needs mprotect")
    return dict(os.environ)


def test_the_guard_pages_kill_a_process_that_reads_them(target, environment):
    code = GUARDED + "\nctypes.string_at(room_x.ctypes.data + room_x.size, 1); print('whole')"
    done = _run(code, target, environment)
    assert done.returncode < 0 and "whole" not in done.stdout


def test_nothing_beyond_an_array_is_touched(target, environment):
    done = _run(GUARDED + SWEEP, target, environment)
    assert done.stdout.strip() == "whole", done.stderr[-2000:]
