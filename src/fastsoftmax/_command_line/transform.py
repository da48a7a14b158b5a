"""`softmax`, `log-softmax`, `logsumexp`: one `.npy` file into another.

(a) The dtype of the output is what the function itself makes of the input's.
(b) A nan made where none came in is one line at the end, however many pieces made one.
"""

import argparse
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastsoftmax

from . import blocks, long_slices, npy, output
from .errors import InputError
from .progress import progress

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "softmax": fastsoftmax.softmax,
    "log-softmax": fastsoftmax.log_softmax,
    "logsumexp": fastsoftmax.logsumexp,
}
DTYPES = ("float16", "float32", "float64")


def add_to(commands: Any) -> None:
    """Declare the three commands."""
    for name in FUNCTIONS:
        parser = commands.add_parser(name, help=f"{name} of an array in a .npy file")
        parser.add_argument("input", metavar="IN.npy", help="an array of numbers, of any size")
        parser.add_argument("output", metavar="OUT.npy", help="the file to make")
        parser.add_argument("--axis", type=int, default=-1, metavar="N", help="default: -1")
        parser.add_argument("--dtype", choices=DTYPES, help="compute and write in this dtype")
        parser.add_argument("--workers", type=int, metavar="N", help="threads; -1: all processors")
        parser.add_argument("--force", action="store_true", help="replace an existing OUT.npy")
        parser.set_defaults(run=run, operation=name)


def run(command: argparse.Namespace) -> None:
    """Transform `command.input` into `command.output`."""
    source, elements = npy.read(command.input)
    axis = _axis(command.axis, len(source.shape))
    x = elements.reshape(source.block_shape(axis))
    output.check(command.input, command.output, command.force)
    operation = _Operation(command.operation, command.dtype, command.workers)
    header = operation.header(source, axis)
    with (
        output.new_file(command.output, command.force) as file,
        progress(command.operation, x.nbytes) as advance,
    ):
        write = long_slices.write if long_slices.due(x, operation) else blocks.write
        write(file, header, x, operation, advance)
    if operation.made_nan:
        print("fastsoftmax: warning: slices without a nan gave nan", file=sys.stderr)
    print(f"{command.output}: {header.dtype}, shape {header.shape}")


class _Operation:
    """One of FUNCTIONS over the middle axis of a block (outer, n, inner)."""

    def __init__(self, name: str, dtype: str | None, workers: int | None) -> None:
        self._name = name
        self._dtype = dtype
        self._function = FUNCTIONS[name]
        self._options = {"axis": 1, "dtype": dtype, "workers": workers}
        self.made_nan = False

    def __call__(self, block: NDArray[Any]) -> NDArray[Any]:
        try:
            with np.errstate(invalid="call", call=self._note_nan):
                result: NDArray[Any] = self._function(block, **self._options)
        except (TypeError, ValueError) as error:
            raise InputError(str(error)) from error
        return result

    def new_state(self) -> fastsoftmax.SoftmaxState:
        """A state for slices that are dealt with in pieces."""
        return fastsoftmax.SoftmaxState(axis=1, dtype=self._dtype)

    def results(self, state: fastsoftmax.SoftmaxState, piece: NDArray[Any]) -> NDArray[Any]:
        """The results of a piece that the state has seen."""
        with np.errstate(invalid="call", call=self._note_nan):
            result: NDArray[Any] = getattr(state, self._name.replace("-", "_"))(piece)
        return result

    def header(self, source: npy.Header, axis: int) -> npy.Header:
        """The header of the result for an input of header `source`."""
        probe = self(np.zeros((1, 1, 1), source.dtype))
        keeps_axis = probe.ndim == 3
        shape = source.shape if keeps_axis else source.shape[:axis] + source.shape[axis + 1 :]
        return npy.Header(shape, source.fortran_order and len(shape) > 1, probe.dtype)

    def _note_nan(self, kind: str, flag: int) -> None:
        self.made_nan = True


def _axis(axis: int, ndim: int) -> int:
    if ndim == 0:
        raise InputError("a 0-d array has no axis to reduce")
    if not -ndim <= axis < ndim:
        raise InputError(f"axis {axis} is out of bounds for an array of dimension {ndim}")
    return axis % ndim
