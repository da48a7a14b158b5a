"""Run the tests for one mutation after the other.

(a) Collecting thirty thousand cases takes longer than most mutations live. A process does it once
    and never imports the package; for each mutation it forks, and the fork imports it and tests.
(b) A fork runs the likely tests for a while and then all of them, until one fails or the time is
    over. Time is that of the processor: the machine may have other things to do. Some tests have
    hundreds of cases: each test has a turn with one of its cases, drawn at random, before any of
    them has another turn.
(c) A test that takes a minute of the processor is one that notices, and so is one that waits.
(d) A test that fails without any mutation notices nothing: a fork finds those first, among all that
    others have time for, and they are left out.
"""

import importlib
import os
import random
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from proof import sample

A_TEST, WAITING = 60, 150  # seconds of the processor, and of the clock without any of those

PREPARED = (
    "numpy",
    "numpy.ma",
    "numpy.testing",
    "scipy.special",
    "mpmath",
    "ml_dtypes",
    "hypothesis.strategies",
    "hypothesis.extra.numpy",
    "concurrent.futures.thread",
)


class Task(NamedTuple):
    """A mutation: what puts it in force, the environment of the fork, what takes it back."""

    mutation: Any
    begin: Any
    environment: dict[str, str]
    end: Any
    likely: tuple[str, ...]  # files of tests


class _Forks:
    """A plugin of pytest that runs the collected tests for each task, and tells of each."""

    def __init__(self, tasks, first_seconds, seconds, report, left_out):
        self.tasks, self.report, self.left_out = tasks, report, left_out
        self.first_seconds, self.seconds = first_seconds, seconds
        self.failed = []
        self.stops = True  # at the first failure

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session):
        assert "fastsoftmax" not in sys.modules, "a test imports the package when it is collected"
        turns = _by_turns(session.items)
        killer, blind = self._forked(lambda: self._without_mutation(turns))
        assert killer is None, f"without a mutation there is {killer}"
        items = [item for item in turns if item.nodeid not in blind.split("\n")]
        self.left_out(len(turns) - len(items), blind)
        for task in self.tasks:
            task.begin()
            begun = time.monotonic()
            killer, text = self._forked(lambda task=task: self._verdict(items, task))
            killer = killer or text or "a crash"
            task.end()
            self.report(task.mutation, None if killer == "nothing" else killer, begun)
        return True

    def _forked(self, verdict):
        """What is wrong with a fork, and else what it says."""
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.close(read)
                os.setsid()
                resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
                signal.signal(signal.SIGXCPU, signal.SIG_DFL)
                signal.signal(
                    signal.SIGINT, signal.default_int_handler
                )  # ignored in the background
                with os.fdopen(write, "w") as pipe:
                    pipe.write(verdict())
            finally:
                os._exit(0)
        os.close(write)
        with os.fdopen(read) as pipe:
            killer = _wait(pid)
            return killer, pipe.read()

    def _without_mutation(self, items):
        """In the fork: the tests that fail as it is."""
        self.stops = False
        for likely in dict.fromkeys(task.likely for task in self.tasks):
            self._run([i for i in items if i.location[0] in likely], self.first_seconds)
        self._run(items, self.seconds - self.first_seconds)
        return "\n".join(dict.fromkeys(self.failed))

    def _verdict(self, items, task):
        """In the fork: which test fails first, or nothing."""
        os.environ.update(task.environment)
        self._run([i for i in items if i.location[0] in task.likely], self.first_seconds)
        if not self.failed:
            self._run(items, self.seconds - self.first_seconds)
        return self.failed[0][:120] if self.failed else "nothing"

    def _run(self, items, seconds):
        end = time.process_time() + seconds
        for item in items:
            used = time.process_time()
            if used > end or (self.stops and self.failed):
                return
            hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
            resource.setrlimit(resource.RLIMIT_CPU, (int(used) + A_TEST, hard))
            # No next item: nothing is left set up where another list begins.
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.failed.append(report.nodeid)


def _by_turns(items):
    """The tests, one case of each at a time."""
    cases = list(items)
    random.Random(0).shuffle(cases)
    turns = {}
    numbered = []
    for item in cases:
        test = item.nodeid.partition("[")[0]
        turns[test] = turns.get(test, 0) + 1
        numbered.append((turns[test], item))
    return [item for _, item in sorted(numbered, key=lambda each: each[0])]


def _seconds_used(pid):
    """Of the processor, by a process and the children it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def _wait(pid):
    """Wait for a fork; what is wrong with it if it has not ended by itself."""
    used, since = 0.0, time.monotonic()
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            break
        time.sleep(0.05)
        now = _seconds_used(pid)
        if now > used + 0.1:
            used, since = now, time.monotonic()
        elif time.monotonic() > since + WAITING:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return "a test without an end"
    if os.WIFSIGNALED(status):
        return "a test without an end" if os.WTERMSIG(status) == signal.SIGXCPU else "a crash"
    return None


def run(tree, files, expression, tasks, first_seconds, seconds, report, left_out):
    """Judge all tasks in a process of their own; `report` is called there for each of them.

    `left_out` is told how many tests fail without a mutation, and which.
    """
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        if os.waitpid(pid, 0)[1]:
            raise SystemExit((tree / "log.txt").read_text()[-3000:])
        return
    status = 1
    try:
        for name in PREPARED:
            importlib.import_module(name)
        os.chdir(tree)
        log = os.open("log.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        sys.path[:0] = [f"{tree}/src", f"{tree}/tests", str(tree)]
        os.environ["PYTHONPATH"] = f"{tree}/src"
        arguments = ["-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:run-parallel"]
        arguments += ["--capture=sys", "--tb=line", "-k", expression, *files]
        forks = _Forks(tasks, first_seconds, seconds, report, left_out)
        status = int(pytest.main(arguments, [sample, forks]))
    finally:
        os._exit(status)
