"""The app as the browser tests serve it: what nobody looks at is done less often, or smaller.

A run is shown once a second instead of sixteen times, and at its ends as ever, its trajectory
keeps the first and the last picture as that of a model with a heavy autoencoder does, and routers
learn from few pictures: more than half of what a run and most of what a training would cost.
Gradio looks into its queue fifty times a second instead of two hundred.
Everything else is `python -m app`.
"""

from __future__ import annotations

from typing import Any

import app
from caching.learn.base import Trainer
from caching.measure import result
from tests.ui.idle import LOOK_S
from viz import learning
from viz.pages import runs

SHOW_EVERY_S = 1.0
POOL = 8  # pictures


def _trainer_of(name: str, **options: Any) -> Trainer:
    """A training of the panel, on fewer pictures where it takes any."""
    kind = learning.TRAINERS[name]
    return kind(**options, **({"pool": POOL} if learning.control_of(kind, "pool") else {}))


if __name__ == "__main__":
    app.LOOK_S = LOOK_S
    runs.SHOW_EVERY_S = SHOW_EVERY_S
    result.DECODE_BUDGET_S = 0.0
    learning.trainer_of = _trainer_of
    app.main()
