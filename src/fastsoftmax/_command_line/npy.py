"""`.npy` files as blocks (outer, n, inner) on disk.

(a) A `.npy` file is one run of elements in C or Fortran order. A Fortran array is a C array with
    its axes reversed, so either is a C-contiguous block (outer, n, inner) around the reduced axis,
    and everything else here sees only that.
(b) Input is a read-only memory map: blocks are read when they are used, and memory stays free for
    the system to take back. Its length is checked first, because touching a page beyond the end
    would kill the process.
(c) Only the header versions that plain dtypes have, 1 and 2, are read; version 3 exists for the
    names of fields.
"""

import math
import os
import stat
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from .errors import InputError

NUMERIC_KINDS = "biufc"


class Header(NamedTuple):
    """What a `.npy` file says of its elements."""

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype[Any]

    def block_shape(self, axis: int) -> tuple[int, int, int]:
        """Shape (outer, n, inner) of the elements as they lie in the file."""
        shape = self.shape[::-1] if self.fortran_order else self.shape
        position = len(shape) - 1 - axis if self.fortran_order else axis
        return math.prod(shape[:position]), shape[position], math.prod(shape[position + 1 :])

    def write(self, file: BinaryIO) -> None:
        """Write this header, after which the elements follow."""
        fields = {
            "descr": npy_format.dtype_to_descr(self.dtype),
            "fortran_order": self.fortran_order,
            "shape": self.shape,
        }
        npy_format.write_array_header_1_0(file, fields)


def read(path: str) -> tuple[Header, NDArray[Any]]:
    """Header and elements of a file, the elements flat and mapped, not loaded."""
    with _open(path) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise InputError(f"{path}: not a regular file")
        header = _read_header(path, file)
        size = math.prod(header.shape)
        wanted = size * header.dtype.itemsize
        present = os.fstat(file.fileno()).st_size - file.tell()
        if present < wanted:
            raise InputError(f"{path}: truncated: {present} of {wanted} bytes of elements")
        if wanted == 0:  # an empty map does not exist
            return header, np.empty(0, header.dtype)
        return header, np.memmap(file, header.dtype, "r", file.tell(), (size,))


def _open(path: str) -> BinaryIO:
    try:
        return open(path, "rb")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error


def _read_header(path: str, file: BinaryIO) -> Header:
    try:
        version = npy_format.read_magic(file)
    except ValueError as error:
        raise InputError(f"{path}: not a .npy file") from error
    try:
        if version == (1, 0):
            shape, fortran_order, dtype = npy_format.read_array_header_1_0(file)
        elif version == (2, 0):
            shape, fortran_order, dtype = npy_format.read_array_header_2_0(file)
        else:
            raise InputError(f"{path}: not an array of numbers (.npy version {version[0]})")
    except ValueError as error:
        raise InputError(f"{path}: truncated or damaged .npy header") from error
    if min(shape, default=0) < 0:
        raise InputError(f"{path}: damaged .npy header: shape {shape}")
    if dtype.kind not in NUMERIC_KINDS:
        raise InputError(f"{path}: not an array of numbers (dtype {dtype})")
    return Header(shape, fortran_order, dtype)
