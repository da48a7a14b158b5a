"""Several workers: the bits, warnings and errors of one; settings as in `scipy.fft`."""

import concurrent.futures
import gc
import os
import subprocess
import sys
import threading
import time
import weakref

import backward
import layouts
import numpy as np
import pytest
from formats import FLOATS, assert_same_bits
from sharing import forced
from test_threads_and_interrupts import Interrupted, alarm

__all__ = ["alarm"]

HALVES = pytest.mark.parametrize(
    "half", [f.dtype for f in FLOATS if f.dtype.itemsize == 2], ids=str
)
NUMBERS = pytest.mark.parametrize("workers", [2, 3, 7])
SHAPE = (700, 600)  # large enough to be shared by `shared`
ODD_SHAPE = (3, 130, 901)  # cut by columns along axis 1, and where axis 0 is reduced


def modules(fs):
    """Settings and sharing of one target's package."""
    sharing = __import__(f"{fs.__name__}._sharing", fromlist=["share"])
    return sys.modules[f"{fs.__name__}._workers"], sharing


@pytest.fixture
def shared(fs):
    """A machine of four processors, and a list that grows with each call that was shared.

    Calls of more than 1 MiB are shared.
    """
    with forced(fs, 1 << 20) as calls:
        yield calls


def both(result):
    return result if isinstance(result, tuple) else (result,)


def assert_same(actual, expected):
    for a, e in zip(both(actual), both(expected), strict=True):
        assert_same_bits(a, e)


# Bits


@NUMBERS
@pytest.mark.parametrize("shape", [SHAPE, ODD_SHAPE, (40_000, 10), (2, 140_000), (1, 400_000)])
def test_forward_has_the_bits_of_one_worker(fs, name, dtype, shape, workers, rng, shared):
    function = getattr(fs, name)
    x = (4 * rng.standard_normal(shape)).astype(dtype)
    for axis in (*range(len(shape)), (0, len(shape) - 1), None):
        assert_same(function(x, axis, workers=workers), function(x, axis, workers=1))
    assert shared


@pytest.mark.parametrize("layout", layouts.ALL)
def test_any_layout_has_the_bits_of_one_worker(fs, name, dtype, layout, rng, shared):
    x = (4 * rng.standard_normal(ODD_SHAPE)).astype(dtype)
    if not layouts.fits(layout, x):
        pytest.skip("no such layout")
    x = layout(x)
    for axis in range(3):
        function = getattr(fs, name)
        assert_same(function(x, axis, workers=3), function(x, axis, workers=1))
    assert shared


def test_options_have_the_bits_of_one_worker(fs, name, dtype, rng, shared):
    function = getattr(fs, name)
    x = (4 * rng.standard_normal(SHAPE)).astype(dtype)
    for options in (
        {"where": rng.random(SHAPE) < 0.5},
        {"dtype": np.float64},
        {"b": rng.standard_normal(SHAPE)},
        {"return_sign": True},
        {"b": rng.standard_normal(SHAPE), "return_sign": True, "where": rng.random(SHAPE) < 0.5},
    ):
        if name != "logsumexp" and not options.keys() <= {"where", "dtype"}:
            continue
        for axis in (0, 1):
            call = {"axis": axis, **options}
            with np.errstate(invalid="ignore"):
                assert_same(function(x, **call, workers=3), function(x, **call, workers=1))
    assert shared


def test_in_place_and_overlapping_have_the_bits_of_one_worker(fs, same_shape_name, rng, shared):
    function = getattr(fs, same_shape_name)
    values = rng.standard_normal((701, 600))
    for axis in (0, 1):
        expected = function(values[:-1], axis)
        x = values[:-1].copy()
        assert_same_bits(function(x, axis, out=x, workers=3), expected)
        memory = values.copy()
        assert_same_bits(function(memory[:-1], axis, out=memory[1:], workers=3), expected)
    assert shared


@NUMBERS
@pytest.mark.parametrize("product", backward.ALL)
def test_gradients_have_the_bits_of_one_worker(fs, product, dtype, workers, rng, shared):
    function = getattr(fs, product)
    for shape, axis in ((SHAPE, 1), (SHAPE, 0), (ODD_SHAPE, 1)):
        arrays = backward.arguments(product, rng, shape, dtype, axis)
        one = function(*arrays, axis=axis, workers=1)
        assert_same(function(*arrays, axis=axis, workers=workers), one)
        strided = [layouts.every_other(a) for a in arrays]
        assert_same(function(*strided, axis=axis, workers=workers), one)
    assert shared


@pytest.mark.parametrize("product", backward.FULL_TO_FULL)
def test_masked_gradients_have_the_bits_of_one_worker(fs, product, dtype, rng, shared):
    arrays = backward.arguments(product, rng, SHAPE, dtype, 1)
    arrays[0] = np.ma.array(arrays[0], mask=rng.random(SHAPE) < 0.2)
    function = getattr(fs, product)
    one = function(*arrays, axis=1, workers=1)
    assert_same(np.asarray(function(*arrays, axis=1, workers=3)), np.asarray(one))
    assert shared


@pytest.mark.parametrize("product", backward.ALL)
def test_gradients_of_one_long_slice_have_the_bits_of_one_worker(fs, product, dtype, rng, shared):
    arrays = backward.arguments(product, rng, (400_000,), dtype, 0)
    function = getattr(fs, product)
    assert_same(function(*arrays, workers=3), function(*arrays, workers=1))


@HALVES
@pytest.mark.parametrize(
    "shape", [SHAPE, ODD_SHAPE, (3_000, 201), (2, 300, 600), (40_000, 10), (1, 600_000)]
)
def test_halves_have_the_bits_of_one_worker(fs, half, shape, rng, shared):
    """Their columns are taken in chunks, of which an array of float32 beside them knows nothing."""
    x, g = ((4 * rng.standard_normal(shape)).astype(half) for _ in range(2))
    wide = g.astype(np.float32)
    for axis in range(len(shape)):
        for name in ("softmax", "log_softmax", "logsumexp"):
            for options in ({}, {"dtype": np.float32}):
                call = {"axis": axis, **options}
                function = getattr(fs, name)
                assert_same(function(x, **call, workers=3), function(x, **call, workers=1))
        for name in backward.FULL_TO_FULL:
            for tangent in (g, wide):
                product = getattr(fs, name)
                one = product(tangent, x, axis=axis, workers=1)
                assert_same(product(tangent, x, axis=axis, workers=3), one)
        labels = np.zeros(x.shape[:axis] + x.shape[axis + 1 :], int)
        one = fs.cross_entropy_value_and_grad(x, labels, axis=axis, workers=1)
        assert_same(fs.cross_entropy_value_and_grad(x, labels, axis=axis, workers=3), one)
    assert shared


@pytest.mark.parametrize("options", [{}, {"return_sign": True}], ids=str)
def test_weights_of_one_long_slice_have_the_bits_of_one_worker(fs, options, rng, shared):
    x, b = rng.standard_normal((2, 400_000))
    call = {"b": b, "return_sign": True, **options}
    assert_same(fs.logsumexp(x, **call, workers=3), fs.logsumexp(x, **call, workers=1))


def test_weighted_gradients_have_the_bits_of_one_worker(fs, rng, shared):
    for product in ("logsumexp_vjp", "logsumexp_jvp"):
        arrays = backward.arguments(product, rng, SHAPE, np.float64, 1)
        call = {"axis": 1, "b": rng.random(SHAPE[1])}
        function = getattr(fs, product)
        assert_same(function(*arrays, **call, workers=3), function(*arrays, **call, workers=1))
    assert shared


@NUMBERS
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_cross_entropy_has_the_bits_of_one_worker(fs, dtype, workers, reduction, rng, shared):
    x = (4 * rng.standard_normal(SHAPE)).astype(dtype)
    for axis in (0, 1):
        n, rows = SHAPE[axis], SHAPE[1 - axis]
        labels = rng.integers(n, size=rows)
        weights = {"weight": rng.random(n), "sample_weight": rng.standard_normal(rows)}
        for target, options in (
            (labels, {}),
            (labels, weights | {"label_smoothing": 0.1, "ignore_index": 3}),
            (rng.random(SHAPE).astype(dtype), weights),
        ):
            call = {"axis": axis, "reduction": reduction, **options}
            for function in (fs.cross_entropy, fs.cross_entropy_value_and_grad):
                one = function(x, target, **call, workers=1)
                assert_same(function(x, target, **call, workers=workers), one)
    assert shared


def test_losses_are_added_in_the_order_of_the_rows(fs, rng):
    sums = __import__(f"{fs.__name__}._loss_sum", fromlist=["LossSum"])
    losses = 1e3 ** rng.uniform(-9, 9, 1_000)
    starts = [0, 1, 400, 650, 999]
    pieces = list(zip(starts, np.split(losses, starts[1:]), strict=True))
    in_order, mixed = sums.LossSum(1), sums.LossSum(2)
    for start, piece in pieces:
        in_order.add(start, piece)
    for i in (3, 1, 4, 0, 2):
        mixed.add(*pieces[i])
    assert mixed.value == in_order.value


# Settings


def test_the_default_is_one(fs):
    assert fs.get_workers() == 1


def test_a_context_sets_the_default_and_puts_it_back(fs):
    with fs.set_workers(3):
        assert fs.get_workers() == 3
        with fs.set_workers(np.int8(5)):
            assert fs.get_workers() == 5
        with pytest.raises(KeyError), fs.set_workers(2):
            raise KeyError
        assert fs.get_workers() == 3
    assert fs.get_workers() == 1


def test_a_context_is_in_force_for_calls_that_say_nothing(fs, rng, shared):
    x = rng.standard_normal(SHAPE)
    with fs.set_workers(4):
        fs.softmax(x, axis=-1)
        fs.softmax_vjp(x, x, axis=-1)
        fs.cross_entropy(x, np.zeros(len(x), int))
        assert shared == [3, 3, 3]
        fs.softmax(x, axis=-1, workers=1)
        fs.softmax(x[:9], axis=-1)
    fs.softmax(x, axis=-1)
    assert shared == [3, 3, 3]


def test_a_context_says_nothing_to_other_threads(fs):
    with fs.set_workers(3), concurrent.futures.ThreadPoolExecutor(1) as pool:
        if not getattr(sys.flags, "thread_inherit_context", False):
            assert pool.submit(fs.get_workers).result() == 1
        assert fs.get_workers() == 3


def test_numbers_are_refused_as_by_scipy(fs):
    fft = pytest.importorskip("scipy.fft")
    x = np.ones(8)
    for workers in (0, -1_000_000, 1.0, 1.5, "2", [1], np.ones(2)):
        with pytest.raises((TypeError, ValueError)) as theirs, fft.set_workers(workers):
            pass
        with pytest.raises(theirs.type), fs.set_workers(workers):
            pass
        for function in (fs.softmax, fs.log_softmax, fs.logsumexp):
            with pytest.raises(theirs.type):
                function(x, workers=workers)
        for product in backward.FULL_TO_FULL:
            with pytest.raises(theirs.type):
                getattr(fs, product)(x, x, workers=workers)
        for product in ("logsumexp_vjp", "logsumexp_jvp"):
            with pytest.raises(theirs.type):
                getattr(fs, product)(x, x, 0.0, workers=workers)
        for loss in (fs.cross_entropy, fs.cross_entropy_value_and_grad):
            with pytest.raises(theirs.type):
                loss(x, 0, workers=workers)


def test_negative_numbers_count_from_all_processors(fs, monkeypatch):
    counts = __import__(f"{fs.__name__}._cpu_count", fromlist=["cpu_count"])
    monkeypatch.setattr(counts, "cpu_count", lambda: 6)
    for given, meant in ((-1, 6), (-2, 5), (-6, 1)):
        with fs.set_workers(given):
            assert fs.get_workers() == meant
    with pytest.raises(ValueError, match="must not be less than -6"):
        fs.softmax(np.ones(3), workers=-7)


def run_python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(("text", "number"), [("", 1), ("1", 1), ("5", 5), (" 2 ", 2)])
def test_the_environment_sets_the_default(text, number):
    code = "import fastsoftmax; print(fastsoftmax.get_workers())"
    assert run_python(code, FASTSOFTMAX_WORKERS=text).stdout == f"{number}\n"


def test_the_environment_may_ask_for_all_processors():
    code = """
import fastsoftmax, fastsoftmax._cpu_count as c
print(fastsoftmax.get_workers() == c.cpu_count())"""
    assert run_python(code, FASTSOFTMAX_WORKERS="-1").stdout == "True\n"


@pytest.mark.parametrize("text", ["0", "two", "1.5", "-1000000"])
def test_an_environment_that_makes_no_sense_is_an_import_error(text):
    error = run_python("import fastsoftmax", FASTSOFTMAX_WORKERS=text).stderr.splitlines()[-1]
    assert error.startswith(f"ImportError: FASTSOFTMAX_WORKERS={text!r} is no number of workers")


# Processors


GROUPS = {
    "2: 1.5 of them": ("0::/a/b\n", {"a/cpu.max": "150000 100000\n", "a/b/cpu.max": "max 1\n"}, 2),
    "2: the outer one counts": ("0::/a/b\n", {"a/cpu.max": "1 1", "a/b/cpu.max": "9 1"}, 1),
    "2: seen as the root": ("0::/elsewhere\n", {"cpu.max": "300000 100000\n"}, 3),
    "2: no limit": ("0::/\n", {"cpu.max": "max 100000\n"}, None),
    "1": (
        "4:cpu,cpuacct:/x\n2:memory:/\n",
        {"cpu,cpuacct/x/cpu.cfs_quota_us": "250", "cpu,cpuacct/x/cpu.cfs_period_us": "100"},
        3,
    ),
    "1: no limit": (
        "4:cpu:/\n",
        {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "1"},
        None,
    ),
    "none": (None, {}, None),
    "unreadable": ("nonsense\n\n", {"cpu.max": "much"}, None),
}


@pytest.mark.parametrize("name", GROUPS)
def test_what_control_groups_allow_is_read(tmp_path, name):
    from fastsoftmax._cpu_count import quota

    listing, files, processors = GROUPS[name]
    if listing is not None:
        (tmp_path / "proc/self").mkdir(parents=True)
        (tmp_path / "proc/self/cgroup").write_text(listing)
    for file, text in files.items():
        path = tmp_path / "sys/fs/cgroup" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    allowed = quota(str(tmp_path))
    assert allowed == processors if processors else allowed > 1_000_000


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs sched_setaffinity")
def test_a_process_bound_to_one_processor_has_one():
    code = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from fastsoftmax._cpu_count import cpu_count
print(cpu_count())"""
    assert run_python(code).stdout == "1\n"


# Threads


def test_no_thread_is_started_before_one_is_needed():
    code = """
import sys, threading
import numpy as np, fastsoftmax as fs
from fastsoftmax import _cpu_count
x = np.zeros((1_400, 600))
fs.softmax(x[:9], axis=1, workers=7), fs.softmax(x, axis=1, workers=1), fs.softmax(x, axis=1)
print("concurrent.futures" in sys.modules, "threading" in sys.modules and threading.active_count())
_cpu_count.cpu_count = lambda: 3
fs.softmax(x, axis=1, workers=7)
print({t.name for t in threading.enumerate() if t.name.startswith("fastsoftmax")} != set())
"""
    done = run_python(code)
    assert done.stdout.split() == ["False", "1", "True"], done.stderr


def test_there_are_no_more_threads_than_processors(fs, rng, shared):
    x = rng.standard_normal(SHAPE)
    for _ in range(5):
        fs.softmax(x, axis=0, workers=50)
    names = {t.name for t in threading.enumerate() if t.name.startswith("fastsoftmax")}
    assert set(shared) == {3} and names


@pytest.mark.parametrize("processors", [2, 3, 5])
def test_the_pool_leaves_a_processor_to_the_caller(fs, processors):
    _, sharing = modules(fs)
    with forced(fs, 1 << 20, processors):
        before, free = set(threading.enumerate()), threading.Event()
        try:
            for _ in range(6):
                sharing._executor().submit(free.wait, 60)
            assert len(set(threading.enumerate()) - before) == processors - 1
        finally:
            free.set()


def test_calls_from_many_threads_at_once_have_the_bits_of_one(fs, dtype, rng, shared):
    x = (4 * rng.standard_normal(SHAPE)).astype(dtype)
    labels, strided = rng.integers(SHAPE[1], size=SHAPE[0]), layouts.every_other(x)

    def results(workers):
        return [
            fs.softmax(x, axis=-1, workers=workers),
            fs.log_softmax(strided, axis=0, workers=workers),
            *fs.cross_entropy_value_and_grad(x, labels, workers=workers),
        ]

    expected, start = results(1), threading.Barrier(8)

    def work(_):
        start.wait()
        return [results(4) for _ in range(3)]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for repeats in pool.map(work, range(8)):
            for repeat in repeats:
                assert_same(tuple(repeat), tuple(expected))


def test_a_call_within_a_helper_does_not_wait_for_helpers(fs, rng, shared):
    _, sharing = modules(fs)
    x = rng.standard_normal(SHAPE)
    expected = fs.softmax(x, axis=-1)
    threads = set()

    def work(parts):
        for _ in parts:
            threads.add(threading.get_ident())
            assert_same_bits(fs.softmax(x, axis=-1, workers=4), expected)
            time.sleep(0.01)
        return True

    assert sharing.share(work, range(20), 4)
    assert len(threads) > 1


def test_without_threads_to_be_had_the_caller_does_everything(fs, rng, shared, monkeypatch):
    class Exhausted:
        def submit(self, function):
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(modules(fs)[1], "_executor", Exhausted)
    x = rng.standard_normal(SHAPE)
    assert_same_bits(fs.softmax(x, axis=-1, workers=4), fs.softmax(x, axis=-1))
    assert shared == [3]


def test_an_error_in_a_helper_is_raised_by_the_caller(fs, shared):
    caller = threading.get_ident()

    def work(parts):
        for _ in parts:
            if threading.get_ident() != caller:
                raise MemoryError("of a helper")
            time.sleep(0.01)
        return False

    with pytest.raises(MemoryError, match="of a helper"):
        modules(fs)[1].share(work, range(100), 4)


def test_an_error_in_a_helper_keeps_no_array(fs, shared):
    """Not even until the next garbage collection."""
    caller = threading.get_ident()

    def fail():
        array = np.zeros(3)
        arrays.append(weakref.ref(array))

        def work(parts):
            for _ in parts:
                if threading.get_ident() != caller:
                    raise MemoryError(array.shape)
                time.sleep(0.01)
            return False

        with pytest.raises(MemoryError):
            modules(fs)[1].share(work, range(100), 4)

    arrays = []
    gc.disable()
    try:
        fail()
        # Without a GIL, what a helper made is given back when that thread runs again.
        for executor in modules(fs)[1]._executors.values():
            for task in [executor.submit(time.sleep, 0.02) for _ in range(8)]:
                task.result()
        until = time.monotonic() + 5  # the helper may still be leaving
        while arrays[0]() is not None and time.monotonic() < until:
            time.sleep(0.01)
        assert arrays[0]() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_child_processes_have_workers_of_their_own(method, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        f"""
import multiprocessing, warnings
import numpy as np, fastsoftmax as fs
from fastsoftmax import _sharing
_sharing.cpu_count = lambda: 3

def compute(seed):
    x = np.random.default_rng(seed).standard_normal((1_400, 600))
    return (fs.softmax(x, axis=1, workers=3) == fs.softmax(x, axis=1, workers=1)).all()

if __name__ == "__main__":
    warnings.simplefilter("ignore", DeprecationWarning)
    first = compute(0)
    if {method!r} in multiprocessing.get_all_start_methods():
        with multiprocessing.get_context({method!r}).Pool(2) as pool:
            print(bool(first), all(pool.map(compute, range(4))), bool(compute(5)))
    else:
        print("True True True")
"""
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout == "True True True\n", done.stderr[-2000:]


def test_a_call_at_exit_is_computed():
    code = """
import atexit, threading
import numpy as np, fastsoftmax as fs
x = np.zeros((1_400, 600))
late = lambda: print(fs.softmax(x, axis=1, workers=2).sum())
atexit.register(late)
fs.softmax(x, axis=1, workers=2)
"""
    done = run_python(code)
    assert abs(float(done.stdout) - 1_400) < 1e-9 and done.stderr == ""


# Warnings


def hot(rows):
    """Logits in which some rows give a nan."""
    x = np.zeros(SHAPE, np.float32)
    x[rows, 7] = np.inf
    return x


@pytest.mark.parametrize("rows", [[0], [-1], [0, 350, -1]])
def test_one_warning_is_given_whoever_made_the_nan(fs, rows, shared):
    for x in (hot(rows), layouts.every_other(hot(rows)), hot(rows).astype(np.float16)):
        with pytest.warns(RuntimeWarning, match="invalid value") as caught:
            fs.softmax(x, axis=1, workers=4)
        assert len(caught) == 1
        with np.errstate(invalid="ignore"):
            fs.softmax(x, axis=1, workers=4)
        with np.errstate(invalid="raise"), pytest.raises(FloatingPointError):
            fs.softmax(x, axis=1, workers=4)
    assert shared


def test_helpers_do_not_warn_of_their_own(fs, shared):
    """Casts overflow and weighted terms underflow, in NumPy's own code, and both are silent."""
    x = np.full(SHAPE, 1e30)
    x[:, 0] = 1e31
    assert (fs.softmax(x, axis=1, dtype=np.float32, workers=4)[:, 0] == 1).all()
    with np.errstate(all="raise"):
        fs.logsumexp(np.full(SHAPE, -800.0), axis=1, b=np.full(SHAPE, 1e-300), workers=4)
    assert shared


def test_wrong_labels_are_named_before_anything_is_written(fs, rng, shared):
    x, labels = rng.standard_normal(SHAPE), np.zeros(SHAPE[0], int)
    labels[699] = SHAPE[1]
    out = np.full(SHAPE, 7.0)
    with pytest.raises(ValueError, match=r"targets\[699\]"):
        fs.cross_entropy_value_and_grad(x, labels, out=out, workers=4)
    assert (out == 7).all() and not shared


# Interrupts


@pytest.mark.parametrize("axis", [0, 1])
def test_a_shared_call_hears_an_interrupt(fs, axis, alarm, shared):
    """A broadcast array takes seconds and no memory. A busy machine has a second to answer."""
    x = np.broadcast_to(np.float32(0), (1_000, 4_000_000)[:: 1 if axis == 0 else -1])
    due = alarm(0.1)
    with pytest.raises(Interrupted):
        fs.logsumexp(x, axis=axis, workers=4)
    assert time.monotonic() - due < 1
    assert shared


def test_nothing_is_written_after_an_interrupted_call(fs, alarm, shared, rng):
    x = rng.standard_normal((3_000, 1_000)).astype(np.float32)
    out = np.empty_like(x)

    def compute(until):
        while time.monotonic() < until:
            fs.softmax(x, axis=0, out=out, workers=4)

    for delay in np.linspace(0.001, 0.03, 12):
        due = alarm(delay)
        with pytest.raises(Interrupted):
            compute(due + 30)
        out[...] = 7
        time.sleep(0.01)
        assert (out == 7).all()
    assert_same_bits(fs.softmax(x, axis=0, workers=4), fs.softmax(x, axis=0))


def test_a_kernel_in_a_helper_stops_when_told(fs):
    """A helper never hears Ctrl-C, and its row may be long."""
    kernels = sys.modules[f"{fs.__name__}._target"].kernels
    x, stop = np.zeros((2, 3_000_000, 1), np.float32), np.ones(1, np.uint8)
    out, result = np.empty((2, 1), np.float32), np.empty_like(x)
    kernels.obey(stop)
    try:
        with pytest.raises(KeyboardInterrupt):
            kernels.logsumexp(x, out)
        with pytest.raises(KeyboardInterrupt):
            kernels.softmax(x.reshape(1, 2_000, 3_000), result.reshape(1, 2_000, 3_000))
        stop[0] = 0
        assert not kernels.logsumexp(x, out)
    finally:
        kernels.obey(None)
    stop[0] = 1
    assert not kernels.softmax(x, result)
    with pytest.raises(ValueError, match="flag"):
        kernels.obey(np.zeros(1))


@pytest.mark.parametrize(
    "shape", [(1, 3_000_000, 1), (1, 300, 10_000), (300_000, 10, 1), (3_000, 1_000, 1)]
)
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_all_loops_in_a_helper_stop_when_told(fs, shape, dtype):
    kernels = sys.modules[f"{fs.__name__}._target"].kernels
    x, stop = np.zeros(shape, dtype), np.ones(1, np.uint8)
    kernels.obey(stop)
    try:
        for name in ("softmax", "log_softmax"):
            with pytest.raises(KeyboardInterrupt):
                getattr(kernels, name)(x, np.empty_like(x))
        for name in ("softmax_vjp", "log_softmax_vjp", "log_softmax_jvp"):
            with pytest.raises(KeyboardInterrupt):
                getattr(kernels, name)(x, x, np.empty_like(x))
        rows = np.ones(shape[0] * shape[2])
        labels = np.zeros(rows.size, np.int64)
        with pytest.raises(KeyboardInterrupt):
            kernels.cross_entropy(x, labels, None, rows, rows, rows.copy(), np.empty_like(x))
    finally:
        kernels.obey(None)


def test_where_the_system_tells_nothing_there_is_one_processor(fs, monkeypatch):
    counts = __import__(f"{fs.__name__}._cpu_count", fromlist=["cpu_count"])
    for name in ("process_cpu_count", "sched_getaffinity"):
        monkeypatch.delattr(os, name, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert counts.cpu_count() == 1
