"""SmoothCache's JSON: a list over the steps for each kind of branch, or for single branches."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from caching.checks import MAX_BLOCKS
from caching.errors import ScheduleError
from caching.formats.importers.base import (
    ALIASES,
    EXECUTION,
    Importer,
    Reading,
    Shape,
    flags,
    grid_of,
)
from caching.formats.importers.source import Source

_KEY = re.compile(r"([a-z][a-z0-9_.]{0,40}?)(?:-(0|[1-9][0-9]{0,2}))?")


@dataclass(frozen=True)
class SmoothCache(Importer):
    """{"attn": [1, 0, …], "mlp-3": [1, 1, …]}: 1 computes, 0 reuses, in execution order.

    SmoothCache (arXiv 2411.10510, Roblox/SmoothCache, `smoothcache_schedules/`). A branch follows
    its own list `kind-block`, else that of its kind, else it is always computed: a name that no
    branch has does nothing, there as here. `attn` is `attn1` and `mlp` is `ff` in diffusers.
    """

    name: ClassVar[str] = "smoothcache"
    label: ClassVar[str] = "SmoothCache JSON"
    source: ClassVar[str] = "SmoothCache, arXiv 2411.10510, Apache-2.0"

    @classmethod
    def sniff(cls, source: Source) -> bool:
        lists = _lists(source.value)
        return (
            isinstance(lists, dict)
            and bool(lists)
            and all(_KEY.fullmatch(key) and not key.endswith("_cache_book") for key in lists)
            and all(isinstance(item, list) for item in lists.values())
        )

    def read(self, source: Source, shape: Shape) -> Reading:
        lists = _lists(source.value)
        if not self.sniff(source):
            raise ScheduleError(
                'not a SmoothCache schedule: expected an object such as {"attn": [1, 0, 1]}'
            )
        rows = {key: flags(value, f"list {key!r}") for key, value in lists.items()}
        first = next(iter(rows))
        for key, row in rows.items():
            if len(row) != len(rows[first]):
                raise ScheduleError(
                    f"list {key!r} has {len(row)} steps and list {first!r} has "
                    f"{len(rows[first])}: expected equally many in all lists"
                )
        _check_steps(source.value, len(rows[first]))
        parts = {key: _KEY.fullmatch(key) for key in rows}
        numbers = [int(match[2]) for match in parts.values() if match and match[2]]
        found = max(numbers) + 1 if numbers else None
        if found is not None and found > MAX_BLOCKS:
            raise ScheduleError(f"block {found - 1} given: expected at most {MAX_BLOCKS} blocks")
        # Lists of single blocks need not reach the last one, whose branches are then computed.
        if found is not None and shape.blocks is not None and found < shape.blocks:
            found = shape.blocks
        blocks = shape.settle(found, "the file")
        computed = np.ones((len(rows[first]), blocks, len(shape.branches)), bool)
        used: set[str] = set()
        understood = []
        for r, branch in enumerate(shape.branches):
            names = next((known for known in ALIASES.values() if branch in known), (branch,))
            own = {block: key for block in range(blocks) for key in _first(rows, names, block)}
            for block, key in own.items():
                computed[:, block, r] = rows[key]
            if not own:
                understood.append(f"No list is for {branch}: always computed.")
            used.update(own.values())
        unused = [key for key in rows if key not in used]
        if len(unused) == len(rows):
            raise ScheduleError(
                f"no list is for a branch of this model: the file has {', '.join(rows)[:60]!r}, "
                f"expected names such as {', '.join(shape.branches)}"
            )
        lost = f"{len(unused)} lists name no branch of this model, for instance {unused[:1]}"
        schedule, forced = grid_of(computed, shape.branches, note="from a SmoothCache JSON")
        return Reading(schedule, EXECUTION, tuple(understood), forced, (lost,) if unused else ())


def _first(rows: dict[str, Any], names: tuple[str, ...], block: int) -> list[str]:
    """The key a branch of a block follows, in a list, or nothing."""
    keys = (f"{name}{end}" for name in names for end in (f"-{block}", ""))
    return [key for key in keys if key in rows][:1]


def _lists(value: Any) -> Any:
    """The lists, also inside {"steps": S, "schedule": {…}}."""
    if isinstance(value, dict) and set(value) == {"steps", "schedule"}:
        return value["schedule"]
    return value


def _check_steps(value: Any, steps: int) -> None:
    if set(value) == {"steps", "schedule"} and value["steps"] != steps:
        raise ScheduleError(
            f"the file says {value['steps']!r:.40} steps and its lists have {steps}: expected the "
            "same"
        )
