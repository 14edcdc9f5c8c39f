"""SGLang: cache-dit's step mask as lengths of runs, in environment variables."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import ClassVar

from caching.formats.exporters.base import Exported, Exporter
from caching.formats.exporters.cachedit import LEAST_FIRST
from caching.formats.exporters.project import to_steps
from caching.schedule import Schedule


@dataclass(frozen=True)
class SGLang(Exporter):
    """Bins of computed and of reused steps by turns; the form was checked, no server was run."""

    name: ClassVar[str] = "sglang"
    label: ClassVar[str] = "SGLang (environment)"
    expresses: ClassVar[str] = "whole steps but for the first block"

    def export(self, schedule: Schedule, stem: str) -> Exported:
        steps = to_steps(schedule, least_first=LEAST_FIRST)
        lengths = [(full, len(list(run))) for full, run in groupby(steps.mask)]
        compute = ",".join(str(n) for full, n in lengths if full)
        reuse = ",".join(str(n) for full, n in lengths if not full)
        lines = [
            "export SGLANG_CACHE_DIT_ENABLED=true",
            f"export SGLANG_CACHE_DIT_FN={steps.first}",
            f"export SGLANG_CACHE_DIT_BN={steps.last}",
            "export SGLANG_CACHE_DIT_WARMUP=1",
            f'export SGLANG_CACHE_DIT_SCM_COMPUTE_BINS="{compute}"',
            f'export SGLANG_CACHE_DIT_SCM_CACHE_BINS="{reuse}"',
            "export SGLANG_CACHE_DIT_SCM_POLICY=static",
        ]
        notes = (
            f"Set them before the server starts, and ask for {len(steps.mask)} steps.",
            "Names and defaults were read in SGLang's source; it was not run against a server.",
        )
        return Exported(
            f"{stem}-sglang.env", "\n".join(lines) + "\n", steps.losses, steps.projected, notes
        )
