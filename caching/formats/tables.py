"""Curves as CSV: one row per point, plain numbers, a header that names units."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from caching.measure.trace import Trace

TRACE = ("step", "timestep", "block", "branch", "lag", "rel_l1", "rel_l2", "cosine")


def csv_of(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table as CSV text; None and NaN become empty fields, numbers keep six digits."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_field(value) for value in row] for row in rows)
    return file.getvalue()


def trace_csv(trace: Trace, branches: Sequence[str]) -> str:
    """How much every branch output changes from `lag` steps before; see caching.measure.trace."""
    steps, blocks, _, lags = trace.rel_l1.shape
    rows = (
        (
            s,
            trace.timesteps[s],
            block,
            name,
            lag,
            *(values[s, block, r, lag - 1] for values in _values(trace)),
        )
        for s in range(steps)
        for block in range(blocks)
        for r, name in enumerate(branches)
        for lag in range(1, min(lags, s) + 1)
    )
    return csv_of(TRACE, rows)


def _values(trace: Trace) -> tuple[Any, Any, Any]:
    return trace.rel_l1, trace.rel_l2, trace.cosine


def _field(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, str):
        return value
    number = float(value)
    if math.isnan(number):
        return ""
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else f"{number:.6g}"
