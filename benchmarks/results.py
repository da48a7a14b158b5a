"""All that one run measured."""

from dataclasses import dataclass, field

from .hard_inputs import Errors
from .memory import Usage
from .record import Record


@dataclass
class Results:
    """Figures, and where they come from."""

    head: list[tuple[str, str]]
    libraries: dict[str, str]  # name, version; ours first
    missing: list[str]
    headline: list[Record] = field(default_factory=list)
    errors: list[Errors] = field(default_factory=list)
    memory: list[Usage] = field(default_factory=list)
    imports: dict[str, tuple[float, float, float]] = field(default_factory=dict)

    @property
    def ours(self) -> str:
        return next(iter(self.libraries))

    @property
    def peers(self) -> list[str]:
        return list(self.libraries)[1:]
