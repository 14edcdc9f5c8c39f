"""The app as the browser tests serve it: what nobody looks at is done less often, or smaller.

A run is shown once a second instead of sixteen times, and at its ends as ever, its trajectory
keeps the first and the last picture as that of a model with a heavy autoencoder does, and routers
learn from few pictures: more than half of what a run and most of what a training would cost.
Gradio looks into its queue fifty times a second instead of two hundred. A page whose test looks at
no figure gets none: two of them, 100 kB of JSON, would come with nearly every event.
Everything else is `python -m app`.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

from gradio.context import LocalContext

import app
from caching.learn.base import Trainer
from caching.measure import result
from tests.ui.idle import LOOK_S
from viz import learning
from viz.pages import pareto, runs, visit

UNSEEN = "cachebrush-unseen"  # a cookie of a page without figures, see conftest
SHOW_EVERY_S = 1.0
POOL = 8  # pictures


def _trainer_of(name: str, **options: Any) -> Trainer:
    """A training of the panel, on fewer pictures where it takes any."""
    kind = learning.TRAINERS[name]
    return kind(**options, **({"pool": POOL} if learning.control_of(kind, "pool") else {}))


def _where_seen(draw: Callable[..., Any]) -> Callable[..., Any]:
    """A figure, for an event of a page whose test looks at some."""

    def figure(*given: Any, **named: Any) -> Any:
        asked = LocalContext.request.get(None)
        unseen = asked is not None and UNSEEN in asked.cookies
        return None if unseen else draw(*given, **named)

    return figure


if __name__ == "__main__":
    app.LOOK_S = LOOK_S
    runs.SHOW_EVERY_S = SHOW_EVERY_S
    result.DECODE_BUDGET_S = 0.0
    learning.trainer_of = _trainer_of
    pareto.pareto_figure = _where_seen(pareto.pareto_figure)
    visit.similarity_curves = _where_seen(visit.similarity_curves)
    gc.freeze()  # what is imported by now stays, and need not be looked through for garbage
    app.main()
