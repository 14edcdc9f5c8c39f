"""The painter: a block x step cache schedule as a grid that a person paints."""

from caching.predict.proxy import Tables
from viz.grid.encode import (
    REUSE,
    Brush,
    StepBrush,
    actions_from_rows,
    grid_layer,
    grid_live,
    grid_spec,
    grid_value,
    rows_from_actions,
)
from viz.grid.grid import ScheduleGrid
from viz.grid.ops import (
    AddBrush,
    Op,
    Paint,
    PaintSteps,
    Recolour,
    Redo,
    RemoveBrush,
    ReplaceBrush,
    Undo,
    check,
    paint,
)
from viz.grid.parse import parse_ops

__all__ = [
    "REUSE",
    "AddBrush",
    "Brush",
    "Op",
    "Paint",
    "PaintSteps",
    "Recolour",
    "Redo",
    "RemoveBrush",
    "ReplaceBrush",
    "ScheduleGrid",
    "StepBrush",
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
