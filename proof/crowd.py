"""Eight threads call every operation at once: `python -m proof.crowd --target avx2`.

(a) All threads share the arrays of all calls, and take the calls in an order of their own, with one
    worker and with three. Each has to give the bits that it gave before there were threads. Calls
    are shared among workers from few bytes on, so that small arrays go all ways of large ones.
(b) Then the threads write neighbouring rows, columns or elements of one array, at the same time:
    what one of them writes, or reads, beyond its piece is another's.
(c) A program by itself, so that a checker of threads can watch it; on a free-threaded interpreter
    the GIL has to be off at the end as well.
"""

import argparse
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import operations
import targets
from formats import FLOATS
from interpreter import has_gil
from sharing import forced

THREADS = 8
WORKERS = (1, 3)
ALONE = 1 << 12  # bytes up to which a call is for one worker
SHAPES = ((9,), (200, 30), (30, 200), (1, 9_000), (3, 2_100), (1_500, 5), (4, 60, 33))
PIECES = ((64, 200), (200, 64), (3_000, 8), (8, 3_000))


def both(results):
    return results if isinstance(results, tuple) else (results,)


def same(found, expected):
    """Bit by bit, whatever the nans."""
    return all(
        np.asarray(a).tobytes() == np.asarray(b).tobytes()
        for a, b in zip(both(found), both(expected), strict=True)
    )


def at_once(work):
    """Do work(number) in all threads, which begin together; their results."""
    start = threading.Barrier(THREADS)

    def begin(number):
        start.wait()
        with np.errstate(all="ignore"):
            return work(number)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(begin, range(THREADS)))


def calls_of(fs, rng):
    """Every operation over every axis of every shape and dtype."""
    for form in FLOATS:
        for shape in SHAPES:
            x = (4 * rng.standard_normal(shape)).astype(form.dtype)
            for axis in range(len(shape)):
                for call in operations.of(fs, x, axis, rng):
                    yield f"{call.name} of {shape} {form.name} over {axis}", call


def shared_arrays(fs, share):
    """Part (a), with a share of the calls; how many there were, and descriptions of wrong ones."""
    rng = np.random.default_rng(8)
    calls = [each for each in calls_of(fs, rng) if rng.random() < share]
    expected = [call() for _, call in calls]

    def work(number):
        wrong = []
        for place in np.random.default_rng(number).permutation(len(calls)):
            text, call = calls[place]
            for workers in WORKERS:
                if not same(call(workers=workers), expected[place]):
                    wrong.append(f"{text}, workers={workers}")
        return wrong

    wrong = [text for each in at_once(work) for text in each]
    return THREADS * len(WORKERS) * len(calls), wrong


def cut(a, axis, how):
    """An array in as many pieces as there are threads: side by side, or every eighth slice."""
    if how == "side by side":
        return np.split(a, THREADS, axis)
    return [a[number::THREADS] if axis == 0 else a[:, number::THREADS] for number in range(THREADS)]


def neighbours(fs):
    """Part (b): the same."""
    rng, count, wrong = np.random.default_rng(9), 0, []
    for form in FLOATS:
        for shape in PIECES:
            x, g = ((4 * rng.standard_normal(shape)).astype(form.dtype) for _ in range(2))
            for cut_axis in range(2):
                axis = 1 - cut_axis
                if shape[cut_axis] < THREADS:
                    continue
                y = fs.softmax(x, axis)
                for name, arrays in (
                    ("softmax", (x,)),
                    ("log_softmax", (x,)),
                    ("softmax_vjp", (g, y)),
                    ("log_softmax_vjp", (g, x)),
                ):
                    function = getattr(fs, name)
                    expected = function(*arrays, axis)
                    for how in ("side by side", "in turn"):
                        out = np.empty_like(x)
                        pieces = [cut(a, cut_axis, how) for a in (*arrays, out)]

                        def work(number, pieces=pieces, function=function, axis=axis):
                            *given, into = (each[number] for each in pieces)
                            for workers in (*WORKERS, *WORKERS):
                                function(*given, axis, out=into, workers=workers)

                        at_once(work)
                        count += 2 * THREADS * len(WORKERS)
                        if not same(out, expected):
                            wrong.append(f"{name} into pieces of {shape} {form.name}, {how}")
    return count, wrong


def main():
    parser = argparse.ArgumentParser(prog="python -m proof.crowd", description=__doc__)
    parser.add_argument("--target", nargs="+", choices=targets.ALL, default=targets.runnable())
    parser.add_argument("--share", type=float, default=1.0, help="of the calls on shared arrays")
    options = parser.parse_args()
    before, total, failures = has_gil(), 0, 0
    for target in options.target:
        fs = targets.activate(target)
        with np.errstate(all="ignore"), forced(fs, ALONE) as helped:
            for count, wrong in (shared_arrays(fs, options.share), neighbours(fs)):
                total += count
                failures += len(wrong)
                print("\n".join(wrong[:20]), end="\n" * bool(wrong))
        assert helped, "no call was shared among workers"
        print(f"{target}: {len(helped):,} times calls were shared among workers", flush=True)
    assert has_gil() == before, "the GIL has been switched on"
    print(
        f"crowd: {total:,} calls in {THREADS} threads on {', '.join(options.target)}, "
        f"the GIL {'on' if before else 'off'}; {failures} with other bits"
    )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
