"""A real SIGINT in the middle of a long call, on every path, with one worker and with two.

(a) The signal is sent by another process. The latency is measured in wall-clock time and in the
    processor time of the interrupted process, whose clock the sender can read: on a machine with
    other work the second is the one to look at, for one worker.
(b) The limit of `--limit` seconds is for the lesser of the two.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import targets

ROOT = Path(__file__).parent.parent.parent


def interrupt(target, name, workers, delay):
    """(wall, processor time, idle time, whether the process was whole); None if the call ended."""
    child = subprocess.Popen(
        [sys.executable, "-m", "proof.interrupts.child", name, str(workers)],
        env=os.environ | {targets.VARIABLE: target},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = child.stdout.readline()
        if line != "begin\n":
            raise RuntimeError(f"{name}: {line} {child.stderr.read()}")
        clock = (~child.pid << 3) | 2  # of the processor time of that process, on Linux
        begin = time.clock_gettime(clock)
        while time.clock_gettime(clock) < begin + delay:
            time.sleep(0.01)
            if child.poll() is not None:
                return None
        used, sent = time.clock_gettime(clock), time.monotonic()
        child.send_signal(signal.SIGINT)
        output, errors = child.communicate(timeout=300)
    finally:
        child.kill()
        child.communicate()
    if output == "finished\n":
        return None
    if child.returncode:
        raise RuntimeError(f"{name}: {errors[-1500:]}")
    now, used_then, idle, same = output.split()
    return float(now) - sent, float(used_then) - used, float(idle), same == "True"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a dozen paths, once each")
    parser.add_argument("--target", nargs="+", default=targets.runnable(), choices=targets.ALL)
    parser.add_argument("--limit", type=float, default=0.1)
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--only", default="", help="paths that contain this")
    asked = parser.parse_args()
    from .paths import PATHS

    rng = random.Random(3)
    names = [name for name in PATHS if asked.only in name]
    if asked.quick:
        names = names[::8]
    count = failures = 0
    worst = {}
    for target in asked.target:
        for name in names:
            for workers in (1, 2):
                if workers == 2 and name.startswith("state"):
                    continue
                found = []
                for _ in range(1 if asked.quick else asked.times):
                    heard = interrupt(target, name, workers, rng.uniform(0.05, 2.0))
                    count += 1
                    if heard is None:
                        print(f"{target}: {name}, workers={workers}: the call ended", flush=True)
                        failures += 1
                        continue
                    found.append(heard)
                    wall, used, idle, same = heard
                    if min(wall, used) > asked.limit or idle > 0.1 or not same:
                        print(f"{target}: {name}, workers={workers}: {heard}", flush=True)
                        failures += 1
                if found:
                    wall, used, idle = (max(each[i] for each in found) for i in range(3))
                    worst[target, workers] = max(
                        worst.get((target, workers), (0, "")), (min(wall, used), name)
                    )
                    print(
                        f"{target:8} {name:38} workers={workers} latency {1e3 * wall:7.1f} ms, "
                        f"{1e3 * used:7.1f} ms of processor time; idle {1e3 * idle:.1f} ms",
                        flush=True,
                    )
    for (target, workers), (seconds, name) in worst.items():
        print(f"{target}, workers={workers}: at most {1e3 * seconds:.1f} ms ({name})")
    longest = max(seconds for seconds, _ in worst.values())
    print(
        f"interrupts: {count} interrupted calls of {len(names)} paths, heard within "
        f"{1e3 * longest:.1f} ms, {failures} failures"
    )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
