"""The memory a call takes beside its inputs and its result, in a process of its own.

(a) Two witnesses: `tracemalloc`, which NumPy reports its arrays to, and the process's largest
    resident size, which nothing hides from. The larger figure counts.
(b) `ru_maxrss` would be of no use: a new process inherits it from the one that started it. Linux
    lets `VmHWM` be set back; elsewhere only `tracemalloc` is asked.
(c) The call has run once before, so that neither what a library sets up on first use nor what a
    compiler takes is counted. The allocator is told to give freed memory back, or the memory of
    that first call would be there for the second to use unseen.
(d) Ours is handed the result's memory, where the cell says so. Peers make it themselves, and it is
    taken off: some would otherwise have to be handed other memory beside it, which counts.
(e) The kernel counts resident pages in batches, so a figure is good to some hundred kilobytes.
"""

import gc
import json
import os
import subprocess
import sys
import tracemalloc
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from .arrays import inputs_of, output_of
from .call import Call
from .cell import Cell

GIVE_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
STATUS = Path("/proc/self/status")
RESET = Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Usage:
    """Bytes that each library took beside inputs and result; None where it has no such call."""

    cell: Cell
    extra: dict[str, int | None]


def usage(cell: Cell, libraries: list[str]) -> Usage:
    """Measure the libraries one after the other."""
    return Usage(cell, {name: _in_a_process_of_its_own(name, cell) for name in libraries})


def _in_a_process_of_its_own(library: str, cell: Cell) -> int | None:
    request = json.dumps({"library": library, "cell": asdict(cell)})
    done = subprocess.run(
        [sys.executable, "-m", __name__, request],
        env=os.environ | GIVE_BACK,
        capture_output=True,
        text=True,
        check=True,
    )
    answer: int | None = json.loads(done.stdout)
    return answer


def _high_water(*, reset: bool = False) -> int:
    """The largest resident size since the last reset; 0 where the system does not tell."""
    try:
        if reset:
            RESET.write_text("5")
        lines = STATUS.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def _peak(call: Call) -> int:
    call.result()
    gc.collect()
    before = _high_water(reset=True)
    call.result()
    resident = _high_water() - before
    tracemalloc.start()
    call.result()
    return max(resident, tracemalloc.get_traced_memory()[1])


def _measure(library: str, cell: Cell) -> int | None:
    from .libraries import PEERS, Unsupported, load_ours, load_peer

    inputs = inputs_of(cell)
    if library not in PEERS:
        return _peak(load_ours().call(cell, inputs))
    try:
        call = load_peer(library).call(replace(cell, out=False), inputs)
    except Unsupported:
        return None
    return max(0, _peak(call) - output_of(cell).nbytes)


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    asked["cell"]["shape"] = tuple(asked["cell"]["shape"])
    print(json.dumps(_measure(asked["library"], Cell(**asked["cell"]))))
