"""A library in a process of its own, with its own pool of threads.

(a) Pools fight when they meet in one process: idle threads of one spin on the CPUs that the other
    wants, and two OpenMP runtimes get in each other's way. So with several threads each library,
    ours included, is timed in its own process, and the processes take turns.
(b) A process that has been timed answers only when its threads have gone to rest, so that their
    spinning is not charged to the next.
(c) Requests and answers are lines of JSON. Whatever a library prints goes to the standard error.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from typing import Any, TextIO

from .. import threads
from ..cell import Cell
from ..libraries import Unsupported

LOOK = 1e-3  # seconds between two looks at the processor time
AT_REST = 0.2  # of the wall time
LONGEST_WAIT = 0.1  # seconds


class Station:
    """The near end: a contestant whose work is done elsewhere."""

    def __init__(self, name: str, workers: int) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | threads.settings(workers),
        )

    def _ask(self, request: dict[str, Any]) -> Any:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise ChildProcessError(f"the process of {self.name} has ended")
        answer = json.loads(line)
        if "unsupported" in answer:
            raise Unsupported(answer["unsupported"])
        return answer["answer"]

    def prepare(self, cell: Cell) -> None:
        self._ask({"prepare": asdict(cell)})

    def seconds(self, number: int) -> float:
        return float(self._ask({"seconds": number}))

    def release(self) -> None:
        self._ask({"release": True})

    def close(self) -> None:
        with self._process:  # which closes its ends of the pipes and waits
            pass


def _rest() -> None:
    """Wait until the other threads of this process sleep."""
    given_up = time.perf_counter() + LONGEST_WAIT
    while (wall := time.perf_counter()) < given_up:
        used = time.process_time()
        time.sleep(LOOK)
        if time.process_time() - used < AT_REST * (time.perf_counter() - wall):
            return


def _serve(name: str, requests: TextIO, answers: TextIO) -> None:
    from ..libraries import PEERS, load_ours, load_peer
    from .arrays import forget
    from .contestant import Here

    library = load_peer(name) if name in PEERS else load_ours()
    contestant = Here(library, judged=name not in PEERS)

    def answer(request: dict[str, Any]) -> Any:
        if "prepare" in request:
            fields = request["prepare"]
            cell = Cell(**(fields | {"shape": tuple(fields["shape"])}))
            return contestant.prepare(cell)
        if "seconds" in request:
            seconds = contestant.seconds(request["seconds"])
            _rest()
            return seconds
        contestant.release()
        return forget()

    for line in requests:
        try:
            said = {"answer": answer(json.loads(line))}
        except Unsupported as error:
            said = {"unsupported": str(error)}
        print(json.dumps(said), file=answers, flush=True)


if __name__ == "__main__":
    own = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _serve(sys.argv[1], sys.stdin, own)
