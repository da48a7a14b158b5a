"""What the six products with a Jacobian take and give, and arguments for them.

An array of a call has the shape of the logits, FULL, or that of their reduction, ROWS.
"""

import numpy as np

FULL, ROWS = "full", "rows"

# The roles of the arguments, the last of them those of the forward function, and of the result.
ROLES = {
    "softmax_vjp": ((FULL, FULL), FULL),
    "softmax_jvp": ((FULL, FULL), FULL),
    "log_softmax_vjp": ((FULL, FULL), FULL),
    "log_softmax_jvp": ((FULL, FULL), FULL),
    "logsumexp_vjp": ((ROWS, FULL, ROWS), FULL),
    "logsumexp_jvp": ((FULL, FULL, ROWS), ROWS),
}
ALL = tuple(ROLES)
FULL_TO_FULL = tuple(name for name, (roles, _) in ROLES.items() if ROWS not in roles)


def reduced_shape(shape, axis):
    return np.broadcast_to(0.0, shape).sum(axis=axis).shape


def result_shape(name, shape, axis):
    return shape if ROLES[name][1] == FULL else reduced_shape(shape, axis)


def log_total(x, axis):
    """The logsumexp of float64 logits by NumPy alone, reduced axes kept."""
    top = x.max(axis=axis, keepdims=True)
    return top + np.log(np.exp(x - top).sum(axis=axis, keepdims=True))


def forward(name, x, axis):
    """What the forward function saved for the product: y, logp, or a and lse; in float64."""
    total = log_total(x, axis)
    if name.startswith("softmax"):
        return [np.exp(x - total)]
    if name.startswith("log_softmax"):
        return [x - total]
    return [x, total.reshape(reduced_shape(x.shape, axis))]


def arguments(name, rng, shape, dtype, axis, scale=3.0):
    """Arrays of ordinary values for a call, of one dtype."""
    first = shape if ROLES[name][0][0] == FULL else reduced_shape(shape, axis)
    saved = forward(name, scale * rng.standard_normal(shape), axis)
    return [np.asarray(a).astype(dtype) for a in (rng.standard_normal(first), *saved)]


def rows_of(name, arrays, index):
    """The arguments for one row of a call over the last axis."""
    return [np.array(a[index]) for a in arrays]
