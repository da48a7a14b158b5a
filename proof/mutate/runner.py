"""Run tests on a mutated tree, in a process forked from one that has its imports done."""

import importlib
import os
import resource
import signal
import sys
import time

import pytest

from proof import sample

CRASHED, OUT_OF_TIME = 98, 99

PREPARED = (
    "numpy",
    "numpy.ma",
    "numpy.testing",
    "scipy.special",
    "mpmath",
    "ml_dtypes",
    "pytest",
    "_pytest.assertion.rewrite",
    "hypothesis.strategies",
    "hypothesis.extra.numpy",
    "concurrent.futures.thread",
)


def prepare():
    """Import what is not tested, so that no test process has to."""
    for name in PREPARED:
        importlib.import_module(name)


def _child(tree, tests, expression, environment, log):
    os.setsid()
    os.chdir(tree)
    os.environ.update(environment)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.path[:0] = [f"{tree}/src", f"{tree}/tests", str(tree)]
    os.environ["PYTHONPATH"] = f"{tree}/src"
    sys.argv = ["pytest"]
    arguments = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "--no-header"]
    arguments += ["--tb=line", "-k", expression, *tests]
    status = 3
    try:
        status = int(pytest.main(arguments, [sample]))
    finally:
        sys.stdout.flush()
        os._exit(status)


def run(tree, tests, expression, environment, log, seconds):
    """Exit status of pytest, CRASHED, or OUT_OF_TIME after so many seconds of processor time."""
    pid = os.fork()
    if pid == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(signal.SIGXCPU, signal.SIG_DFL)
        try:
            _child(tree, tests, expression, environment, log)
        finally:
            os._exit(3)
    end = time.monotonic() + 20 * seconds  # the machine may have other things to do, or it waits
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            break
        if time.monotonic() > end:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return OUT_OF_TIME
        time.sleep(0.05)
    if os.WIFSIGNALED(status):
        return OUT_OF_TIME if os.WTERMSIG(status) == signal.SIGXCPU else CRASHED
    return os.WEXITSTATUS(status)
