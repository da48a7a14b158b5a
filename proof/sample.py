"""A plugin of pytest that runs one case of each test first, then another of each, and so on.

Soon all tests have been tried a little. With FASTSOFTMAX_CASES=n in the environment that is all: n
cases of each test run, and no more.
"""

import collections
import os
import random

import pytest

VARIABLE = "FASTSOFTMAX_CASES"


def _ranked(items):
    """Which case of its test each item is; the long tests of hypothesis are ranked apart."""
    random.Random(0).shuffle(items)
    seen = collections.Counter()
    for item in items:
        test = item.nodeid.split("[")[0]
        seen[test] += 1
        is_long = hasattr(getattr(item, "function", None), "hypothesis")
        yield is_long, seen[test], item


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    ranked = sorted(_ranked(list(items)), key=lambda ranks: ranks[:2])
    most = int(os.environ.get(VARIABLE, len(items)))
    chosen = [item for _, case, item in ranked if case <= most]
    config.hook.pytest_deselected(items=[item for _, case, item in ranked if case > most])
    items[:] = chosen
