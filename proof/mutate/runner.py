"""Run tests on a mutated tree, in a process forked from one that has its imports done.

(a) No more tests begin when the time is over: then nothing has been noticed.
(b) A test that takes a minute of the processor, or waits for minutes, is one that notices.
"""

import importlib
import os
import resource
import signal
import sys
import time

import pytest

from proof import sample

CRASHED, HANGS, TIME_IS_OVER = 97, 98, 99

A_TEST, WAITING = 60, 240  # seconds of the processor, and of the clock

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


class _Clock:
    """A plugin of pytest that gives all tests so many seconds, and none more than A_TEST."""

    def __init__(self, seconds):
        self.end = time.process_time() + seconds

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self):
        used = time.process_time()
        if used > self.end:
            sys.stdout.flush()
            os._exit(TIME_IS_OVER)
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        resource.setrlimit(resource.RLIMIT_CPU, (int(used) + A_TEST, hard))


def _child(tree, tests, expression, environment, log, seconds):
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
        status = int(pytest.main(arguments, [sample, _Clock(seconds)]))
    finally:
        sys.stdout.flush()
        os._exit(status)


def run(tree, tests, expression, environment, log, seconds):
    """Exit status of pytest, CRASHED, HANGS, or TIME_IS_OVER after so much processor time."""
    pid = os.fork()
    if pid == 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(signal.SIGXCPU, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background
        try:
            _child(tree, tests, expression, environment, log, seconds)
        finally:
            os._exit(3)
    end = time.monotonic() + 5 * seconds + WAITING  # the machine may have other things to do
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            break
        if time.monotonic() > end:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return HANGS
        time.sleep(0.05)
    if os.WIFSIGNALED(status):
        return HANGS if os.WTERMSIG(status) == signal.SIGXCPU else CRASHED
    return os.WEXITSTATUS(status)
