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
    workers: int = 1

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def name(self) -> str:
        shape = "x".join(map(str, self.shape))
        out = " out=" if self.out else ""
        workers = f" workers={self.workers}" if self.workers > 1 else ""
        return f"{self.op} {self.dtype} {shape} axis={self.axis}{out}{workers}"

    def matches(self, parts: list[str]) -> bool:
        """Whether the name contains every part."""
        return all(part in self.name for part in parts)
