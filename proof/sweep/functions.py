"""The public functions, on rows of every family, against the bounds of the README.

(a) An operation is a call, what draws its arguments from a family of logits, and its exact results
    with the scale that errors are measured by. Families, vectors and references are the tests'.
(b) Rows come in blocks of one length, mostly short, as each length up to a few vectors takes its
    own path; some are longer than one block of a sum. Each block is drawn anew.
(c) A result below the smallest normal number may be off by 1 of the smallest subnormal, a product
    with a Jacobian by 2. `tiny` are vectors that make such products.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import backward
import families
import numpy as np
import reference
import reference_backward
import reference_losses
from formats import FLOATS, of
from test_gradients_accuracy import VECTORS

from . import exact
from .record import Kind, Record

PART = "functions"
ROWS = 250_000  # of each operation and dtype
GIANT = 100_003
SUBNORMAL_LIMIT, PRODUCT_LIMIT = 1, 2  # docs/gradients.md


class Operation(NamedTuple):
    """One way to call a public function."""

    name: str
    draw: Callable[..., tuple]  # (rng, x, form) to arguments
    call: Callable[..., Any]  # (package, *arguments) to a result
    exact: Callable[..., tuple]  # (*arguments) to the exact values and the scale
    result: Callable[[np.dtype], np.dtype] = np.dtype  # of the logits' dtype
    subnormal_limit: float = SUBNORMAL_LIMIT


def _itself(values):
    return values, values


def _forward(name):
    def exactly(x):
        values = getattr(reference, name)(x)
        scale = reference.logsumexp_scale(x, values) if name == "logsumexp" else values
        return values, scale

    return Operation(
        name, lambda rng, x, form: (x,), lambda fs, x: getattr(fs, name)(x, axis=-1), exactly
    )


def _with_weights():
    def draw(rng, x, form):
        b = rng.uniform(-1, 2, x.shape) if rng.random() < 0.5 else rng.uniform(0.1, 2, x.shape)
        return x, b.astype(form.dtype)

    def call(fs, x, b):
        return fs.logsumexp(x, axis=-1, b=b, return_sign=True)[0]

    def exactly(x, b):
        values, _, scale = exact.weighted_logsumexp(x, b)
        return values, scale

    return Operation("logsumexp with b", draw, call, exactly)


def _saved(name, x):
    """What the forward function gives for the product, rounded to the dtype of the logits."""
    exactly = {
        "softmax": lambda: [reference.softmax(x)],
        "log_softmax": lambda: [reference.log_softmax(x)],
        "logsumexp": lambda: [x, reference.logsumexp(x)],
    }[name.rpartition("_")[0]]()
    with np.errstate(under="ignore"):
        return [a.astype(np.float64).astype(x.dtype) for a in exactly]


def tiny(rng, shape, form):
    """What makes products below, or just above, the smallest normal number."""
    size = 2.0 ** (form.lowest + rng.uniform(-form.digits, 3, (shape[0], *(1 for _ in shape[1:]))))
    return size * rng.standard_normal(shape)


def _vector(rng, shape, form):
    return VECTORS[rng.integers(len(VECTORS))](rng, shape, form).astype(form.dtype)


def _product(name, is_tiny=False):
    is_full = backward.ROLES[name][0][0] == backward.FULL

    def draw(rng, x, form):
        shape = x.shape if is_full else x.shape[:1]
        vector = tiny(rng, shape, form).astype(form.dtype) if is_tiny else _vector(rng, shape, form)
        return vector, *_saved(name, x)

    def call(fs, *arguments):
        return getattr(fs, name)(*arguments, axis=-1)

    label = f"{name}, tiny" if is_tiny else name
    exactly = getattr(reference_backward, name)
    return Operation(label, draw, call, exactly, subnormal_limit=PRODUCT_LIMIT)


def _weighted_product(name, is_tiny=False):
    """With weights and signs; the errors of lse and of b are the caller's."""
    plain = _product(name, is_tiny)

    def draw(rng, x, form):
        b = rng.standard_normal(x.shape).astype(form.dtype)
        sign = rng.choice([-1.0, 1.0], x.shape[0]).astype(form.dtype)
        return *plain.draw(rng, x, form), b, sign

    def call(fs, vector, a, lse, b, sign):
        return getattr(fs, name)(vector, a, lse, axis=-1, b=b, sign=sign)

    def exactly(vector, a, lse, b, sign):
        vector, b, sign = reference_backward.widen([vector, b, sign])
        if name == "logsumexp_vjp":
            values, scale = reference_backward.logsumexp_vjp(vector, a, lse)
            with np.errstate(under="ignore"):
                return values * b * sign[:, None], abs(scale * b)
        with np.errstate(under="ignore"):
            values, scale = reference_backward.logsumexp_jvp(vector * b, a, lse)
        return values * sign, scale

    label = f"{name} with b, tiny" if is_tiny else f"{name} with b"
    return Operation(label, draw, call, exactly, subnormal_limit=PRODUCT_LIMIT)


def _half_is_float32(dtype):
    return np.dtype(np.float32) if dtype.itemsize == 2 else dtype


def _labels(rng, x):
    """Labels; every other row's is that of its largest logit, whose loss may be near 0."""
    labels = rng.integers(x.shape[1], size=len(x))
    labels[::2] = x[::2].astype(np.float64).argmax(axis=-1)
    return labels


def _loss(fs, x, targets, options):
    """The losses, which have the same bits with the gradient and without."""
    loss = fs.cross_entropy(x, targets, reduction="none", **options)
    again, _ = fs.cross_entropy_value_and_grad(x, targets, reduction="none", **options)
    np.testing.assert_array_equal(loss, again)
    return loss


def _gradient(fs, x, targets, options):
    return fs.cross_entropy_value_and_grad(x, targets, reduction="none", **options)[1]


def _label_losses(x, labels, options):
    return _itself(-np.take_along_axis(reference.log_softmax(x), labels[:, None], axis=-1)[:, 0])


def _label_gradient(x, labels, options):
    return _itself(reference_losses.label_gradient(x, labels))


def _with_labels():
    def draw(rng, x, form):
        return x, _labels(rng, x), {}

    loss = Operation("cross_entropy", draw, _loss, _label_losses, _half_is_float32)
    return loss, Operation("cross_entropy gradient", draw, _gradient, _label_gradient)


def _with_options():
    """Probabilities or labels, with class weights, smoothing and weights of rows."""

    def draw(rng, x, form):
        rows, n = x.shape
        options = {"label_smoothing": rng.choice([0.0, 0.1, 1.0])}
        if rng.random() < 0.7:
            options["weight"] = rng.uniform(0.1, 3, n)
        if rng.random() < 0.5:
            options["sample_weight"] = rng.standard_normal(rows)
        if rng.random() < 0.5:
            return x, _labels(rng, x), options
        return x, rng.dirichlet(np.ones(n), rows).astype(form.dtype), options

    def coefficients(x, targets, options):
        return reference_losses.coefficients(targets, x.shape[1], reduction="none", **options)

    loss = Operation(
        "cross_entropy with options",
        draw,
        _loss,
        lambda x, targets, options: reference_losses.losses(x, coefficients(x, targets, options)),
        _half_is_float32,
    )
    gradient = Operation(
        "its gradient with options",
        draw,
        _gradient,
        lambda x, targets, options: reference_losses.gradient(x, coefficients(x, targets, options)),
    )
    return loss, gradient


def _reduced(reduction):
    """One loss of all rows."""

    def draw(rng, x, form):
        return x, rng.integers(x.shape[1], size=len(x))

    def call(fs, x, labels):
        loss = fs.cross_entropy(x, labels, reduction=reduction)
        again, _ = fs.cross_entropy_value_and_grad(x, labels, reduction=reduction)
        assert loss == again
        return np.atleast_1d(loss)

    def exactly(x, labels):
        losses, _ = _label_losses(x, labels, {})
        return _itself(np.atleast_1d(losses.sum() if reduction == "sum" else losses.mean()))

    return Operation(f"cross_entropy, {reduction}", draw, call, exactly, _half_is_float32)


OPERATIONS = (
    *(_forward(name) for name in ("softmax", "log_softmax", "logsumexp")),
    _with_weights(),
    *(_product(name) for name in backward.ALL),
    *(_product(name, is_tiny=True) for name in backward.ALL),
    *(_weighted_product(name) for name in ("logsumexp_vjp", "logsumexp_jvp")),
    *(_weighted_product(name, is_tiny=True) for name in ("logsumexp_vjp", "logsumexp_jvp")),
    *_with_labels(),
    *_with_options(),
    _reduced("sum"),
    _reduced("mean"),
)


def _shape(rng):
    """Rows of a block and their length."""
    n = int(
        rng.integers(1, 41)
        if rng.random() < 0.75
        else rng.integers(41, 301)
        if rng.random() < 0.85
        else rng.integers(301, 5_000)
    )
    return min(max(6_000 // n, 2), 256), n


def _shown(argument, row, rows):
    """A row of an argument in one line."""
    if isinstance(argument, dict):
        argument = {k: v[row] if np.shape(v) == (rows,) else "..." for k, v in argument.items()}
        return str(argument) if argument else "no options"
    value = argument[row] if len(argument) == rows else argument
    options = {"threshold": 8, "edgeitems": 4, "max_line_width": 10**6, "floatmode": "unique"}
    return np.array2string(np.asarray(value), **options)


def judge(record, part, operation, family, arguments, packages, form):
    """Take the errors of one call on all targets."""
    values, scale = operation.exact(*arguments)
    values, scale = np.asarray(values), np.asarray(scale)
    dtype = operation.result(form.dtype)
    judged_as = of(dtype)
    results = {t: np.asarray(operation.call(p, *arguments)) for t, p in packages.items()}
    for result in results.values():
        assert result.dtype == dtype and result.shape == values.shape, operation.name
    subnormal = np.ravel(abs(scale) < judged_as.tiny)

    largest = judged_as.largest * (1 - 2.0 ** (2 - judged_as.digits))

    def errors(result):
        error = reference.ulp_error(result, values, dtype, scale)
        # Beyond the largest number, or next to it, infinity of that sign is right.
        infinite = (abs(values) > largest) & (result == np.copysign(np.inf, values))
        return np.where(infinite, 0, error)

    def tell(i):
        row, place = (i, "") if values.ndim == 1 else divmod(i, values.shape[-1])
        shown = [_shown(a, row, len(values)) for a in arguments]
        return f"{f'at {place} of ' if values.ndim > 1 else ''}{'; '.join(shown)}"

    for is_subnormal, chosen, limit in (
        (False, ~subnormal, judged_as.ulp_limit),
        (True, subnormal, operation.subnormal_limit),
    ):
        if chosen.any():
            record.judge(
                Kind(part, operation.name, form.name, family, is_subnormal),
                results,
                errors,
                lambda t, limit=limit, more=not is_subnormal: limit + (more and t == "generic"),
                tell,
                chosen,
            )
    return len(arguments[0])


def run(record: Record, packages, share):
    """Judge all operations on all families."""
    for operation in OPERATIONS:
        total = 0
        for form in FLOATS:
            chosen = [f for f in families.ALL if families.fits(f, form.dtype)]
            rng = np.random.default_rng([OPERATIONS.index(operation), FLOATS.index(form)])
            rows, block = 0, 0
            while rows < ROWS * share or block < len(chosen):
                family = chosen[block % len(chosen)]
                block += 1
                giant = share >= 1 and block <= len(chosen)
                shape = (1, GIANT) if giant else _shape(rng)
                x = family(rng, shape, form)
                x = np.ascontiguousarray(x.astype(form.dtype))
                arguments = operation.draw(rng, x, form)
                rows += judge(record, PART, operation, family.__name__, arguments, packages, form)
            total += rows
        record.count(PART, f"rows through {operation.name}", total)
