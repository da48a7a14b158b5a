"""Arrays of any size in little memory: one piece of it is mapped again and again, side by side.

The kernels see a plain contiguous array, so that a call can be made to take as long as wanted on
the very path that it would take with as much real memory.
"""

import ctypes
import mmap
import os

import numpy as np

PIECE = 1 << 26

_MAP_FIXED = 0x10


def endless(shape, dtype, piece=PIECE):
    """A writable array of this shape whose memory repeats after a piece; it is never unmapped."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    size = int(np.prod(shape, dtype=object)) * np.dtype(dtype).itemsize
    pieces = -(-size // piece)
    both = mmap.PROT_READ | mmap.PROT_WRITE
    reserved = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0x4000)
    begin = libc.mmap(None, pieces * piece, both, reserved, -1, 0)
    file = os.memfd_create("piece")
    os.ftruncate(file, piece)
    for i in range(pieces):
        place = begin + i * piece
        if libc.mmap(place, piece, both, mmap.MAP_SHARED | _MAP_FIXED, file, 0) != place:
            raise OSError(ctypes.get_errno(), "mmap")
    os.close(file)
    memory = (ctypes.c_ubyte * size).from_address(begin)
    return np.frombuffer(memory, dtype).reshape(shape)
