"""The context of a schedule: the run it was made for, without which it is worthless."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from numbers import Real

from caching.checks import MAX_STEPS, check_count
from caching.errors import ScheduleError

MAX_TEXT = 300

_HASH = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class Context:
    """What a schedule was made for and judged on; None means not known.

    Attributes:
        steps: number of sampling steps S, 1..1000.
        sampler: for instance "ddim".
        timesteps: (S,) the values given to the model, strictly falling.
        model_id: hub id, folder or shipped name.
        model_hash: first 16 hex digits of the SHA-256 of the transformer config.
        guidance: how classifier-free guidance runs.
        reuse: what is stored and used again.
        dtype: the dtype it was judged at, for instance "float32".
        note: what a reader must know, for instance that it was resampled.

    Raises:
        ScheduleError: a field has the wrong type, length or range.
    """

    steps: int
    sampler: str | None = None
    timesteps: tuple[float, ...] | None = None
    model_id: str | None = None
    model_hash: str | None = None
    guidance: str = "doubled batch"
    reuse: str = "before gate"
    dtype: str | None = None
    note: str | None = None

    def __post_init__(self) -> None:
        check_count("steps", self.steps, MAX_STEPS)
        for name in ("sampler", "model_id", "model_hash", "guidance", "reuse", "dtype", "note"):
            _check_text(name, getattr(self, name), optional=name not in ("guidance", "reuse"))
        if self.model_hash is not None and not _HASH.fullmatch(self.model_hash):
            raise ScheduleError(
                f"context.model_hash is {self.model_hash[:40]!r}: expected 16 hex digits, the "
                "start of the SHA-256 of the transformer config, or leave it out"
            )
        if self.timesteps is not None:
            object.__setattr__(self, "timesteps", _falling(self.timesteps, self.steps))

    def mismatches(self, run: Context) -> tuple[str, ...]:
        """How this context differs from that of a run, one plain sentence per difference.

        Only what both sides know is compared. Step counts are not compared here: a schedule with
        another step count does not fit at all (`Schedule.check_fits`).
        """
        if not isinstance(run, Context):
            raise ScheduleError(
                f"a {type(run).__name__} was given as the context of a run: expected a Context, "
                "such as run.baked.context"
            )
        found = []
        for name, what in _COMPARED.items():
            mine, theirs = getattr(self, name), getattr(run, name)
            if mine is not None and theirs is not None and mine != theirs:
                found.append(f"made for {what} {mine!r}, this run has {theirs!r}")
        if (
            self.timesteps is not None
            and run.timesteps is not None
            and len(self.timesteps) == len(run.timesteps)
            and any(abs(a - b) > 0.5 for a, b in zip(self.timesteps, run.timesteps, strict=True))
        ):
            found.append("made for other timesteps than this run visits")
        return tuple(found)


_COMPARED = {
    "model_id": "model",
    "model_hash": "model config hash",
    "sampler": "sampler",
    "guidance": "guidance",
    "reuse": "stored output",
    "dtype": "dtype",
}


def _check_text(name: str, value: object, *, optional: bool) -> None:
    if value is None and optional:
        return
    if not isinstance(value, str) or not value or len(value) > MAX_TEXT:
        shown = repr(value)[:60]
        raise ScheduleError(
            f"context.{name} is {shown}: expected a text of 1 to {MAX_TEXT} characters"
            + (", or leave it out" if optional else "")
        )


def _falling(values: object, steps: int) -> tuple[float, ...]:
    """The timesteps as floats if there are S finite, strictly falling ones."""
    if not isinstance(values, tuple | list) or len(values) != steps:
        given = len(values) if isinstance(values, tuple | list) else repr(values)[:40]
        raise ScheduleError(
            f"context.timesteps has {given} values for {steps} steps: expected one per step"
        )
    for step, value in enumerate(values):
        if isinstance(value, bool) or not isinstance(value, Real):
            shown = repr(value)[:40]  # whatever stands in a file, whole megabytes of it
            raise ScheduleError(f"context.timesteps at step {step} is {shown}: expected a number")
        if not math.isfinite(value):
            raise ScheduleError(
                f"context.timesteps at step {step} is {value}: expected a finite number"
            )
        if step and not value < values[step - 1]:
            raise ScheduleError(
                f"context.timesteps at step {step} is {value} after {values[step - 1]}: expected "
                "falling values, because step 0 is the noisiest; reverse the schedule if it is "
                "stored the other way round"
            )
    return tuple(float(value) for value in values)
