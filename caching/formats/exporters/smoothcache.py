"""SmoothCache's JSON: a list of 1 and 0 over the steps for every branch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar

from caching.fields import choice_field
from caching.formats.exporters.base import Exported, Exporter
from caching.formats.exporters.project import to_cells
from caching.schedule import Schedule

NAMES = {"diffusers": {"attn": "attn1", "mlp": "ff"}, "dit": {}}


@dataclass(frozen=True)
class SmoothCache(Exporter):
    """Exact for cells that are computed or reused, before the gate (Roblox/SmoothCache).

    `modules` names the branches as "diffusers" modules (attn1, ff) or as the original "dit" code
    has them (attn, mlp): a list under a name that no module has does nothing there. When all
    blocks are alike one list per kind of branch stands for all, as in the published files.
    """

    modules: str = "diffusers"

    name: ClassVar[str] = "smoothcache"
    label: ClassVar[str] = "SmoothCache (JSON)"
    expresses: ClassVar[str] = "computed and reused cells"

    def __post_init__(self) -> None:
        choice_field(self, "modules", tuple(NAMES))

    def export(self, schedule: Schedule, stem: str) -> Exported:
        cells = to_cells(schedule)
        lists: dict[str, list[int]] = {}
        alike = bool((cells.computed == cells.computed[:, :1]).all())
        for block in range(1 if alike else schedule.blocks):
            for r, branch in enumerate(schedule.branches):
                name = NAMES[self.modules].get(branch, branch)
                key = name if alike else f"{name}-{block}"
                lists[key] = cells.computed[:, block, r].astype(int).tolist()
        lines = ",\n".join(f' "{key}": {json.dumps(row)}' for key, row in lists.items())
        names = ", ".join(f'"{NAMES[self.modules].get(b, b)}"' for b in schedule.branches)
        notes = (
            f"Use it with SmoothCacheHelper(transformer, block_class, [{names}], schedule); "
            "DiffuserCacheHelper wraps attn1 alone. Call reset_state() before every picture.",
            f"Past the end of its lists it computes, without a word: run {schedule.steps} steps.",
        )
        text = "{\n" + lines + "\n}\n"
        return Exported(f"{stem}-smoothcache.json", text, cells.losses, cells.projected, notes)
