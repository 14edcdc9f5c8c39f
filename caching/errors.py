"""Every error and warning of Cachebrush, in one tree.

CachebrushError                     caught when any refusal of ours will do
├── ScheduleError (ValueError)      a schedule, its file, or its fit to a run is wrong
├── ModelError (ValueError)         a model folder, id or module is not what was expected
├── RequestError (ValueError)       a run was asked for with values out of range
└── FetchError (OSError)            a file could not be brought from its authors
StochasticSamplerWarning (UserWarning)

A message says what was given, what was expected, and what to do.
"""

from __future__ import annotations


class CachebrushError(Exception):
    """The root that every error raised on purpose by Cachebrush shares."""


class ScheduleError(CachebrushError, ValueError):
    """A schedule, a schedule file, or the fit of a schedule to a run is wrong."""


class ModelError(CachebrushError, ValueError):
    """A model cannot be loaded or run as asked, or is no transformer the engine can reach."""


class RequestError(CachebrushError, ValueError):
    """A run was asked for with a class, step count, size or guidance out of range."""


class FetchError(CachebrushError, OSError):
    """A file could not be brought from its authors, or is another one than it should be."""


class StochasticSamplerWarning(UserWarning):
    """A sampler that draws fresh noise makes a cached and a full run differ for two reasons."""
