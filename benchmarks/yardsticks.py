"""What the calls are held against beside other libraries: a copy, one `np.exp`, one `np.add`."""

import numpy as np

from .arrays import output_of
from .call import Call
from .cell import Cell
from .op import Inputs

PAGE = 4096
TINY = 100  # elements; up to here the cost of a call is all there is


def copy(cell: Cell, inputs: Inputs) -> Call:
    """A copy that moves as many bytes as the cell must: half of them read, half of them written.

    This is the floor that memory sets.
    """
    return copy_of_bytes(sum(array.nbytes for array in inputs.values()) + output_of(cell).nbytes)


def copy_of_bytes(moved: int) -> Call:
    """A copy that moves so many bytes; its output has been touched: no page faults are in it.

    The halves lie whole pages apart: with eight bytes more, a copy of 512 kB was measured to be
    over ten times slower (addresses that look alike in their low bits pass for the same).
    """
    half = moved // 2
    pages = -(-half // PAGE) * PAGE
    memory = np.ones(pages + half, np.uint8)
    source, target = memory[:half], memory[pages:]
    return Call("copyto(target, source)", {"copyto": np.copyto, "target": target, "source": source})


def one_exp(inputs: Inputs) -> Call:
    """One `np.exp` on the first input: the least that a NumPy user pays for a call."""
    return Call("exp(x)", {"exp": np.exp, "x": next(iter(inputs.values()))})


def one_add(cell: Cell, inputs: Inputs) -> Call | None:
    """The time to read two arrays and write one, where that is what the cell does."""
    out = output_of(cell)
    arrays = [array for array in inputs.values() if array.shape == out.shape]
    if not cell.out or len(arrays) != 2:
        return None
    return Call("add(a, b, out=out)", {"add": np.add, "a": arrays[0], "b": arrays[1], "out": out})
