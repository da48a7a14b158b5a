"""Memory between two pages that kill the process that touches them.

(a) A room is filled with POISON, bytes that are a nan in every format, no label of any class and
    no truth value. What an operation reads beside an array changes its result, and what it writes
    there is seen, even where no page is hit.
(b) An array is placed at an edge of the room, or `shift` bytes from it, with any strides: it takes
    no more memory than from its first to its last byte, whatever lies between its elements.
"""

import ctypes
import mmap
import sys

import numpy as np

AVAILABLE = sys.platform in ("linux", "darwin")
PROT_NONE = 0
POISON = 0xFF
MARGIN = 256  # bytes beside an array that are looked at after a call


def strides_of(shape, itemsize, order="C"):
    """Strides of a contiguous array."""
    strides, step = [], itemsize
    for length in shape if order == "F" else reversed(shape):
        strides.append(step)
        step *= max(length, 1)
    return tuple(strides if order == "F" else reversed(strides))


class Room:
    """Pages of memory, unmapped memory before and behind them."""

    def __init__(self, size):
        page = mmap.PAGESIZE
        pages = -(-size // page)
        self._memory = mmap.mmap(-1, (pages + 2) * page)  # kept as long as the room
        first = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        libc = ctypes.CDLL(None, use_errno=True)
        for guard in (first, first + (pages + 1) * page):
            if libc.mprotect(ctypes.c_void_p(guard), ctypes.c_size_t(page), PROT_NONE):
                raise OSError(ctypes.get_errno(), "mprotect")
        self.bytes = np.frombuffer(self._memory, np.uint8)[page:-page]
        self.bytes[...] = POISON
        self._poison = self.bytes.tobytes()

    def place(self, shape, dtype, strides, at_end, shift=0):
        """An array of these strides, and where its bytes are: a slice of the room's."""
        before = size = 0
        for length, stride in zip(shape, strides, strict=True):
            if length == 0:
                size = before = 0
                strides = (0,) * len(shape)
                break
            span = (length - 1) * abs(stride)
            size += span
            before += span if stride < 0 else 0
        else:
            size += dtype.itemsize
        start = len(self.bytes) - size - shift if at_end else shift
        array = np.ndarray(shape, dtype, self.bytes, start + before, strides)
        return array, slice(start, start + size)

    def clear(self, part):
        self.bytes[part] = POISON

    def is_clear(self, part):
        """Whether nothing but poison is in a part and beside it."""
        start = max(part.start - MARGIN, 0)
        found = self.bytes[start : part.stop + MARGIN]
        return found.tobytes() == self._poison[: found.size]
