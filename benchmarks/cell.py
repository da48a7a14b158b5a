"""One cell of the grid: which operation, on what array, along which axis, into what output."""

from dataclasses import dataclass
from math import prod


@dataclass(frozen=True)
class Cell:
    """A call to be timed, in terms that every library understands.

    >>> Cell("softmax", (256, 1000), "float32", -1).name
    'softmax float32 256x1000 axis=-1'
    """

    op: str
    shape: tuple[int, ...]
    dtype: str
    axis: int | None
    out: bool = False  # the caller hands over the output; otherwise each call makes a fresh one

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def soon_done(self) -> bool:
        """Whether timing and judging it is a matter of a moment."""
        return self.size < 1_000_000

    @property
    def name(self) -> str:
        shape = "x".join(map(str, self.shape))
        out = " out=" if self.out else ""
        return f"{self.op} {self.dtype} {shape} axis={self.axis}{out}"

    def matches(self, words: list[str]) -> bool:
        """Whether every word is part of the name."""
        return all(word in self.name for word in words)
