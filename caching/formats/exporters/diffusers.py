"""A Python file for diffusers that applies the schedule with hooks, and needs nothing of ours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from caching.errors import ScheduleError
from caching.formats.exporters.base import Exported, Exporter
from caching.formats.exporters.project import to_cells
from caching.schedule import Schedule

TEMPLATE = Path(__file__).parent / "templates" / "diffusers_hooks.py"
BEGIN, END = "# -- the schedule: begin\n", "# -- the schedule: end\n"
MODULES = {"attn": "attn1", "mlp": "ff"}


@dataclass(frozen=True)
class Diffusers(Exporter):
    """Exact for cells that are computed or reused before the gate, on a DiT's blocks.

    The file is the module `templates/diffusers_hooks.py` with this schedule in it, checked with
    diffusers 0.42.1. Other brushes become Reuse and whole-step actions reused cells, both declared.
    """

    name: ClassVar[str] = "diffusers"
    label: ClassVar[str] = "diffusers hooks (Python)"
    expresses: ClassVar[str] = "computed and reused cells"

    def export(self, schedule: Schedule, stem: str) -> Exported:
        unknown = [name for name in schedule.branches if name not in MODULES]
        if unknown:
            raise ScheduleError(
                f"branch {unknown[0]!r} is no module of a diffusers DiT block: expected "
                f"{', '.join(MODULES)}"
            )
        cells = to_cells(schedule)
        filename = f"{stem.replace('-', '_').replace('.', '_')}_diffusers.py"
        head, rest = TEMPLATE.read_text(encoding="utf-8").split(BEGIN)
        _, tail = rest.split(END)
        head = head.replace("diffusers_hooks", filename.removesuffix(".py"))
        tail = tail.replace("  # type: ignore[misc]", "")
        lines = [f"STEPS = {schedule.steps}", "COMPUTED = {"]
        for r, branch in enumerate(schedule.branches):
            lines.append(f'    "{MODULES[branch]}": (')
            for block in range(schedule.blocks):
                row = "".join("1" if c else "0" for c in cells.computed[:, block, r])
                lines.append(f'        "{row}",  # block {block}')
            lines.append("    ),")
        text = head + "\n".join([*lines, "}", ""]) + tail
        notes = (
            f"Put {filename} beside your script: from {filename.removesuffix('.py')} import "
            "apply_schedule; apply_schedule(pipe.transformer, pipe.scheduler).",
            f"Run {schedule.steps} steps: with another number it raises an error.",
            *_sampler_note(schedule),
        )
        return Exported(filename, text, cells.losses, cells.projected, notes)


def _sampler_note(schedule: Schedule) -> tuple[str, ...]:
    if schedule.context is None or schedule.context.sampler != "ddim":
        return ()
    return (
        "The schedule was made with DiT's own respaced DDIM; diffusers' DDIM visits other "
        "timesteps, so pictures differ from those seen here (choose its sampler here to compare).",
    )
