"""Cross-entropy: the losses of all rows by the bits of a bank, means and sums by the reference."""

import families
import numpy as np
import reference
import reference_losses
from formats import of

from . import values
from .arrangement import CLASSES, FULL, ROWS
from .banks import Bank, Variant
from .failure import Failure, Snippet

BOTH = "cross_entropy_value_and_grad"


class LossBank(Bank):
    """Logits, labels, probabilities and weights, with the coefficients that they amount to."""

    one_axis = True

    def __init__(self, fs, rows, n):
        super().__init__(fs, rows, n)
        self.exact = {}

    def judge(self, variant, row, message, exact):
        keys = ("x", *variant.arguments[1:])
        arrays = [self.data[key][1][row] for key in keys]
        options = {name: self.data[key][1] for name, key in variant.options.items()}
        for name, value in options.items():
            if name == "sample_weight":
                options[name] = value[row]
        snippet = Snippet(self.target, variant.function, arrays, {**options, **variant.fixed})
        raise Failure(message, snippet.source(f"print(result)  # the truth: {exact}"))


def loss_bank(choices, fs):
    """Losses and gradients with labels and with probabilities, and every option."""
    rows, n = values.draw_shape(choices)
    bank = LossBank(fs, rows, n)
    dtype = values.draw_float(choices)
    chosen = (families.normal, families.uniform_40, families.one_dominant, families.all_equal)
    x = values.draw_rows(choices, (rows, n), dtype, chosen)
    rng = np.random.default_rng(choices.draw(1 << 20))
    kind = choices.pick("bhiqBHIQ")
    labels = rng.integers(0, min(n, np.iinfo(kind).max), rows).astype(kind)
    probabilities = rng.dirichlet(np.ones(n), rows).astype(values.draw_float(choices))
    if choices.draw(2):
        probabilities[rng.random((rows, n)) < 0.3] = 0
    weight = rng.uniform(0.1, 3, n).astype(choices.pick([np.float64, np.float32]))
    if choices.once_in(3):
        weight[rng.random(n) < 0.3] = 0
    sample_weight = rng.uniform(-1, 2, rows).astype(choices.pick([np.float64, np.float32]))
    if choices.once_in(3):
        sample_weight[choices.draw(rows)] = 0
    ignored = None
    if choices.draw(2) and rows > 1 and np.iinfo(kind).min < 0:
        ignored = choices.pick([-100, -1, 0, min(n - 1, np.iinfo(kind).max)])
        left_out = rng.random(rows) < 0.3
        labels[left_out] = ignored
        x[labels == ignored] = np.array(choices.pick([1, np.nan, np.inf])).astype(dtype)
    smoothing = choices.pick([0.0, 0.1, 1.0])
    bank.data = {
        "x": (FULL, x),
        "labels": (ROWS, labels),
        "probabilities": (FULL, probabilities),
        "weight": (CLASSES, weight),
        "sample_weight": (ROWS, sample_weight),
    }
    loss_dtype = np.dtype(np.float32) if dtype.itemsize == 2 else dtype
    for targets in ("labels", "probabilities"):
        if targets == "probabilities" and ignored is not None:
            continue
        for weighted in (False, True):
            options = {"sample_weight": "sample_weight"} if weighted else {}
            if choices.draw(2):
                options["weight"] = "weight"
            fixed = {}
            if ignored is not None:
                fixed["ignore_index"] = ignored
            if choices.draw(2):
                fixed["label_smoothing"] = smoothing
            _add(bank, targets, options, fixed, dtype, loss_dtype)
    return bank


def _add(bank, targets, options, fixed, dtype, loss_dtype):
    given = {name: bank.data[key][1] for name, key in options.items()}
    x, aims = bank.data["x"][1], bank.data[targets][1]
    fixed = {**fixed, "reduction": "none"}
    results = getattr(bank.fs, BOTH)(x, aims, **given, **fixed)
    warns = np.zeros(bank.rows, bool)
    variant = Variant(BOTH, ("x", targets), options, fixed, (ROWS, FULL), results, warns)
    k = reference_losses.coefficients(aims, bank.n, **given, **fixed)
    finite = np.isfinite(x.astype(float)).all(axis=1)
    safe = np.where(finite[:, None], x, np.zeros((), dtype))
    loss, loss_scale = reference_losses.losses(safe, k)
    grad, grad_scale = reference_losses.gradient(safe, k)
    plain = not (set(options) | set(fixed)) - {"reduction", "ignore_index"}
    if targets == "labels" and plain:
        kept = aims != fixed.get("ignore_index", -1)
        at = np.where(kept, aims, 0).astype(np.intp)
        exact = reference_losses.label_gradient(safe, at)
        grad = np.where(kept[:, None], exact, 0)
        loss_scale, grad_scale = loss, grad
    bank.check(variant, (loss, grad), (loss_scale, grad_scale))
    bank.variants.append(variant)
    alone = variant._replace(function="cross_entropy", roles=(ROWS,), results=results[:1])
    bank.variants.append(alone)
    # What means and sums are made from.
    weight = given.get("weight", np.ones(bank.n)).astype(float)
    sample = given.get("sample_weight", np.ones(bank.rows)).astype(float)
    share = sample
    if targets == "labels":
        kept = (
            aims != fixed["ignore_index"] if "ignore_index" in fixed else np.ones(len(aims), bool)
        )
        share = np.where(kept, weight[np.where(kept, aims, 0).astype(np.intp)], 0) * sample
    exact = (loss, loss_scale, grad, grad_scale, share, loss_dtype)
    bank.exact[id(variant)] = bank.exact[id(alone)] = exact


def reduced_is_right(bank, variant, arrangement, reduction, results, twins):
    """What is wrong with a mean or a sum, if anything: beside the twins' bits, the truth."""
    for result, twin in zip(results, twins, strict=True):
        if np.asarray(result).tobytes() != np.asarray(twin).tobytes():
            return "the layout changes the bits"
    loss, loss_scale, grad, grad_scale, share, dtype = bank.exact[id(variant)]
    index = arrangement.index
    divisor = np.longdouble(1)
    if reduction == "mean":
        divisor = share[index].astype(np.longdouble).sum()
        # A small sum of weights of both signs is as inexact as they are together.
        if abs(divisor) < 1e-3 * abs(share[index]).sum() or divisor == 0:
            return None
    limit = bank.limit(dtype)
    with np.errstate(all="ignore"):
        truth = loss[index].sum(dtype=np.longdouble) / divisor
        scale = loss_scale[index].sum(dtype=np.longdouble) / abs(divisor)
        error = _error(results[0], truth, dtype, scale)
        if not error <= limit + 1:
            return f"the {reduction} is {results[0]!r}, the truth {truth}, {error:.3g} ULP"
        if len(results) == 2:
            # A coefficient is rounded once more than with "none".
            truth = arrangement.full(grad / divisor)
            scale = arrangement.full(grad_scale / abs(divisor))
            error = reference.ulp_error(results[1], truth, results[1].dtype, scale)
            if not (error <= bank.limit(results[1].dtype) + 1).all():
                return f"the gradient of the {reduction} is {np.nanmax(error):.3g} ULP off"
    return None


def _error(result, truth, dtype, scale):
    if not (np.isfinite(truth) and of(dtype).largest > abs(truth)):
        return 0
    return reference.ulp_error(
        np.asarray(result), np.asarray(truth), dtype, np.asarray(scale)
    ).max()
