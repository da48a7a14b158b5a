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
    groups: dict[str, list[Record]] = field(default_factory=dict)
    errors: list[Errors] = field(default_factory=list)
    memory: list[Usage] = field(default_factory=list)
    imports: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    plots: dict[str, str] = field(default_factory=dict)  # title, file name

    @property
    def ours(self) -> str:
        return next(iter(self.libraries))

    @property
    def peers(self) -> list[str]:
        return list(self.libraries)[1:]

    @property
    def records(self) -> list[Record]:
        return self.headline + [record for group in self.groups.values() for record in group]
