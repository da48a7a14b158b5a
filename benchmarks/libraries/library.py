"""What the benchmark knows of a library: how its users write each operation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .. import threads
from ..arrays import output_of
from ..call import Call
from ..cell import Cell
from ..op import Inputs

Namespace = Callable[[Cell, Inputs, np.ndarray | None], dict[str, Any]]


def _itself(returned: Any) -> Any:
    return returned


class Spelling(NamedTuple):
    """One operation, with a fresh output and with a given one; ``{axis}`` and
    ``{threads}`` are filled in.

    `judged` finds the array whose error is counted in what a call with a fresh output returns.
    """

    fresh: str
    into: str | None = None
    judged: Callable[[Any], Any] = _itself


class Unsupported(Exception):
    """The library has no such call."""


@dataclass(frozen=True)
class Library:
    """A library, at as many threads as its process may use.

    `namespace` makes the names its spellings use, among them the inputs in the library's own
    container; `to_numpy` brings a result back.
    """

    name: str
    version: str
    spellings: Mapping[str, Spelling]
    namespace: Namespace
    to_numpy: Callable[[Any], np.ndarray] = np.asarray

    def call(self, cell: Cell, inputs: Inputs) -> Call:
        """The cell as a call of this library; raises `Unsupported` where it has none."""
        spelling = self.spellings.get(cell.op)
        statement = None
        if spelling is not None:
            statement = spelling.into if cell.out else spelling.fresh
        if statement is None:
            raise Unsupported("no output to hand over" if cell.out and spelling else "no such call")
        output = output_of(cell) if cell.out else None
        names = self.namespace(cell, inputs, output)
        return Call(statement.format(axis=cell.axis, threads=threads.count()), names)

    def result(self, cell: Cell, call: Call) -> np.ndarray:
        """Run the call once; raises `Unsupported` where the result is of another dtype."""
        returned = call.result()
        judged = self.spellings[cell.op].judged
        array = self.to_numpy(call.namespace["out"] if cell.out else judged(returned))
        if array.dtype.name != cell.dtype:
            raise Unsupported(f"returns {array.dtype.name}")
        return array
