"""Cachebrush's engine: schedules of feature caching for diffusion transformers, run and measured.

The names below are the public ones. Those that need torch are imported on first use, so that
schedules, policies and predictions work, and the page opens, without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from caching.errors import (
    CachebrushError,
    ModelError,
    RequestError,
    ScheduleError,
    StochasticSamplerWarning,
)
from caching.predictors.reuse import Reuse
from caching.schedule import Context, Schedule

if TYPE_CHECKING:
    from caching.engine.run import Request, Run, StepEvent, iter_sample, sample
    from caching.formats.importers import import_schedule
    from caching.formats.opening import load_schedule
    from caching.measure.cost import Cost, cost_of
    from caching.measure.fidelity import Fidelity, fidelity
    from caching.measure.trace import Trace
    from caching.models import Model, Speed, load_model

_LATE = {
    "Cost": "caching.measure.cost",
    "Fidelity": "caching.measure.fidelity",
    "Model": "caching.models",
    "Request": "caching.engine.run",
    "Run": "caching.engine.run",
    "Speed": "caching.models",
    "StepEvent": "caching.engine.run",
    "Trace": "caching.measure.trace",
    "cost_of": "caching.measure.cost",
    "fidelity": "caching.measure.fidelity",
    "import_schedule": "caching.formats.importers",
    "iter_sample": "caching.engine.run",
    "load_model": "caching.models",
    "load_schedule": "caching.formats.opening",
    "sample": "caching.engine.run",
}

__all__ = [
    "CachebrushError",
    "Context",
    "Cost",
    "Fidelity",
    "Model",
    "ModelError",
    "Request",
    "RequestError",
    "Reuse",
    "Run",
    "Schedule",
    "ScheduleError",
    "Speed",
    "StepEvent",
    "StochasticSamplerWarning",
    "Trace",
    "cost_of",
    "fidelity",
    "import_schedule",
    "iter_sample",
    "load_model",
    "load_schedule",
    "sample",
]


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module 'caching' has no attribute {name!r}")
    return getattr(import_module(_LATE[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})  # those of first use too, for a notebook's completion
