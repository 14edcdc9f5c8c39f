"""stable-diffusion.cpp: cache-dit's step mask as command-line options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from caching.formats.exporters.base import Exported, Exporter
from caching.formats.exporters.cachedit import LEAST_FIRST
from caching.formats.exporters.project import to_steps
from caching.schedule import Schedule


@dataclass(frozen=True)
class SDCpp(Exporter):
    """Options for the command line; the form was checked, the program was not run."""

    name: ClassVar[str] = "sd.cpp"
    label: ClassVar[str] = "stable-diffusion.cpp (options)"
    expresses: ClassVar[str] = "whole steps but for the first block"

    def export(self, schedule: Schedule, stem: str) -> Exported:
        steps = to_steps(schedule, least_first=LEAST_FIRST)
        mask = ",".join(map(str, steps.mask))
        text = (
            f"--steps {len(steps.mask)} --cache-mode cache-dit "
            f'--cache-option "Fn={steps.first},Bn={steps.last},warmup=1" '
            f"--scm-mask {mask} --scm-policy static\n"
        )
        notes = ("Append them to the command line of sd.", "Not run against the program.")
        return Exported(f"{stem}-sdcpp.txt", text, steps.losses, steps.projected, notes)
