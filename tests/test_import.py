"""The choice of a target, and what an import must not do. Each test is a process of its own."""

import os
import subprocess
import sys

import pytest
import targets


def _run(code, **environment):
    clean = {k: v for k, v in os.environ.items() if k != targets.VARIABLE}
    return subprocess.run(
        [sys.executable, "-c", code],
        env=clean | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def _output(code, **environment):
    done = _run(code, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


CHOSEN = "from fastsoftmax._target import kernels; print(kernels.__name__.rsplit('_')[-1])"


def test_the_variable_picks_a_target(target):
    assert _output(CHOSEN, **{targets.VARIABLE: target}) == target


def test_without_the_variable_the_best_target_is_picked():
    assert _output(CHOSEN) == targets.runnable()[0]


@pytest.mark.parametrize("asked", ["sse9", "AVX-512", "avx1024", "none"])
def test_an_unknown_target_is_an_import_error_that_names_the_possible_ones(asked):
    done = _run("import fastsoftmax", **{targets.VARIABLE: asked})
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError:")
    assert asked in last
    assert all(name in last for name in targets.runnable())


def test_a_target_of_another_machine_is_an_import_error_that_names_the_possible_ones():
    others = [name for name in targets.ALL if name not in targets.runnable()]
    assert others, "no machine runs both AVX2 and NEON"
    for asked in others:
        done = _run("import fastsoftmax", **{targets.VARIABLE: asked})
        assert done.returncode != 0
        last = done.stderr.strip().splitlines()[-1]
        assert last.startswith("ImportError:")
        assert asked in last
        assert all(name in last for name in targets.runnable())


def test_generic_runs_everywhere():
    assert targets.runnable()[-1] == "generic"


def test_only_one_target_is_loaded():
    loaded = _output(
        "import sys, fastsoftmax;"
        "print(*[m for m in sys.modules if m.startswith('fastsoftmax._kernels_')])"
    )
    assert loaded == f"fastsoftmax._kernels_{targets.runnable()[0]}"


def test_no_other_package_is_imported():
    loaded = _output(
        "import sys, numpy; before = set(sys.modules); import fastsoftmax;"
        "print(*{m.partition('.')[0] for m in set(sys.modules) - before})"
    ).split()
    outside = {"fastsoftmax"} | set(sys.stdlib_module_names)
    # Cython registers its shared types under names of this form.
    foreign = [m for m in loaded if m not in outside and not m.startswith(("_cython", "cython_"))]
    assert foreign == []


def test_an_import_is_silent():
    assert _run("import fastsoftmax", PYTHONWARNINGS="error").stderr == ""


def test_an_import_changes_nothing_of_the_process():
    before_and_after = _output(
        """
import os, signal, threading, warnings
import numpy as np
def state():
    tiny = np.array([5e-324]) * np.array([1.0])
    return (np.geterr(), dict(os.environ), threading.active_count(), warnings.filters[:],
            signal.getsignal(signal.SIGINT), np.get_printoptions(), tiny[0] > 0)
before = state()
import fastsoftmax
fastsoftmax.softmax([1.0, 2.0]), fastsoftmax.logsumexp(np.zeros((300, 300), "f4"), axis=0)
print(before == state())
"""
    )
    assert before_and_after == "True"


def test_results_do_not_depend_on_scipy_being_there():
    code = """
import sys
sys.modules["scipy"] = sys.modules["ml_dtypes"] = None
import fastsoftmax, numpy as np
for x in (np.ones(3), np.ones(3, "g"), np.ones(3, "D"), np.ones(3, "e"), np.ones(3, int)):
    for f in (fastsoftmax.softmax, fastsoftmax.log_softmax, fastsoftmax.logsumexp):
        f(x, axis=0), f(x, axis=0, where=[True, False, True])
print(fastsoftmax.logsumexp(np.ones(3), b=[1, 0, -1]))
"""
    assert _output(code) == "-inf"


def test_the_package_is_a_command():
    done = subprocess.run(
        [sys.executable, "-m", "fastsoftmax", "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and done.stdout.startswith("usage: python -m fastsoftmax")
