"""The exact cross-entropy and its gradient, from one coefficient for every logit.

(a) With the coefficients k, and l = -log_softmax(x), the loss of a row is sum(k*l) and its
    gradient p*sum(k) - k. Class weights, smoothing, weights of rows and the mean are in k, which
    `coefficients` computes in float64 from the definition of each.
(b) A coefficient of 0 contributes 0, whatever the logit holds.
(c) The precision is that of `reference`; each value comes with the scale its error is measured by,
    the sum of the magnitudes of its terms.
"""

import numpy as np
import reference
from reference_backward import widen


def coefficients(
    targets,
    n,
    weight=None,
    sample_weight=None,
    ignore_index=None,
    label_smoothing=0.0,
    reduction="mean",
):
    """One coefficient for every logit of (rows, n)."""
    targets = np.asarray(targets)
    weight = np.ones(n) if weight is None else np.asarray(weight, np.float64)
    if targets.ndim == 1:
        kept = np.ones(len(targets), bool) if ignore_index is None else targets != ignore_index
        hot = np.zeros((len(targets), n))
        hot[kept, targets[kept].astype(np.intp)] = 1
        share = kept * 1.0
    else:
        kept, hot, share = np.ones(len(targets), bool), targets.astype(np.float64), None
    row = np.ones(len(kept)) if sample_weight is None else np.asarray(sample_weight, np.float64)
    k = weight * ((1 - label_smoothing) * hot + label_smoothing / n) * row[:, None]
    k[~kept] = 0
    if reduction != "mean":
        return k
    # Class weights stand in the mean over labels alone, not in that over probabilities.
    share = row if share is None else (hot * weight).sum(axis=-1) * row
    return k / share.sum()


def losses(x, k):
    """The loss of each row, and its scale."""
    with reference.workprec():
        nothing = k == 0
        log = -reference.log_softmax(x)
        (k,) = widen([k], exactly=log.dtype == object)
        terms = np.where(nothing, 0 * k, np.where(nothing, 0 * k, k) * np.where(nothing, 0, log))
        return terms.sum(axis=-1), abs(terms).sum(axis=-1)


def gradient(x, k):
    """d sum(losses) / d x, and its scale."""
    with reference.workprec():
        p = reference.softmax(x)
        (k,) = widen([k], exactly=p.dtype == object)
        total, magnitude = k.sum(axis=-1, keepdims=True), abs(k).sum(axis=-1, keepdims=True)
        return p * total - k, p * magnitude + abs(k)


def label_gradient(x, labels):
    """softmax(x), less 1 at the label, where the difference loses no digits."""
    with reference.workprec():
        p = reference.softmax(x)
        at = np.asarray(labels)[..., None]
        others = p.copy()
        np.put_along_axis(others, at, 0, axis=-1)
        np.put_along_axis(p, at, -others.sum(axis=-1, keepdims=True), axis=-1)
        return p
