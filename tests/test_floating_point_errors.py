"""Under `np.errstate(all="raise")` a call raises what is promised, and at every length.

`python -m proof.errstate` goes through every family, layout and number of workers.
"""

import formats
import layouts
import numpy as np
import operations
import pytest
import warned
from sharing import forced


@pytest.fixture(params=[warned.silent_slices, warned.one_of_each], ids=["silent", "of each kind"])
def family(request):
    return request.param


def test_calls_at_every_length(fs, dtype, family, rng):
    """Gradients take turns: rows at even lengths, columns at odd ones."""
    form, count = formats.of(dtype), 0
    step = 1 if family is warned.silent_slices else 5
    for n in warned.LENGTHS[::step]:
        x = warned.logits(family, rng, (16, n), form)
        calls = operations.forward(fs, x, 1) + operations.forward(fs, x[n % 16], 0)
        if n % 7 == 0:
            calls += operations.optional(fs, x, 1, rng) + operations.losses(fs, x, 1, rng)
        if n % 2 == 0:
            calls += operations.gradients(fs, x, 1, rng)
        for call in calls:
            count += warned.check(call, -1)
        y = np.ascontiguousarray(x.T)
        calls = operations.forward(fs, y, 0)
        if n % 2:
            calls += operations.gradients(fs, y, 0, rng)
        for call in calls:
            count += warned.check(call, 0)
    assert count > 300 or step == 1


def test_no_elements(fs, dtype, rng):
    with np.errstate(all="raise"):
        for shape, axis in (((0, 5), 1), ((5, 0), 0), ((0,), 0), ((3, 0), 1)):
            x = np.zeros(shape, dtype)
            fs.logsumexp(x, axis)
            if shape[axis]:
                for call in operations.forward(fs, x, axis) + operations.losses(fs, x, axis, rng):
                    call()
            else:
                with pytest.raises(ValueError, match="zero-size"):
                    fs.softmax(x, axis)


@pytest.mark.parametrize("layout", layouts.ALL)
def test_layouts(fs, dtype, family, layout, rng):
    form = formats.of(dtype)
    for shape in ((16, 3), (16, 33), (17, 130)):
        x = warned.logits(family, rng, shape, form)
        if not layouts.fits(layout, x):
            pytest.skip("no such layout")
        for axis in (0, 1):
            for call in operations.of(fs, x, axis, rng):
                warned.check(call.lay_out(layout), axis)


def test_workers_and_large_calls(fs, dtype, family, rng):
    form = formats.of(dtype)
    with forced(fs, 1 << 16) as shared:
        for shape in ((32, 2_000), (2_000, 32), (1, 70_000)):
            x = warned.logits(family, rng, shape, form)
            for axis in (0, 1):
                for call in operations.of(fs, x, axis, rng):
                    warned.check(call, axis, workers=3)
    assert shared
