"""The painter: a block x step cache schedule as a grid that a person paints."""

from caching.predict.proxy import Tables
from viz.grid.encode import (
    REUSE,
    Brush,
    actions_from_rows,
    grid_layer,
    grid_live,
    grid_spec,
    grid_value,
    rows_from_actions,
)
from viz.grid.grid import ScheduleGrid
from viz.grid.ops import Op, Paint, Redo, Undo, check, paint, parse_ops

__all__ = [
    "REUSE",
    "Brush",
    "Op",
    "Paint",
    "Redo",
    "ScheduleGrid",
    "Tables",
    "Undo",
    "actions_from_rows",
    "check",
    "grid_layer",
    "grid_live",
    "grid_spec",
    "grid_value",
    "paint",
    "parse_ops",
    "rows_from_actions",
]
