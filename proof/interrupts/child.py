"""The interrupted process: `python -m proof.interrupts.child PATH WORKERS` (started by the proof).

It says "begin" before its call. After the signal it says when KeyboardInterrupt arrived and what
the process had computed till then, checks a call against its bits of before, and says how much
processor time was used half a second later, when nothing ought to be running.
"""

import functools
import signal
import sys
import time

import numpy as np

import fastsoftmax as fs

from .paths import PATHS, again_and_again


def main():
    name, workers = sys.argv[1], int(sys.argv[2])
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells ignore it in the background
    if workers > 1:
        from fastsoftmax import _sharing

        _sharing.cpu_count = lambda: max(workers, 2)
    rng = np.random.default_rng(1)
    x = rng.standard_normal((1_000, 1_001)).astype(np.float32)
    before = fs.softmax(x, 0, workers=workers)
    call = PATHS[name](workers)
    if "long row" in name and not name.startswith("state"):
        call = functools.partial(again_and_again, call)
    print("begin", flush=True)
    try:
        call()
    except KeyboardInterrupt:
        now, used = time.monotonic(), time.process_time()
    else:
        print("finished", flush=True)
        return
    time.sleep(0.2)
    idle = time.process_time()
    time.sleep(0.3)
    idle = time.process_time() - idle
    same = np.array_equal(fs.softmax(x, 0, workers=workers), before)
    print(now, used, idle, same, flush=True)


main()
