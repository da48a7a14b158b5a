"""Errors of the products with the Jacobians, in ULP of the sum of the terms' magnitudes."""

import functools

import backward
import families
import numpy as np
import pytest
import reference
import reference_backward
from formats import assert_same_bits, of
from test_accuracy import GENERIC_ALLOWANCE

LENGTHS = (*range(1, 34), 64, 65, 100, 300, 1_025, 4_097)
LOGITS = (
    families.normal,
    families.uniform_40,
    families.offset_1e4,
    families.one_dominant,
    families.all_equal,
    families.half_minus_infinity,
    families.subnormal_results,
    families.any_finite_bits,
)


def normal(rng, shape, form):
    return rng.standard_normal(shape)


def of_every_size(rng, shape, form):
    span = 3 if form.name == "float16" else 60
    return 2.0 ** rng.uniform(-span, span, shape) * rng.choice([-1, 1], shape)


def nearly_equal(rng, shape, form):
    """What softmax's product takes its mean from, so that nearly nothing is left."""
    return 1 + 2.0 ** (3 - form.digits) * rng.integers(-3, 4, shape)


def cancelling(rng, shape, form):
    g = rng.standard_normal(shape)
    half = shape[-1] // 2
    g[..., :half] = -g[..., shape[-1] - half :]
    return g


def one_hot(rng, shape, form):
    g = np.zeros(shape)
    g[..., rng.integers(shape[-1])] = -1
    return g


VECTORS = (normal, of_every_size, nearly_equal, cancelling, one_hot)


@functools.cache
def _cases(name, family, vector, dtype):
    """Arguments in the dtype, exact results and the scales of their errors, block by block."""
    form, cases = of(dtype), []
    rng = np.random.default_rng(VECTORS.index(vector))
    lengths = families.SHORT_LENGTHS if reference.is_exact_only(dtype) else LENGTHS
    for x in families.rows(family, dtype, lengths):
        saved = {
            "softmax": lambda x: [reference.softmax(x)],
            "log_softmax": lambda x: [reference.log_softmax(x)],
            "logsumexp": lambda x: [x, reference.logsumexp(x)],
        }[name.rpartition("_")[0]](x)
        saved = [a.astype(np.float64).astype(dtype) for a in saved]
        is_full = backward.ROLES[name][0][0] == backward.FULL
        g = vector(rng, x.shape if is_full else x.shape[:1], form).astype(dtype)
        exact, scale = getattr(reference_backward, name)(g, *saved)
        cases.append(((g, *saved), exact, scale))
    return cases


def _errors(fs, name, dtype, cases):
    function, results = getattr(fs, name), []
    for arguments, exact, _ in cases:
        result = function(*arguments, axis=-1)
        assert result.shape == exact.shape and result.dtype == dtype
        results.append(result.ravel())
    exact, scale = (np.concatenate([case[i].ravel() for case in cases]) for i in (1, 2))
    return reference.ulp_error(np.concatenate(results), exact, dtype, scale), scale


# What docs/gradients.md says of results below the smallest normal number.
SUBNORMAL_LIMIT = 2


def _limit(dtype, target):
    return of(dtype).ulp_limit + (GENERIC_ALLOWANCE if target == "generic" else 0)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", [n for n in backward.ALL if n != "softmax_jvp"])
def test_error_is_within_the_promised_ulp(fs, target, name, dtype, vector, worst):
    for family in LOGITS:
        if not families.fits(family, dtype):
            continue
        cases = _cases(name, family, vector, dtype)
        error, scale = _errors(fs, name, dtype, cases)
        worst(name, dtype, target, error.max(), f"{family.__name__}, g {vector.__name__}")
        assert error.max() <= _limit(dtype, target), family.__name__
        subnormal = (abs(scale) < of(dtype).tiny).astype(bool)
        assert error[subnormal].max(initial=0) <= SUBNORMAL_LIMIT, (
            "below the smallest normal number"
        )


@pytest.mark.parametrize("name", [n for n in backward.ALL if n != "softmax_jvp"])
def test_a_giant_row_is_as_accurate(fs, target, name, dtype, worst, rng):
    arguments = backward.arguments(name, rng, (1, 100_003), dtype, -1)
    exact, scale = getattr(reference_backward, name)(*arguments)
    error, _ = _errors(fs, name, dtype, [(arguments, exact, scale)])
    worst(name, dtype, target, error.max(), "a giant row")
    assert error.max() <= _limit(dtype, target)


@pytest.mark.parametrize("name", [n for n in backward.ALL if n != "softmax_jvp"])
def test_a_large_vector_times_a_tiny_exponential_keeps_its_digits(fs, target, name, dtype):
    """exp(a - lse) alone, or y itself, is subnormal; its product with g is not."""
    form = of(dtype)
    gap = -form.lowest * np.log(2) + 2
    x = np.array([[0.0, -gap, -gap / 2, -gap - 1]]).astype(dtype)
    g = np.array([[1.0, 2.0**8, -(2.0**9), 2.0**10]]).astype(dtype)
    saved = [a.astype(dtype) for a in backward.forward(name, x.astype(np.float64), -1)]
    first = g if backward.ROLES[name][0][0] == backward.FULL else g[:, -1]
    exact, scale = getattr(reference_backward, name)(first, *saved)
    error, _ = _errors(fs, name, dtype, [((first, *saved), exact, scale)])
    assert error.max() <= _limit(dtype, target)


@pytest.mark.parametrize("name", [n for n in backward.ALL if n != "softmax_jvp"])
@pytest.mark.parametrize("n", [2, 3, 17, 40, 300, 1_025, 5_000])
def test_products_below_the_smallest_normal_number_add_up(fs, target, name, dtype, n, rng):
    """Each of them would lose half of the smallest subnormal, and the sum as many as it has."""
    form = of(dtype)
    g, *saved = backward.arguments(name, rng, (6, n), np.float64, -1, scale=8.0)
    # From sums that are all 0 to results above the smallest normal number; and one row of zeros.
    size = 2.0 ** (form.lowest + np.array([-form.digits, -form.digits / 2, -3, -1, 2, -np.inf]))
    with np.errstate(under="ignore"):
        g = (g * size.reshape(6, *(1 for _ in g.shape[1:]))).astype(dtype)
    arguments = [g, *(a.astype(dtype) for a in saved)]
    exact, scale = getattr(reference_backward, name)(*arguments)
    results = getattr(fs, name)(*arguments, axis=-1)
    error = reference.ulp_error(results, exact, dtype, scale)
    normal = (abs(scale) >= form.tiny).astype(bool)
    assert error[normal].max(initial=0) <= _limit(dtype, target)
    assert error[~normal].max(initial=0) <= SUBNORMAL_LIMIT
    for row in range(6):
        alone = getattr(fs, name)(*backward.rows_of(name, arguments, row))
        assert_same_bits(alone, results[row])
    columns = [np.ascontiguousarray(a.T) for a in arguments]
    assert_same_bits(getattr(fs, name)(*columns, axis=0).T, results)
    if name == "softmax_vjp":
        getattr(fs, name)(*arguments, axis=-1, out=arguments[0])
        assert_same_bits(arguments[0], results)


@pytest.mark.parametrize("weight", [2.0**30, -(2.0**100), 2.0**-3])
def test_an_exponential_below_float64_keeps_its_digits_for_its_weight(fs, target, weight):
    a, b = np.array([[0.0, -735.0, -720.5]]), np.array([[1.0, weight, weight]])
    g, t, lse = np.array([1.25]), np.array([[0.0, 1.25, 0.75]]), np.array([0.0])
    exact, scale = reference_backward.logsumexp_vjp(g, a, lse)
    exact, scale = exact * b, scale * abs(b)
    error = reference.ulp_error(fs.logsumexp_vjp(g, a, lse, axis=-1, b=b), exact, np.float64, scale)
    assert error.max() <= _limit(np.dtype(float), target)
    exact, scale = reference_backward.logsumexp_jvp(t * b, a, lse)
    error = reference.ulp_error(fs.logsumexp_jvp(t, a, lse, axis=-1, b=b), exact, np.float64, scale)
    assert error.max() <= _limit(np.dtype(float), target)


@pytest.mark.parametrize("level", [709.5, 1_000.0, 1_400.0])
def test_an_exponential_above_float64_counts_with_a_small_tangent(fs, target, level):
    """Times 2^-1000 it is a number, and times 0 nothing."""
    t, a, lse = np.full((1, 3), 2.0**-1_000), np.full((1, 3), level), np.array([0.0])
    exact, scale = reference_backward.logsumexp_jvp(t, a, lse)
    error = reference.ulp_error(fs.logsumexp_jvp(t, a, lse, axis=-1), exact, np.float64, scale)
    assert error.max() <= _limit(np.dtype(float), target)
    assert fs.logsumexp_jvp(0 * t, a, lse, axis=-1) == 0


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_sums_beyond_the_range_of_the_dtype_do_not_spoil_results_within_it(fs, target, kind):
    """The sum of g*y, or of g, overflows; nothing that is asked for does."""
    big = np.finfo(kind).max
    log2 = np.log(2).astype(kind)
    half = np.array([0.5, 0.5], kind)
    np.testing.assert_array_equal(
        fs.softmax_vjp(np.array([big, -big], kind), half), half * [big, -big]
    )
    g, y = np.array([big, -big], kind), np.array([1, 0], kind)
    np.testing.assert_array_equal(fs.softmax_vjp(g, y), [0, 0])
    g, logp = np.array([big, big], kind), np.array([-np.inf, 0], kind)
    np.testing.assert_array_equal(fs.log_softmax_vjp(g, logp), [big, -big])
    np.testing.assert_allclose(
        fs.log_softmax_vjp(g, np.array([-log2, -log2])), [0, 0], atol=big * np.finfo(kind).eps * 8
    )
    np.testing.assert_allclose(
        fs.log_softmax_jvp(g, np.array([-log2, -log2])), [0, 0], atol=big * np.finfo(kind).eps * 8
    )
    many = np.full(100, big), np.full(100, -np.log(100)).astype(kind)
    np.testing.assert_allclose(
        fs.log_softmax_vjp(many[0].astype(kind), many[1]), 0, atol=big * np.finfo(kind).eps * 8
    )


def test_subnormal_probabilities_times_large_sums_keep_their_digits(fs, target):
    """What exp(logp) rounds away below the smallest normal number counts by its factor."""
    for kind, low in ((np.float32, -93), (np.float64, -718)):
        for least in (low, low - 4):
            logp = np.array([[0.0, *[least] * 6]], kind)
            g = np.array([[14.0, 0, 1, 11, -1, 3, 1000]], kind)
            for name in ("log_softmax_vjp", "log_softmax_jvp"):
                for g_ in (g, np.where(g == 14, 0, g)):
                    exact, scale = getattr(reference_backward, name)(g_, logp)
                    error, _ = _errors(fs, name, kind, [((g_, logp), exact, scale)])
                    assert error.max() <= _limit(kind, target)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda f: f.__name__)
def test_weights_of_both_signs_are_as_accurate(fs, target, dtype, vector, worst, rng):
    """The errors of lse and of b are the caller's; those of the product are judged."""
    for n in (1, 2, 7, 16, 33, 300, 1_025):
        g, a, lse = backward.arguments("logsumexp_vjp", rng, (5, n), dtype, -1)
        g, t = (vector(rng, shape, of(dtype)).astype(dtype) for shape in ((5,), (5, n)))
        b, sign = rng.standard_normal((5, n)).astype(dtype), np.array([1, -1, 1, -1, -1], dtype)
        wide_b, wide_sign = reference_backward.widen([b, sign])
        exact, scale = reference_backward.logsumexp_vjp(g, a, lse)
        options = {"axis": -1, "b": b, "sign": sign}
        with np.errstate(under="ignore"):
            pulled = exact * wide_b * wide_sign[:, None], abs(scale * wide_b)
        exact, scale = reference_backward.logsumexp_jvp(t.astype(wide_b.dtype) * wide_b, a, lse)
        pushed = exact * wide_sign, scale
        for name, vectors, (exact, scale) in (
            ("logsumexp_vjp", g, pulled),
            ("logsumexp_jvp", t, pushed),
        ):
            result = getattr(fs, name)(vectors, a, lse, **options)
            error = reference.ulp_error(result, exact, dtype, scale)
            worst(name, dtype, target, error.max(), f"weights, g {vector.__name__}")
            assert error.max() <= _limit(dtype, target)


def test_columns_are_as_accurate_as_rows(fs, target, dtype, rng):
    for name in backward.ALL:
        for n in (1, 2, 10, 17, 300):
            arguments = backward.arguments(name, rng, (7, n), dtype, -1)
            exact, scale = getattr(reference_backward, name)(*arguments)
            result = getattr(fs, name)(*[np.ascontiguousarray(a.T) for a in arguments], axis=0)
            error = reference.ulp_error(result.T, exact, dtype, scale)
            assert error.max() <= _limit(dtype, target)


@pytest.mark.parametrize("name", [n for n in backward.ALL if n != "softmax_jvp"])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_the_reference_agrees_with_mpmath(name, kind, rng):
    """The wide references are right to far less than an ULP of what they judge."""
    if reference.is_exact_only(kind):
        pytest.skip("longdouble is no wider than float64, so mpmath is the reference")
    for scale in (1, 30):
        arguments = backward.arguments(name, rng, (2, 9), kind, -1, scale)
        wide, _ = getattr(reference_backward, name)(*arguments)
        exact, magnitude = getattr(reference_backward, name)(*arguments, exactly=True)
        with reference.workprec():
            error = abs(reference_backward.to_mpf(wide) - exact)
            error /= np.where(magnitude == 0, 1, magnitude)
        assert error.max() <= 2e-2 * np.finfo(kind).eps
