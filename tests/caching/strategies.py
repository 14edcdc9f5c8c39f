"""Random schedules for property tests, with a second predictor that only tests know."""

import dataclasses

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from caching.predictors import Predictor, Reuse
from caching.schedule import Schedule


@dataclasses.dataclass(frozen=True)
class Nudge(Predictor):
    """A predictor of the test, with a parameter and a letter that is already taken."""

    name = "nudge"
    letter = "R"
    label = "nudge"
    by: int = 1

    def estimate(self, past, step):
        return past[0][1] + self.by


BOTH = (Reuse(), Nudge())


@st.composite
def schedules(draw, legend=BOTH):
    """A small schedule whose cells use all of `legend`; most are irregular."""
    shape = draw(st.tuples(st.integers(1, 9), st.integers(1, 4), st.integers(1, 2)))
    actions = draw(hnp.arrays(np.uint8, shape, elements=st.integers(0, len(legend))))
    actions[0] = 0
    return Schedule(actions, legend, ("attn", "mlp")[: shape[2]])
