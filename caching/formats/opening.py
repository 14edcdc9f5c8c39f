"""The door for scripts: a schedule file of any known format, for one model and step count."""

from __future__ import annotations

import os
import warnings
from typing import Any, Protocol

from caching.context import Context
from caching.errors import RequestError
from caching.formats.bounded import path_of
from caching.formats.importers import import_schedule
from caching.formats.words import counted
from caching.schedule import Schedule


class RunsSchedules(Protocol):
    """The part of a model that decides whether a schedule fits it."""

    @property
    def blocks(self) -> int: ...
    @property
    def branches(self) -> tuple[str, ...]: ...
    @property
    def config_hash(self) -> str: ...
    @property
    def dtype(self) -> Any: ...


def load_schedule(
    path: str | os.PathLike[str], model: RunsSchedules, steps: int | None = None
) -> Schedule:
    """The schedule in a file, for one model and step count.

    Args:
        path: a schedule, picture or record of ours, or a file of another project (see `python -m
            caching methods imports`), told by its content and read with its authors' options;
            `import_schedule` takes others, and returns the whole report.
        model: what will run it; says how many blocks there are where the file does not.
        steps: the number of steps it will run with; None leaves that to the run.

    Raises:
        ScheduleError: not a valid file, or its schedule has other steps, blocks or branches.
        RequestError: `model` is none.
    Warns:
        UserWarning: made for a model of another config or at another dtype; cells of step 0 that
            the file reuses and that had to be computed; what no schedule can say.
    """
    path = path_of(path)
    if not hasattr(model, "config_hash"):
        raise RequestError(
            f"a {type(model).__name__} was given as the model, expected a Model; make one with "
            "load_model or Model.from_modules."
        )
    found = import_schedule(path, blocks=model.blocks, branches=model.branches)
    schedule, report = found.schedule, found.report
    schedule.check_fits(steps=steps, blocks=model.blocks, branches=model.branches)
    run = Context(
        schedule.steps,
        model_hash=model.config_hash,
        dtype=str(model.dtype).removeprefix("torch."),
    )
    said = [*schedule.mismatches(run), *report.lost]
    if report.forced:
        said.append(f"{counted(report.forced, 'cell')} of step 0 reused there, computed here")
    for sentence in said:
        warnings.warn(f"{str(path)!r}: {sentence}", UserWarning, stacklevel=2)
    return schedule
