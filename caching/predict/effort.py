"""What a calibration takes, counted in full runs of one picture, before anything has run."""

from __future__ import annotations

from dataclasses import dataclass

PROBED, SWEPT = 8.0, 2.3
"""Full runs for each picture of a response, and for each of its directions; the shipped model on
two CPU threads."""
MEASURED = 1.75
"""Full runs for a schedule on four pictures, with its part of the uncached ones; likewise."""


@dataclass(frozen=True)
class Size:
    """How thoroughly a response is built; see `caching.predict.adjoint.build_response`."""

    pictures: int
    leading: int
    chance: int


THOROUGH = Size(8, 4, 2)
QUICK = Size(3, 3, 1)


def response_runs(size: Size) -> float:
    """Full runs that building the response takes as long as."""
    return size.pictures * (PROBED + SWEPT * (size.leading + size.chance))


def runs_of(size: Size | None, schedules: int) -> float:
    """Full runs that a calibration takes as long as; without a size its response is there."""
    return (0.0 if size is None else response_runs(size)) + MEASURED * schedules


def response_share(size: Size, schedules: int) -> float:
    """Share of it that building the response takes."""
    return response_runs(size) / runs_of(size, schedules)
