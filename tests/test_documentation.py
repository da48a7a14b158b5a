"""Every example in the docstrings, in README and in docs/state.md says what really happens."""

import doctest
import pkgutil
from importlib import import_module
from pathlib import Path

import pytest

import fastsoftmax

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", ROOT / "docs" / "state.md")
MODULES = [
    name
    for _, name, _ in pkgutil.walk_packages(fastsoftmax.__path__, "fastsoftmax.")
    if "._kernels" not in name and not name.endswith("__main__")
]
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


@pytest.mark.parametrize("name", ["fastsoftmax", *MODULES])
def test_examples_of_the_docstrings(name):
    assert doctest.testmod(import_module(name), optionflags=FLAGS).failed == 0


@pytest.mark.parametrize("name", fastsoftmax.__all__)
def test_every_public_function_has_an_example(name):
    function = getattr(fastsoftmax, name)
    examples = doctest.DocTestFinder(recurse=False).find(function, name)
    assert sum(len(test.examples) for test in examples) > 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_of_the_pages(page):
    if not page.exists():
        pytest.skip("the tests stand without the source tree")
    results = doctest.testfile(str(page), module_relative=False, optionflags=FLAGS)
    assert results.attempted > 0
    assert results.failed == 0
