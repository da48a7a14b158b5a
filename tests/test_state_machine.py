"""SoftmaxState under any sequence of its operations, beside a list of what it was given."""

import pickle

import families
import numpy as np
import pytest
import reference
from formats import FLOATS, of
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

SLICES = 3


class Model:
    """A state, and the pieces of three slices that it has seen, each (3, n)."""

    def __init__(self, state, pieces):
        self.state, self.pieces = state, pieces


class States(RuleBasedStateMachine):
    """Operations on states; after each the three results are those of all pieces together."""

    models = Bundle("models")
    fs = dtype = None

    def pieces(self, data):
        fitting = [family for family in families.ALL if families.fits(family, self.dtype)]
        family = data.draw(st.sampled_from(fitting))
        n, seed = data.draw(st.integers(1, 40)), data.draw(st.integers(0, 99))
        x = family(np.random.default_rng(seed), (SLICES, n), of(self.dtype))
        return x.astype(self.dtype)

    @initialize(axis=st.sampled_from([0, 1, -1]))
    def choose_the_axis(self, axis):
        self.axis = axis

    def laid_out(self, x):
        return x.T if self.axis == 0 else x

    @rule(target=models, knows_its_shape=st.booleans())
    def begin(self, knows_its_shape):
        options = {"shape": (SLICES,), "dtype": self.dtype} if knows_its_shape else {}
        return Model(self.fs.SoftmaxState(self.axis, **options), [])

    @rule(model=models, data=st.data())
    def update(self, model, data):
        x = self.pieces(data)
        assert model.state.update(self.laid_out(x)) is model.state
        model.pieces.append(x)
        self.check(model)

    @rule(model=models, other=models)
    def merge(self, model, other):
        before = other.state.count
        assert model.state.merge(other.state) is model.state
        assert other is model or other.state.count == before
        model.pieces += other.pieces
        if model.pieces:
            self.check(model)

    @rule(target=models, model=models, by_pickle=st.booleans())
    def copy(self, model, by_pickle):
        state = pickle.loads(pickle.dumps(model.state)) if by_pickle else model.state.copy()
        return Model(state, list(model.pieces))

    @rule(model=models)
    def refuse_another_shape(self, model):
        if model.state.shape is not None:
            with pytest.raises(ValueError, match="shape"):
                model.state.update(np.zeros((9, 9), self.dtype))
        if model.pieces:
            self.check(model)

    def check(self, model):
        x = np.concatenate(model.pieces, axis=1)
        assert model.state.count == x.shape[1]
        limit = of(self.dtype).ulp_limit + (1 if self.fs._target.name == "generic" else 0)
        for name in ("logsumexp", "softmax", "log_softmax"):
            exact = getattr(reference, name)(x)
            if name == "logsumexp":
                result, scale = model.state.logsumexp(), reference.logsumexp_scale(x, exact)
            else:
                result, scale = getattr(model.state, name)(self.laid_out(x)), exact
                result = result.T if self.axis == 0 else result
            assert reference.ulp_error(result, exact, self.dtype, scale).max() <= limit, name


@pytest.mark.parametrize("state_dtype", [f.dtype for f in FLOATS], ids=lambda dtype: dtype.name)
def test_any_sequence_of_operations(fs, state_dtype):
    machine = type("States", (States,), {"fs": fs, "dtype": state_dtype})
    few = settings(max_examples=max(settings().max_examples // 5, 1), stateful_step_count=12)
    run_state_machine_as_test(machine, settings=few)
