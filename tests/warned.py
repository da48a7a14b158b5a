"""Whether a call reports under `np.errstate(all="raise")` what is promised, and nothing else.

The promise is about exceptions and warnings. The sticky flags of the floating-point unit, which
vector code raises in lanes that no element occupies, are neither read by the package nor promised.
"""

import numpy as np
import operations

LENGTHS = tuple(range(1, 301))


def normal(rng, shape, form):
    return rng.standard_normal(shape)


def subnormal_logits(rng, shape, form):
    return rng.integers(-9, 10, shape) * 2.0 ** (form.lowest - form.digits + 1)


def subnormal_results(rng, shape, form):
    """The first result is about 1, the others are about the smallest there are, or 0."""
    smallest = (form.lowest - form.digits) * np.log(2)
    x = rng.uniform(1.1 * smallest, 0.8 * smallest, shape)
    x[..., 0] = 0
    return x


def huge(rng, shape, form):
    return rng.choice([-1, -0.5, 0.5, 1], shape) * form.largest


def far_apart(rng, shape, form):
    return rng.choice([-1.0, 0.0, 1.0], shape) * min(form.largest, 1e4)


def minus_infinities(rng, shape, form):
    """Not in the first place, so that no slice consists of them."""
    x = np.where(rng.random(shape) < 0.5, -np.inf, rng.standard_normal(shape))
    x[..., 0] = 1
    return x


def infinities(rng, shape, form):
    return rng.choice([-np.inf, np.inf, 0.0, 1.0], shape)


def nans(rng, shape, form):
    return rng.choice([-np.inf, np.inf, np.nan, 0.0, 1.0], shape)


def _take_turns(families, rng, shape, form):
    x = np.zeros(shape)
    for i, family in enumerate(families[: shape[0]]):
        slices = x[i :: len(families)]
        slices[...] = family(rng, slices.shape, form)
    return x


def one_of_each(rng, shape, form):
    """A slice of every family: what is odd about one of them, others beside it must not hide."""
    return _take_turns([family for family in ALL for _ in range(2)], rng, shape, form)


SILENT = (normal, subnormal_logits, subnormal_results, huge, far_apart, minus_infinities)
ALL = (*SILENT, infinities, nans)


def silent_slices(rng, shape, form):
    """The same of families whose probabilities are numbers."""
    return _take_turns(SILENT, rng, shape, form)


def logits(family, rng, shape, form):
    with np.errstate(all="ignore"):
        return family(rng, shape, form).astype(form.dtype)


def check(call, axis, **options):
    """Whether a call warned; AssertionError if it should not have, or should have and did not."""
    with np.errstate(all="ignore"):
        result = call(**options)
    due = operations.makes_nan(call, result, axis)
    warned = False
    try:
        with np.errstate(all="raise"):
            call(**options)
    except FloatingPointError as error:
        if not str(error).startswith("invalid value"):
            raise
        warned = True
    assert due is None or warned == due, f"{call.name}: warned is {warned}, due is {due}"
    return warned
