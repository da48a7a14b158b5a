"""What a process is before the package is imported and used, it is afterwards.

(a) Each test is a process of its own, for each target: it takes a snapshot of the process, imports,
    calls every function with and without workers, and compares.
(b) The control bits of the floating-point unit are read by a few lines of C, compiled here: how to
    round, whether to flush subnormal numbers to zero or take them for zero, and which exceptions
    trap. They are per thread, so the helping threads are asked as well.
(c) Calls are made a second time with control bits that nobody would choose: a kernel that wrote
    its own and put back the usual ones would be found.
"""

import os
import shutil
import subprocess
import sys
import sysconfig

import pytest
import targets

CONTROL_BITS = """
#if defined(__x86_64__)
unsigned get(void) {
    unsigned mxcsr; unsigned short x87;
    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    __asm__ volatile("fnstcw %0" : "=m"(x87));
    return (mxcsr & 0xffc0u) | (unsigned)x87 << 16;
}
void set(unsigned bits) {
    unsigned mxcsr = bits & 0xffc0u;
    __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
}
unsigned unusual(void) { return 0xffc0u; }  /* to zero, subnormal numbers are 0 */
#elif defined(__aarch64__)
unsigned get(void) {
    unsigned long fpcr;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    return (unsigned)fpcr;
}
void set(unsigned bits) {
    unsigned long fpcr = bits;
    __asm__ volatile("msr fpcr, %0" : : "r"(fpcr));
}
unsigned unusual(void) { return 0x1c00000u; }  /* to zero, subnormal numbers are 0 */
#else
#error unknown
#endif
"""

SNAPSHOT = """
import atexit, ctypes, gc, locale, os, random, signal, sys, threading, warnings
import numpy as np

POSIX = os.name == "posix"

def listed(folder):
    # Without the descriptor that the listing itself needs.
    try:
        return {(n, os.readlink(f"{folder}/{n}")) for n in os.listdir(folder) if n.isdigit()
                and os.path.exists(f"{folder}/{n}")}
    except OSError:
        return None

def native_threads():
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return None

def snapshot():
    return {
        "subnormal numbers": (5e-324 * 1.0 > 0, 2.3e-308 / 2 > 0,
                              bool((np.full(99, 1e-45, "f4") * np.float32(1) > 0).all())),
        "rounding": POSIX and ctypes.CDLL(None).fegetround(),
        "signals": {n: signal.getsignal(n) for n in signal.valid_signals()},
        "blocked signals": POSIX and signal.pthread_sigmask(signal.SIG_BLOCK, []),
        "timers": POSIX and signal.getitimer(signal.ITIMER_REAL),
        "threads": threading.active_count(),
        "native threads": native_threads(),
        "environment": dict(os.environ),
        "warnings": (warnings.filters[:], warnings.showwarning, warnings._defaultaction),
        "locale": (locale.setlocale(locale.LC_ALL), locale.localeconv()),
        "import": (sys.path[:], sys.meta_path[:], sys.path_hooks[:]),
        "descriptors": listed("/proc/self/fd"),
        "directory": (os.getcwd(), os.umask(0o22)),
        "numpy": (np.geterr(), np.geterrcall(), np.get_printoptions(), np.getbufsize()),
        "random": (random.getstate(), str(np.random.get_state(legacy=False))),
        "hooks": (sys.excepthook, sys.unraisablehook, sys.displayhook, threading.excepthook,
                  sys.gettrace(), sys.getprofile()),
        "at exit": atexit._ncallbacks(),
        "interpreter": (sys.getrecursionlimit(), sys.getswitchinterval(), gc.isenabled(),
                        gc.get_threshold(), sys.flags, sys.stdout, sys.stderr, sys.stdin),
        "processors": os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else 0,
    }

def compare(before, *may_differ):
    after = snapshot()
    assert before.keys() == after.keys()
    changed = [name for name in before if before[name] != after[name] and name not in may_differ]
    assert not changed, [(name, before[name], after[name]) for name in changed]

def foreign(before):
    # Packages imported since that are neither ours, nor NumPy's, nor Python's.
    new = {name.partition(".")[0] for name in set(sys.modules) - before}
    ours = {"fastsoftmax", "numpy", *sys.stdlib_module_names}
    # Cython registers its shared types under names of this form.
    return sorted(n for n in new - ours if not n.startswith(("_cython", "cython_")))

def kernels():
    prefix = "fastsoftmax._kernels_"
    return "".join(m.removeprefix(prefix) for m in sys.modules if m.startswith(prefix))

os.umask(0o22)
"""

CALLS = f"""
sys.path.insert(0, {os.path.dirname(__file__)!r})
import operations
sys.path.pop(0)
LARGE = (900, 890)  # shared among workers: more than 3 MiB of float32

def call_all(fs, *workers):
    rng = np.random.default_rng(1)
    for dtype in (np.float16, np.float32, np.float64):
        for shape in ((7,), (33, 20), LARGE if workers and dtype is np.float32 else (90, 70)):
            x = rng.standard_normal(shape).astype(dtype)
            x.reshape(-1)[1:4] -= [20, 100, 800]  # results below the smallest normal number
            for axis in range(len(shape)):
                for call in operations.of(fs, x, axis, rng):
                    for number in workers or (1,):
                        call(workers=number)
    for kind in "gFD":
        for name in ("softmax", "log_softmax", "logsumexp"):
            getattr(fs, name)(np.ones(9, kind))
    with np.errstate(invalid="ignore"):
        fs.softmax([np.inf, 1.0])
        fs.softmax(np.full(LARGE, np.inf), axis=1, workers=max(workers, default=1))
    for wrong in (lambda: fs.softmax("text"), lambda: fs.softmax([1.0], axis=4),
                  lambda: fs.cross_entropy([[1.0]], [5]), lambda: fs.softmax([1.0], workers=0)):
        try:
            wrong()
        except (TypeError, ValueError):
            pass
"""


def run(code, target, *arguments, **environment):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("FASTSOFTMAX")}
    done = subprocess.run(
        [sys.executable, "-c", SNAPSHOT + CALLS + code, *map(str, arguments)],
        env=clean | {targets.VARIABLE: target} | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr == ""
    return done.stdout.split()


@pytest.fixture(scope="session")
def control_bits(tmp_path_factory):
    """A library that reads and writes the control bits of the thread that asks."""
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    compiler = next(filter(shutil.which, (compiler, "cc", "gcc", "clang")), None)
    if compiler is None:
        pytest.skip("needs a C compiler, to read the control bits of the floating-point unit")
    folder = tmp_path_factory.mktemp("control_bits")
    (folder / "bits.c").write_text(CONTROL_BITS)
    library = folder / "bits.so"
    done = subprocess.run(
        [compiler, "-O1", "-shared", "-fPIC", folder / "bits.c", "-o", library],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip("no control bits are known for this processor, or this compiler makes no C")
    return library


def test_an_import_and_calls_leave_the_process_as_it_was(target):
    code = """
before, modules = snapshot(), set(sys.modules)
import fastsoftmax
compare(before)
call_all(fastsoftmax)
compare(before)
print("same", foreign(modules), kernels())
"""
    assert run(code, target) == ["same", "[]", target]


def test_workers_leave_nothing_but_their_threads(target):
    """Helpers are Python's own threads, at most one for each further processor.

    The standard library's executor imports its logging, which wants to be told of the exit.
    """
    code = """
from fastsoftmax import _sharing
before, modules = snapshot(), set(sys.modules)
count = _sharing.cpu_count = lambda: 3
import fastsoftmax
call_all(fastsoftmax, 2, 7)
compare(before, "threads", "native threads", "at exit")
ours = [t for t in threading.enumerate() if t.name.startswith("fastsoftmax")]
others = [t.name for t in threading.enumerate() if t not in ours]
made = None if before["native threads"] is None else native_threads() - before["native threads"]
print(others, len(ours), made in (None, len(ours)), foreign(modules), kernels())
"""
    others, ours, *rest = run(code, target)
    assert others == "['MainThread']" and ours in "12" and rest == ["True", "[]", target]


def test_control_bits_are_left_alone(target, control_bits):
    """As found, whether usual or not, in the calling thread and in those that help."""
    code = """
bits = ctypes.CDLL(sys.argv[1])
from concurrent.futures import ThreadPoolExecutor
usual, unusual = bits.get(), bits.unusual()
bits.set(unusual)
assert bits.get() != usual and 5e-324 * 1.0 == 0
bits.set(usual)
import fastsoftmax as fs
from fastsoftmax import _sharing
assert bits.get() == usual
_sharing.cpu_count = lambda: 3
call_all(fs, 1, 3)
assert bits.get() == usual
helper = _sharing._executor()
assert {helper.submit(bits.get).result() for _ in range(50)} == {usual}

bits.set(unusual)
changed = bits.get()
x = np.linspace(-90, 0, 901, dtype="f4")
rows = np.ascontiguousarray(np.broadcast_to(x, (1200, 901)))
for axis in (0, 1):
    for workers in (1, 3):
        y = fs.softmax(rows, axis, workers=workers)
        fs.log_softmax(rows[::2], axis, workers=workers)
        fs.logsumexp(rows, axis, workers=workers)
        fs.softmax_vjp(rows, y, axis, workers=workers)
        labels = np.zeros(rows.shape[1 - axis], int)
        fs.cross_entropy_value_and_grad(rows, labels, axis, workers=workers)
        assert bits.get() == changed
for length in (1, 5, 17, 65, 1025, 901):
    fs.softmax(x[:length]), fs.log_softmax(x[:length]), fs.logsumexp(x[:length])
    fs.SoftmaxState().update(x[:length]).softmax(x[:length])
assert bits.get() == changed
bits.set(usual)
assert {helper.submit(bits.get).result() for _ in range(50)} == {usual}
print("same")
"""
    assert run(code, target, control_bits) == ["same"]
