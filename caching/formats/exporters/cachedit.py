"""cache-dit: a static step mask (SCM) of DBCache, as YAML or as Python."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from caching.formats.exporters.base import Exported, Exporter
from caching.formats.exporters.project import Steps, to_steps
from caching.schedule import Schedule

# cache-dit refuses to run without at least one block at the start.
LEAST_FIRST = 1


def _settings(steps: Steps) -> dict[str, str]:
    """The settings, without which a mask means something else: Fn is 8 unless it is said."""
    return {
        "Fn_compute_blocks": str(steps.first),
        "Bn_compute_blocks": str(steps.last),
        "max_warmup_steps": "1",
        "num_inference_steps": str(len(steps.mask)),
        "steps_computation_mask": str(list(steps.mask)),
    }


def _notes(steps: Steps) -> tuple[str, ...]:
    return (
        f"Run {len(steps.mask)} steps: with another number cache-dit repeats the mask or reuses to "
        "the end, without a word.",
        "With a transformer alone (no pipeline) call cache_dit.refresh_context(transformer, "
        f"num_inference_steps={len(steps.mask)}) before every picture; else the second one starts "
        "from the first one's cache.",
        "enable_separate_cfg is for models that call the transformer twice a step; a DiT does not.",
    )


@dataclass(frozen=True)
class CacheDiTYAML(Exporter):
    """Whole steps after the first block, by residual (vipshop/cache-dit, checked with 1.5.3)."""

    name: ClassVar[str] = "cache-dit-yaml"
    label: ClassVar[str] = "cache-dit (YAML)"
    expresses: ClassVar[str] = "whole steps but for the first block"

    def export(self, schedule: Schedule, stem: str) -> Exported:
        steps = to_steps(schedule, least_first=LEAST_FIRST)
        lines = [f"  {key}: {value}" for key, value in _settings(steps).items()]
        lines += ["  steps_computation_policy: static", "  enable_separate_cfg: false"]
        name = f"{stem}-cache-dit.yaml"
        use = f'cache_dit.enable_cache(pipe, **cache_dit.load_configs("{name}"))'
        text = "\n".join([f"# {use}", "cache_config:", *lines]) + "\n"
        return Exported(name, text, steps.losses, steps.projected, (f"Use: {use}", *_notes(steps)))


@dataclass(frozen=True)
class CacheDiTPython(Exporter):
    """The same as a call of `enable_cache`."""

    name: ClassVar[str] = "cache-dit-python"
    label: ClassVar[str] = "cache-dit (Python)"
    expresses: ClassVar[str] = "whole steps but for the first block"

    def export(self, schedule: Schedule, stem: str) -> Exported:
        steps = to_steps(schedule, least_first=LEAST_FIRST)
        lines = [f"        {key}={value}," for key, value in _settings(steps).items()]
        text = "\n".join(
            [
                "import cache_dit",
                "from cache_dit import DBCacheConfig",
                "",
                "cache_dit.enable_cache(",
                "    pipe,",
                "    cache_config=DBCacheConfig(",
                *lines,
                '        steps_computation_policy="static",',
                "        enable_separate_cfg=False,",
                "    ),",
                ")",
            ]
        )
        return Exported(
            f"{stem}-cache-dit.py", text + "\n", steps.losses, steps.projected, _notes(steps)
        )
