"""The cells measured so far, in a file that an interruption cannot spoil.

(a) A line of JSON for each cell, written and flushed when the cell is done; the first line says
    where the figures come from.
(b) A run is resumed only on the same machine, with the same versions and the same target: cells of
    two machines make no table. A line that was cut off in the middle is dropped.
"""

import json
import os
from pathlib import Path
from typing import Any

from ..cell import Cell
from .record import Record, from_json, to_json

Head = dict[str, Any]


class Store:
    """Records by cell, in memory and on the disk."""

    def __init__(self, file: Path, head: Head, origin: tuple[str, ...], *, resume: bool) -> None:
        """`origin` names the entries of `head` that have to agree with those of a resumed run."""
        self.records: dict[Cell, Record] = {}
        self.head = head
        file.parent.mkdir(parents=True, exist_ok=True)
        if resume and file.exists():
            self._read(file, origin)
        # Written anew, so that a line cut off is gone, and put in place at once.
        new = file.with_suffix(".new")
        with new.open("w", encoding="utf-8") as lines:
            lines.write(json.dumps(self.head) + "\n")
            for record in self.records.values():
                lines.write(json.dumps(to_json(record)) + "\n")
        os.replace(new, file)
        self._lines = file.open("a", encoding="utf-8")

    def _read(self, file: Path, origin: tuple[str, ...]) -> None:
        lines = file.read_text(encoding="utf-8").splitlines()
        kept = json.loads(lines[0])
        for entry in origin:
            if kept.get(entry) != self.head.get(entry):
                raise ValueError(
                    f"{file} cannot be resumed, {entry} differs: {kept.get(entry)} there, "
                    f"{self.head.get(entry)} here"
                )
        self.head = kept
        for line in lines[1:]:
            try:
                record = from_json(json.loads(line))
            except json.JSONDecodeError:
                break
            self.records[record.cell] = record

    def add(self, record: Record) -> None:
        """Keep a record, from now on whatever happens."""
        self.records[record.cell] = record
        self._lines.write(json.dumps(to_json(record)) + "\n")
        self._lines.flush()

    def close(self) -> None:
        self._lines.close()
