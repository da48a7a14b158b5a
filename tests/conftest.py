"""Fixtures of all tests: the package per target, the dtypes, and the table of the worst errors.

(a) `fs` is the package under one target. Its scope, like that of the other parameters, is the
    session: hypothesis asks that, and tests of one target run in a row.
(b) Any warning is an error: a call that warns without a reason fails the test it stands in.
(c) `worst` collects the largest error of each function, dtype and target, in ULP; they are
    printed with the summary.
"""

import hypothesis
import numpy as np
import pytest
import sharing
import targets
from formats import FLOATS

WORST = pytest.StashKey[dict]()

# `pytest --hypothesis-profile thorough` looks at more examples.
for profile, examples in (("quick", 60), ("thorough", 1_000)):
    hypothesis.settings.register_profile(
        profile,
        deadline=None,
        max_examples=examples,
        print_blob=True,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],  # the machine's business
        derandomize=profile == "quick",  # a check says the same twice; `thorough` looks further
    )
hypothesis.settings.load_profile("quick")


def pytest_addoption(parser):
    parser.addoption(
        "--run-huge", action="store_true", help="run tests of arrays beyond 2^31 elements: 10 GB"
    )


def pytest_collection_modifyitems(config, items):
    for item in items:
        if item.get_closest_marker("huge") and not config.getoption("--run-huge"):
            item.add_marker(pytest.mark.skip(reason="takes 10 GB: asked for by --run-huge"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """What is imported by name in a test is of its target, whatever other tests looked at."""
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    if parameters.get("target") in targets.runnable():
        targets.activate(parameters["target"])


def pytest_configure(config):
    config.addinivalue_line("filterwarnings", "error")
    config.addinivalue_line("markers", "huge: needs 10 GB of memory, and --run-huge")
    config.stash[WORST] = {}


def pytest_report_header():
    runnable, others = targets.runnable(), sorted({*targets.ALL} - {*targets.runnable()})
    return f"targets: {', '.join(runnable)}; this machine cannot run {', '.join(others)}"


@pytest.fixture(scope="session", params=targets.runnable())
def target(request):
    """Name of an instruction set that this machine can run."""
    return request.param


@pytest.fixture(scope="session")
def fs(target):
    """The package, imported for one target."""
    return targets.activate(target)


@pytest.fixture(scope="session", params=[pytest.param(f.dtype, id=f.name) for f in FLOATS])
def dtype(request):
    """Each dtype the kernels know."""
    return request.param


@pytest.fixture(scope="session", params=["softmax", "log_softmax", "logsumexp"])
def name(request):
    """Name of a public function."""
    return request.param


@pytest.fixture(scope="session", params=["softmax", "log_softmax"])
def same_shape_name(request):
    """Name of a public function whose result has the shape of its input."""
    return request.param


@pytest.fixture
def set_cache(fs):
    """Tell the kernels another size of the last-level cache; the true one at the end."""
    yield fs._target.kernels.set_cache
    fs._target.kernels.set_cache(fs._cache.cache)


@pytest.fixture
def four_processors(fs, monkeypatch):
    """There seem to be four processors, whose executor is a new one."""
    monkeypatch.setattr(sharing.module(fs, "_sharing"), "cpu_count", lambda: 4)
    monkeypatch.setattr(sharing.module(fs, "_sharing"), "_executors", {})


@pytest.fixture
def rng():
    return np.random.default_rng(20210811)


@pytest.fixture(scope="session")
def worst(request):
    """Report an error in ULP: worst(function, dtype, target, error, where)."""

    def report(function, dtype, target, error, where):
        key = (function, np.dtype(dtype).name, target)
        table = request.config.stash[WORST]
        table[key] = max(table.get(key, (0.0, "")), (float(error), where))

    return report


def pytest_terminal_summary(terminalreporter, config):
    table = config.stash[WORST]
    if not table:
        return
    terminalreporter.section("largest error in ULP")
    terminalreporter.line(f"{'function':12} {'dtype':9} {'target':8} {'ULP':>7}  where")
    for (function, dtype, target), (error, where) in sorted(table.items()):
        terminalreporter.line(f"{function:12} {dtype:9} {target:8} {error:7.3f}  {where}")
