"""Child processes of a process that has used workers: none hangs, each has the right bits.

(a) The parent computes with workers first, beside the thread pools of scikit-learn and PyTorch
    where those are installed, and goes on computing in another thread while children are made: a
    fork happens in the middle of calls, and finds locks and threads in any state.
(b) A child computes with two workers, compares with the parent's bits, and leaves by `os._exit`
    with what it found. One that does not leave within the time given hangs, and is killed.
(c) `fork` is called directly, a child at a time; forkserver and spawn come from multiprocessing.
(d) Without a GIL no child is made in the middle of calls. A fork stops the other threads wherever
    they are, and one of them may have been handed the lock of a dict just then, which nobody gives
    back in the child. Of 183 children of a program with nothing but threads that copy a dict, 3
    hung in CPython 3.13.5.
"""

import argparse
import importlib.util
import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings

import numpy as np
import targets
from interpreter import has_gil

SECONDS = 120  # a child needs milliseconds; a busy machine may stop it for long
SHAPE = (1_800, 900)  # large enough to be shared


def logits():
    return np.random.default_rng(4).standard_normal(SHAPE).astype(np.float32)


def results(fs, workers):
    """Rows, columns, one long row, strided input, a gradient and a loss, each shared."""
    x = logits()
    y = fs.softmax(x, 1, workers=workers)
    return [
        y,
        fs.log_softmax(x, 0, workers=workers),
        fs.softmax(x[:, ::-1], 1, workers=workers),
        fs.softmax_vjp(x, y, 1, workers=workers),
        fs.cross_entropy_value_and_grad(x, np.zeros(len(x), int), workers=workers)[1],
    ]


def use_two_processors(fs):
    """So that there are helpers on a machine of one processor as well."""
    sharing = __import__(f"{fs.__name__}._sharing", fromlist=["cpu_count"])
    sharing.cpu_count = lambda: 3
    return sharing


def same(fs, expected):
    found = results(fs, 2)
    return all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def warm_up_sklearn():
    from sklearn.cluster import KMeans

    KMeans(2, n_init=1, random_state=0).fit(np.random.default_rng(0).random((5_000, 3)))


def warm_up_torch():
    import torch

    torch.softmax(torch.randn(2_000, 500), 1).sum().item()


OTHERS = {"sklearn": warm_up_sklearn, "torch": warm_up_torch}  # they start thread pools


def warm_up_others():
    """Start the thread pools of other libraries; the names of those that are installed."""
    names = [name for name in OTHERS if importlib.util.find_spec(name)]
    for name in names:
        OTHERS[name]()
    return names


class Busy:
    """Other threads that compute with workers as long as the context lasts."""

    def __init__(self, fs, threads=2):
        self._fs = fs
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._work) for _ in range(threads)]
        self.calls = 0

    def _work(self):
        x = logits()
        while not self._end.is_set():
            self._fs.softmax(x, 0, workers=2)
            self.calls += 1

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        for thread in self._threads:
            thread.join()


def wait(child):
    """The exit status of a child, or None of one that hung and was killed."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def fork(fs, expected, count):
    """What became of so many children: a list of exit statuses."""
    found = []
    for _ in range(count):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads
            child = os.fork()
        if child == 0:
            status = 99
            try:
                status = 0 if same(fs, expected) else 1
            finally:
                os._exit(status)
        found.append(wait(child))
    return found


def compute(target):
    """What a child of forkserver or spawn does."""
    fs = targets.activate(target)
    use_two_processors(fs)
    expected = results(fs, 1)
    return same(fs, expected)


def pooled(method, target, count):
    """The same through multiprocessing: how many children gave the right answer."""
    context = multiprocessing.get_context(method)
    with context.Pool(2, maxtasksperchild=1) as pool:
        asked = [pool.apply_async(compute, (target,)) for _ in range(count)]
        return [0 if each.get(SECONDS) else 1 for each in asked]


def run(target, forks, others_forks, spawned):
    fs = targets.activate(target)
    sharing = use_two_processors(fs)
    expected = results(fs, 1)
    assert same(fs, expected) and sharing._executors
    found = {"fork": fork(fs, expected, forks)}
    if has_gil():
        with Busy(fs) as busy:
            found["fork during calls"] = fork(fs, expected, forks)
        assert busy.calls
    for method in ("forkserver", "spawn"):
        found[method] = pooled(method, target, spawned)
    names = warm_up_others()
    if names:
        found[f"fork beside {' and '.join(names)}"] = fork(fs, expected, others_forks)
    assert same(fs, expected)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--target", nargs="+", default=targets.runnable(), choices=targets.ALL)
    asked = parser.parse_args()
    numbers = (5, 5, 2) if asked.quick else (130, 60, 8)
    children = hung = wrong = 0
    for target in asked.target:
        for kind, statuses in run(target, *numbers).items():
            children += len(statuses)
            hung += statuses.count(None)
            wrong += sum(status not in (0, None) for status in statuses)
            begun = f"{target}: {kind}: {len(statuses)} children"
            print(f"{begun}, statuses {sorted(set(map(str, statuses)))}", flush=True)
    print(f"forks: {children} children, {hung} hung, {wrong} with an error or other bits")
    return 1 if hung or wrong else 0


if __name__ == "__main__":
    sys.exit(main())
