"""Rows whose results are known: computed once, alone or in one plain batch, and checked.

(a) A bank holds a few rows of every argument, and what each function gives for them. That is
    compared with the references of the tests, in ULP, or with the table of special values.
(b) Every other call on these rows, in whatever arrangement, has to give the bits of the bank. So
    one vectorised reference judges hundreds of calls.
(c) What NumPy computes (longdouble, complex) has no promise of bits, and a tolerance instead.
"""

from typing import Any, NamedTuple

import numpy as np
import reference
import reference_backward
from formats import of
from test_gradients_accuracy import LOGITS, VECTORS

from . import values
from .arrangement import FULL, ROWS
from .failure import Failure, Snippet

warned = []  # what NumPy's errstate has called about


class Variant(NamedTuple):
    """A function with the arguments of a bank, and its results for each of its rows."""

    function: str
    arguments: tuple[str, ...]
    options: dict[str, str]
    fixed: dict[str, Any]
    roles: tuple[str, ...]
    results: tuple[np.ndarray, ...]
    warns: np.ndarray
    casts: bool = False
    tolerance: float = 0.0


class Bank:
    """Rows of arguments, by name, and the variants of calls they go into."""

    one_axis = False

    def __init__(self, fs, rows, n):
        self.fs, self.rows, self.n = fs, rows, n
        self.target = fs._target.name
        self.data = {}
        self.variants = []
        self.common = set()  # arguments that are the same row for all

    def limit(self, dtype):
        return of(dtype).ulp_limit + (1 if self.target == "generic" else 0)

    def call(self, function, arguments, options, fixed):
        """The results of a plain call, one after the other."""
        given = {name: self.data[key][1] for name, key in options.items()}
        arrays = [self.data[key][1] for key in arguments]
        results = getattr(self.fs, function)(*arrays, axis=-1, **given, **fixed)
        return results if isinstance(results, tuple) else (results,)

    def judge(self, variant, row, message, exact):
        """Fail with the call of this row alone."""
        arrays = [self.data[key][1][row] for key in variant.arguments]
        options = {name: self.data[key][1][row] for name, key in variant.options.items()}
        snippet = Snippet(
            self.target, variant.function, arrays, {"axis": -1, **options, **variant.fixed}
        )
        raise Failure(message, snippet.source(f"print(result)  # the truth: {exact}"))

    def check(self, variant, exacts, scales, slack=0.0):
        """Compare the results with exact values, which may be infinite or nan.

        `slack` is added to the errors that are allowed.
        """
        for result, given, scale in zip(variant.results, exacts, scales, strict=True):
            if given is None:
                continue
            name, dtype = variant.function, result.dtype
            with np.errstate(all="ignore"):
                # Beyond the largest number there is only infinity.
                beyond = np.isinf(given.astype(dtype).astype(np.float64))
                exact = np.where(beyond, np.copysign(np.inf, given), given)
                error = reference.ulp_error(result, exact, dtype, scale)
                error = np.where(abs(result.astype(exact.dtype) - exact) <= slack, 0, error)
            error = np.where(np.isnan(exact) & np.isnan(result.astype(np.float64)), 0, error)
            limit = np.full(error.shape, float(self.limit(dtype)))
            low = abs(scale) < of(dtype).tiny
            # docs/gradients.md gives products with Jacobians 2 of the smallest subnormal number.
            limit[low] = 2 if name.endswith(("vjp", "jvp")) else 1
            wrong = np.argwhere(~(error <= limit))
            if len(wrong):
                place = tuple(wrong[0].tolist())
                self.judge(
                    variant,
                    place[0],
                    f"{name} of {dtype}: {result[place]!r} is {error[place]:.3g} ULP off, "
                    f"{limit[place]:g} allowed; {len(wrong)} of {error.size} like it",
                    repr(exact[place]),
                )

    def warns_alone(self, function, arguments, options, fixed, rows):
        """Which of these rows make a call warn that has them alone."""
        warns = np.zeros(self.rows, bool)
        for row in rows:
            heard = len(warned)
            arrays = [self.data[key][1][row] for key in arguments]
            given = {name: self.data[key][1][row] for name, key in options.items()}
            getattr(self.fs, function)(*arrays, axis=-1, **given, **fixed)
            warns[row] = len(warned) > heard
            del warned[heard:]
        return warns


def exact_forward(name, x, inside=None):
    """The exact values of rows, of special ones too, the scales, and which rows warn."""
    outside = np.zeros(x.shape, bool) if inside is None else ~inside
    x = np.where(outside, np.array(-np.inf, x.dtype), x)
    wide = x.astype(np.longdouble if x.dtype == np.float64 else np.float64)
    top = wide.max(axis=1)
    ordinary = np.isfinite(top)
    reduces = name == "logsumexp"
    exact = np.zeros(x.shape[:1] if reduces else x.shape, wide.dtype)
    scale = exact.copy()
    if ordinary.any():
        exact[ordinary] = getattr(reference, name)(x[ordinary])
        scale[ordinary] = exact[ordinary]
        if reduces:
            scale[ordinary] = reference.logsumexp_scale(x[ordinary], exact[ordinary])
    empty = outside.all(axis=1)
    warns = ~ordinary & ~np.isnan(top) & ~empty
    if reduces:
        exact[~ordinary] = top[~ordinary]
        warns[:] = False
    elif name == "softmax":
        exact[~ordinary] = np.nan
    else:
        rule = np.where(np.isposinf(top)[:, None] & ~np.isposinf(wide), -np.inf, np.nan)
        exact[~ordinary] = rule[~ordinary]
    if not reduces:
        exact[outside] = 0 if name == "softmax" else -np.inf
        scale[outside] = 1
    return exact, np.where(np.isfinite(exact), scale, 1), warns


def forward_bank(choices, fs):
    """softmax, log_softmax and logsumexp, with where and dtype."""
    shape = values.draw_shape(choices)
    bank = Bank(fs, *shape)
    if choices.once_in(8):
        dtype = choices.pick(values.INTEGERS)
        x, result = values.draw_integers(choices, shape, dtype), np.dtype(np.float64)
    else:
        dtype = result = values.draw_float(choices)
        x = values.draw_rows(choices, shape, dtype)
        if choices.once_in(3):
            x = values.sprinkle(choices, x)
    fixed = {}
    if choices.once_in(4):
        result = values.draw_float(choices)
        fixed = {"dtype": result}
    mask = values.draw_mask(choices, shape)
    if choices.once_in(3):
        mask[:] = mask[0]
        bank.common.add("where")
    bank.data = {"x": (FULL, x), "where": (FULL, mask)}
    with np.errstate(all="ignore"):
        cast = x.astype(result)
    for name in ("softmax", "log_softmax", "logsumexp"):
        for options in ({}, {"where": "where"}):
            exact, scale, warns = exact_forward(name, cast, mask if options else None)
            for signed in (False, True) if name == "logsumexp" else (False,):
                more = {**fixed, **({"return_sign": True} if signed else {})}
                results = bank.call(name, ("x",), options, more)
                role = ROWS if name == "logsumexp" else FULL
                casts = result.itemsize > 2 and not fixed
                variant = Variant(
                    name, ("x",), options, more, (role,) * len(results), results, warns, casts
                )
                bank.variants.append(variant)
                bank.check(variant, (exact, None)[: len(results)], (scale, None)[: len(results)])
                if signed:
                    with np.errstate(all="ignore"):
                        rule = np.where(np.isneginf(exact), 0, np.where(np.isnan(exact), exact, 1))
                    bank.check(variant, (None, rule), (None, np.ones(rule.shape)))
    return bank


def weighted_bank(choices, fs):
    """logsumexp with weights."""
    shape = values.draw_shape(choices)
    bank = Bank(fs, *shape)
    dtype = values.draw_float(choices)
    a = values.draw_rows(choices, shape, dtype, LOGITS)
    rng = np.random.default_rng(choices.draw(1 << 20))
    kind = choices.draw(3)
    b = rng.integers(-2, 4, shape) if kind == 0 else rng.uniform((0.1, -1)[kind - 1], 2, shape)
    b = b.astype(values.draw_partner(choices, dtype))
    mask = values.draw_mask(choices, shape)
    for key, rows in (("b", b), ("where", mask)):
        if choices.once_in(3):
            rows[:] = rows[0]
            bank.common.add(key)
    with np.errstate(all="ignore"):
        removed = (b == 0) & (rng.random(shape) < 0.5)
        a[removed] = rng.choice(np.array([np.nan, np.inf, -np.inf, 3]), removed.sum()).astype(dtype)
    bank.data = {"x": (FULL, a), "b": (FULL, b), "where": (FULL, mask)}
    for options in ({"b": "b"}, {"b": "b", "where": "where"}):
        for signed in (False, True):
            fixed = {"return_sign": True} if signed else {}
            results = bank.call("logsumexp", ("x",), options, fixed)
            roles, warns = (ROWS,) * len(results), np.zeros(bank.rows, bool)
            variant = Variant("logsumexp", ("x",), options, fixed, roles, results, warns)
            bank.variants.append(variant)
            _check_weighted(bank, variant, a, b, mask if "where" in options else None)
    return bank


def _check_weighted(bank, variant, a, b, mask):
    """Within the limit, relative to the magnitudes of the terms."""
    taken = (b != 0) if mask is None else (b != 0) & mask
    wide = np.where(taken, a.astype(np.longdouble), -np.inf)
    b = np.where(taken, b.astype(np.longdouble), 0)
    with np.errstate(all="ignore"):
        top = wide.max(axis=1, keepdims=True, initial=-np.inf)
        nothing = np.isneginf(top[:, 0])
        top[nothing] = 0
        terms = np.where(taken, b * np.exp(wide - top), 0)
        total, magnitude = terms.sum(axis=1), abs(terms).sum(axis=1)
        value, condition = np.log(abs(total)) + top[:, 0], magnitude / abs(total)
        value[nothing] = -np.inf
        log = variant.results[0].astype(np.longdouble)
        dtype = variant.results[0].dtype
        ulp = 2.0 ** (1 - of(dtype).digits)
        largest = np.where(np.isfinite(wide), abs(wide), 0).max(axis=1)
        limit = bank.limit(dtype) * ulp * (np.maximum(largest, abs(value)) + condition)
        right = (log == value) | (abs(log - value) <= limit) | (np.isneginf(log) & nothing)
        # Where nothing is left of the sum, its sign and its logarithm are anybody's guess.
        right |= condition * ulp > 2.0**-6
        if len(variant.results) == 1:
            right |= np.isnan(log) & (total < 0)
        else:
            signs = variant.results[1].astype(float)
            right &= (signs == np.sign(total)) | (condition * ulp > 2.0**-6)
        # A result of a narrow dtype may overflow.
        right |= np.isinf(value.astype(dtype).astype(float)) & np.isinf(log)
    if not right.all():
        row = int(right.argmin())
        bank.judge(variant, row, f"logsumexp with b is {log[row]!r}", repr(value[row]))


def jacobian_bank(choices, fs):
    """The products with the Jacobians of softmax and log_softmax."""
    shape = values.draw_shape(choices)
    bank = Bank(fs, *shape)
    dtype = values.draw_float(choices)
    x = values.draw_rows(choices, shape, dtype, LOGITS)
    g = _draw_vector(choices, shape, dtype)
    special = np.zeros(bank.rows, bool)
    if choices.once_in(3):
        before = g.copy()
        g = values.sprinkle(choices, g)
        special = (np.isnan(g.astype(float)) | np.isinf(g.astype(float))).any(axis=1)
        g[~special] = before[~special]
    point = dtype if choices.draw(4) else values.draw_partner(choices, dtype)
    y, logp = (
        getattr(reference, name)(x).astype(np.float64) for name in ("softmax", "log_softmax")
    )
    with np.errstate(all="ignore"):
        bank.data = {
            "g": (FULL, g),
            "y": (FULL, y.astype(point)),
            "logp": (FULL, logp.astype(point)),
        }
    for name in ("softmax_vjp", "softmax_jvp", "log_softmax_vjp", "log_softmax_jvp"):
        _add_product(bank, name, ("g", "y" if name.startswith("softmax") else "logp"), special)
    return bank


def _draw_vector(choices, shape, dtype):
    vector, seed = choices.pick(VECTORS), choices.draw(1 << 20)
    g = vector(np.random.default_rng(seed), shape, of(dtype))
    if not choices.draw(4):
        g = np.rint(4 * g)
    with np.errstate(all="ignore"):
        return g.astype(dtype)


def _add_product(bank, name, arguments, special, options=None, factors=(None, None)):
    """The variant of a product, its results checked on rows without infinities and nans."""
    options = options or {}
    results = bank.call(name, arguments, options, {})
    role = ROWS if name == "logsumexp_jvp" else FULL
    warns = bank.warns_alone(name, arguments, options, {}, np.flatnonzero(special))
    variant = Variant(name, arguments, options, {}, (role,), results, warns)
    bank.variants.append(variant)
    dtype = results[0].dtype
    arrays = [bank.data[key][1].astype(dtype) for key in arguments]
    before, after = factors
    if before is not None:
        arrays[0] = arrays[0].astype(before.dtype) * before
    with np.errstate(all="ignore"):
        exact, scale = getattr(reference_backward, name)(*arrays)
        if after is not None:
            exact, scale = exact * after, abs(scale * after)
    finite = ~special
    shape = (bank.rows,) + (1,) * (exact.ndim - 1)
    exact = np.where(finite.reshape(shape), exact, 0)
    scale = np.where(finite.reshape(shape), scale, 1)
    results = (np.where(finite.reshape(shape), results[0], np.zeros((), dtype)),)
    slack = 0.0
    if name.startswith("softmax"):
        # Products y g below half the smallest subnormal number may count as 0, each of them.
        form = of(np.float64 if dtype == np.float64 else np.float32)
        slack = abs(arrays[1].astype(np.longdouble)) * bank.n
        slack = np.where(finite[:, None], slack * np.ldexp(1.0, form.lowest - form.digits), 0)
    bank.check(variant._replace(results=results), (exact,), (scale,), slack)


def reduction_bank(choices, fs):
    """The products with the Jacobian of logsumexp."""
    shape = values.draw_shape(choices)
    bank = Bank(fs, *shape)
    dtype = values.draw_float(choices)
    a = values.draw_rows(choices, shape, dtype, LOGITS)
    with np.errstate(all="ignore"):
        lse = reference.logsumexp(a).astype(np.float64).astype(dtype)
    t = _draw_vector(choices, shape, dtype)
    g = np.ascontiguousarray(_draw_vector(choices, (bank.rows, 1), dtype)[:, 0])
    special = np.isinf(lse.astype(float))
    if choices.once_in(4):
        place = choices.draw(bank.rows)
        g[place] = t[place, choices.draw(bank.n)] = choices.pick([np.nan, np.inf, -np.inf])
        special[place] = True
    rng = np.random.default_rng(choices.draw(1 << 20))
    b = rng.integers(-2, 3, shape).astype(values.draw_partner(choices, dtype))
    sign = rng.choice(np.array([1, -1]), bank.rows).astype(choices.pick([dtype, np.int8]))
    bank.data = {
        "g": (ROWS, g),
        "t": (FULL, t),
        "x": (FULL, a),
        "lse": (ROWS, lse),
        "b": (FULL, b),
        "sign": (ROWS, sign),
    }
    wide_b, wide_sign = b.astype(np.longdouble), sign.astype(np.longdouble)
    for name, first in (("logsumexp_vjp", "g"), ("logsumexp_jvp", "t")):
        arguments = (first, "x", "lse")
        _add_product(bank, name, arguments, special)
        after = wide_sign[:, None] if first == "g" else wide_sign
        _add_product(bank, name, arguments, special, {"sign": "sign"}, (None, after))
        factors = (None, wide_b * after) if first == "g" else (wide_b, after)
        _add_product(bank, name, arguments, special, {"b": "b", "sign": "sign"}, factors)
    return bank
