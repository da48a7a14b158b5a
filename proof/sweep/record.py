"""What was judged: how many results, and the largest error of each kind with where it was.

(a) A kind is an operation, a dtype, a family of inputs and a target. Results below the smallest
    normal number have a bound of their own, and so a kind of their own.
(b) An error beyond its bound is printed at once, with what reproduces it, and remembered.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np


class Kind(NamedTuple):
    """What an error is the largest of."""

    part: str
    operation: str
    dtype: str
    family: str
    subnormal: bool


class Worst:
    """The largest error of a kind on one target."""

    def __init__(self) -> None:
        self.error = 0.0
        self.limit = 0.0
        self.where = ""
        self.results = 0


class Record:
    """All that was judged on some targets."""

    def __init__(self, targets: tuple[str, ...]) -> None:
        self.targets = targets
        self.kinds: dict[Kind, dict[str, Worst]] = {}
        self.counts: dict[str, dict[str, int]] = {}
        self.failures: list[str] = []
        self.apart: set[frozenset[str]] = set()  # pairs of targets that had different bits

    def count(self, part: str, what: str, number: int) -> None:
        """Add to how much of something a part has taken."""
        counts = self.counts.setdefault(part, {})
        counts[what] = counts.get(what, 0) + number

    def groups(self) -> list[list[str]]:
        """The targets, together with those whose results had the same bits throughout."""
        groups: list[list[str]] = []
        for target in self.targets:
            same = (g for g in groups if not any(frozenset((target, t)) in self.apart for t in g))
            group = next(same, None)
            if group is None:
                groups.append([target])
            else:
                group.append(target)
        return groups

    def judge(
        self,
        kind: Kind,
        results: dict[str, np.ndarray],
        errors_of: Callable[[np.ndarray], np.ndarray],
        limit_of: Callable[[str], float],
        tell: Callable[[int], str],
        chosen: np.ndarray | None = None,
    ) -> None:
        """Take the errors of all targets' results, of the chosen elements where some are."""
        judged: list[tuple[str, np.ndarray, tuple[float, int]]] = []
        for target, result in results.items():
            worst = None
            for other, others, theirs in judged:
                if np.array_equal(_bits(result), _bits(others)):
                    worst = theirs
                    break
                self.apart.add(frozenset((target, other)))
            if worst is None:
                errors = np.ravel(errors_of(result))
                if chosen is not None:
                    errors = np.where(chosen, errors, 0)
                at = int(errors.argmax())
                worst = float(errors[at]), at
            judged.append((target, result, worst))
            number = result.size if chosen is None else int(np.count_nonzero(chosen))
            self._keep(kind, target, worst, number, limit_of(target), tell)

    def _keep(self, kind, target, worst, number, limit, tell) -> None:
        error, at = worst
        kept = self.kinds.setdefault(kind, {}).setdefault(target, Worst())
        kept.limit = limit
        kept.results += number
        if error > kept.error or not kept.where:
            kept.error, kept.where = error, tell(at)
        if not error <= limit:
            name = f"{kind.operation} of {kind.dtype}, {kind.family}, on {target}"
            failure = f"{name}: {error:.4g} ULP, promised {limit:g}; {tell(at)}"
            self.failures.append(failure)
            if len(self.failures) <= 40:
                print(f"FAILED {failure}", flush=True)

    def largest(self, kinds: Iterable[Kind], target: str) -> tuple[Kind, Worst] | None:
        """The kind with the largest error on a target, and that error."""
        found = [(k, self.kinds[k][target]) for k in kinds if target in self.kinds[k]]
        return max(found, key=lambda pair: pair[1].error, default=None)


def _bits(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).reshape(-1).view(f"u{array.dtype.itemsize}")
