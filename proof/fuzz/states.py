"""SoftmaxState: rows cut into pieces anywhere, in any order, copied, pickled and merged."""

import pickle

import numpy as np
import reference
from formats import of

from . import values
from .arrangement import lay_out
from .banks import exact_forward, warned
from .failure import Failure


class StateCase:
    """Some rows with finite maxima and their exact results; a call adds and reads them."""

    def __init__(self, choices, fs):
        self.choices, self.fs = choices, fs
        self.dtype = values.draw_float(choices)
        rows, self.n = values.draw_shape(choices)
        self.x = values.draw_rows(choices, (rows, self.n), self.dtype)
        self.exact = {
            name: exact_forward(name, self.x)[:2]
            for name in ("softmax", "log_softmax", "logsumexp")
        }
        self.bits = {name: getattr(fs, name)(self.x, axis=1) for name in self.exact}

    def call(self):
        """Cut, add, merge, and compare the three results with the truth; returns the calls."""
        choices, fs, n = self.choices, self.fs, self.n
        inner = choices.draw(3)
        axis = (1, 0, -1)[inner]
        x = self.x.T if axis == 0 else self.x
        ends = sorted(choices.draw(n + 1) for _ in range(choices.draw(5)))
        told = [f"x = {self.x.tolist()} of {self.dtype}, axis {axis}, cut at {ends}"]
        pieces = [lay_out(choices, piece) for piece in np.split(x, ends, axis)]
        state, calls = fs.SoftmaxState(axis), 0
        if choices.once_in(4):
            state = fs.SoftmaxState(axis, shape=(len(self.x),), dtype=self.dtype)
        whole = len(ends) == 0
        for piece in pieces:
            kind = choices.draw(5)
            told.append(("update", "update", "merge", "pickle", "copy")[kind])
            if kind < 2:
                state.update(piece)
            elif kind == 2:
                state.merge(fs.SoftmaxState(axis).update(piece))
            elif kind == 3:
                state = pickle.loads(pickle.dumps(state)).update(piece)
            else:
                before = state.count
                other = state.copy().update(piece)
                if state.count != before or other.count != before + piece.shape[axis]:
                    raise Failure(f"count {other.count}", "\n".join(told))
                state = other
            calls += 2 if kind == 2 else 1
        heard = len(warned)
        results = {
            "logsumexp": state.logsumexp(),
            "softmax": np.concatenate([state.softmax(p) for p in pieces], axis),
            "log_softmax": np.concatenate([state.log_softmax(p) for p in pieces], axis),
        }
        if len(warned) > heard or state.count != n:
            del warned[heard:]
            raise Failure(f"a warning, or count {state.count} for {n}", "\n".join(told))
        for name, result in results.items():
            is_turned = axis == 0 and name != "logsumexp"
            wrong = self._difference(name, result.T if is_turned else result, whole)
            if wrong:
                raise Failure(f"SoftmaxState.{name}: {wrong}", "\n".join(told))
        return calls + 1 + 2 * len(pieces)

    def _difference(self, name, result, whole):
        if result.dtype != self.dtype or result.shape != self.bits[name].shape:
            return f"{result.dtype} {result.shape}"
        exact, scale = self.exact[name]
        with np.errstate(all="ignore"):
            beyond = np.isinf(exact.astype(self.dtype).astype(float))
            exact = np.where(beyond, np.copysign(np.inf, exact), exact)
            error = reference.ulp_error(result, exact, self.dtype, scale)
        limit = of(self.dtype).ulp_limit + (1 if self.fs._target.name == "generic" else 0)
        if not (error <= limit).all():
            return f"{error.max():.3g} ULP"
        near = 220 if self.fs._target.name == "generic" else 2.0**17
        is_plain = whole and abs(self.x.astype(float).max(axis=1)).max() <= near
        if is_plain and result.tobytes() != self.bits[name].tobytes():
            return "other bits than one call"
        return None
