"""The folders of the kernels are layers: each takes from those before it alone."""

import re
from pathlib import Path

import pytest

KERNELS = Path(__file__).parents[1] / "src" / "fastsoftmax" / "kernels"
# A file beside the folders is a layer by itself.
LAYERS = (
    "sizes",
    "signals",
    "scratch",
    "arithmetic",
    "rows",
    "columns",
    "gradients",
    "cross_entropy",
    "parts",
)
CIMPORT = re.compile(r"^from fastsoftmax\.kernels\.(\w+)[\w.]* cimport ", re.MULTILINE)


@pytest.fixture(scope="module")
def sources():
    """Every source of kernels, with the name of its layer."""
    found = sorted(KERNELS.rglob("*.pxd"))
    if not found:
        pytest.skip("the sources of the kernels are not here")
    return [(path.relative_to(KERNELS).with_suffix("").parts[0], path) for path in found]


def test_every_layer_is_known_and_used(sources):
    assert {layer for layer, _ in sources} == set(LAYERS)


def test_a_layer_takes_from_those_before_it_alone(sources):
    taken = [
        (path.name, layer, other)
        for layer, path in sources
        for other in CIMPORT.findall(path.read_text(encoding="utf-8"))
    ]
    assert len(taken) > 100
    wrong = [each for each in taken if LAYERS.index(each[2]) > LAYERS.index(each[1])]
    assert not wrong
