"""Every example in the docstrings and in README says what really happens."""

import doctest
import pkgutil
from importlib import import_module
from pathlib import Path

import pytest

import fastsoftmax

README = Path(__file__).parents[1] / "README.md"
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


@pytest.mark.skipif(not README.exists(), reason="the tests stand without the source tree")
def test_examples_of_the_readme():
    results = doctest.testfile(str(README), module_relative=False, optionflags=FLAGS)
    assert results.attempted > 0
    assert results.failed == 0
