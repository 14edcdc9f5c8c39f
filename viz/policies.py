"""The policies a page offers: each decides while the run goes on, by one threshold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from caching.dynamic.base import Policy
from caching.dynamic.dbcache import DBCache
from caching.dynamic.dicache import DiCache
from caching.dynamic.easycache import EasyCache
from caching.dynamic.fbcache import FBCache
from caching.dynamic.magcache import MagCache
from caching.dynamic.sencache import SenCache
from caching.dynamic.speca import SpeCa
from caching.dynamic.teacache import TeaCache
from caching.errors import RequestError


@dataclass(frozen=True)
class Offer:
    """One policy on the page.

    Attributes:
        name: the policy's own.
        title: what a person reads.
        note: what it decides by, and where it is from, one or two sentences.
        field: the threshold's name in the policy.
        default, most: the slider starts at `default`, which does something on the shipped model at
            20 steps, and goes from 0 to `most`; the papers' own values are the policies' defaults.
        plain: the policy for a model of L blocks over S steps, without calibration.
        calibrate: the policy with what full runs of the model tell it; None: needs nothing.
    """

    name: str
    title: str
    note: str
    field: str
    default: float
    most: float
    plain: Callable[[int, int], Policy]
    calibrate: Callable[..., Policy] | None = None

    def make(self, model: Any, threshold: float, tables: dict[Any, Policy], **asked: Any) -> Policy:
        """The policy for a model, calibrated where it must be; `tables` keeps what that gave."""
        steps = int(asked["steps"])
        if self.calibrate is None:
            return self.at(self.plain(model.blocks, steps), threshold)
        key = (self.name, *sorted(asked.items()))
        if key not in tables:
            tables[key] = self.calibrate(model, **asked)
        return self.at(tables[key], threshold)

    def at(self, policy: Policy, threshold: float) -> Policy:
        """The policy with another threshold."""
        return replace(policy, **{self.field: threshold})


def _dbcache(blocks: int, steps: int) -> Policy:
    # The defaults are for 57 blocks and 28 steps; eight of twelve would leave little to skip.
    return DBCache(first=max(1, min(8, blocks // 6)), warmup=max(1, min(8, steps // 4)))


def _easycache(blocks: int, steps: int) -> Policy:
    # Ten steps are half of twenty.
    return EasyCache(warmup=max(1, min(10, steps // 5)))


OFFERS: tuple[Offer, ...] = (
    Offer(
        "teacache",
        "TeaCache",
        "TeaCache (arXiv 2411.19108): skips all blocks while the modulated input of block 0 has "
        "changed little, through a polynomial fitted on this model's own full runs.",
        "threshold", 0.15, 2.0, lambda blocks, steps: TeaCache(), TeaCache.calibrated,
    ),
    Offer(
        "fbcache",
        "First block cache",
        "FBCache (ParaAttention, diffusers): runs block 0 and skips the others while what it adds "
        "has changed little.",
        "threshold", 0.15, 1.0, lambda blocks, steps: FBCache(),
    ),
    Offer(
        "dbcache",
        "DBCache",
        "DBCache (cache-dit): as first block cache with more blocks computed first, and a warm-up.",
        "threshold", 0.15, 1.0, _dbcache,
    ),
    Offer(
        "magcache",
        "MagCache",
        "MagCache (arXiv 2506.09045): skips by a curve of residual magnitudes measured on this "
        "model's own full runs; looks at nothing while it runs.",
        "threshold", 0.12, 1.0, lambda blocks, steps: MagCache(), MagCache.calibrated,
    ),
    Offer(
        "dicache",
        "DiCache",
        "DiCache (Bujiazi/DiCache): block 0 is a probe; a skipped step adds the last residuals "
        "aligned by how far the probe has moved.",
        "threshold", 0.1, 3.0, lambda blocks, steps: DiCache(),
    ),
    Offer(
        "sencache",
        "SenCache",
        "SenCache (arXiv 2602.24208): skips while measured sensitivities to latents and time, "
        "times how far both have moved, stay small.",
        "main", 0.1, 2.0, lambda blocks, steps: SenCache(), SenCache.calibrated,
    ),
    Offer(
        "easycache",
        "EasyCache",
        "EasyCache (arXiv 2507.02860): reuses what the whole transformer changed while the change "
        "predicted from its input stays small; a fifth of the steps are computed first.",
        "threshold", 0.25, 2.0, _easycache,
    ),
    Offer(
        "speca",
        "SpeCa",
        "SpeCa (arXiv 2509.11628): Taylor forecasts in every cell, checked at the last block; the "
        "step after a failed check is full.",
        "threshold", 0.1, 1.0, lambda blocks, steps: SpeCa(),
    ),
)  # fmt: skip


def offer(name: Any) -> Offer:
    """An offer by name; RequestError lists the known ones."""
    for one in OFFERS:
        if one.name == name:
            return one
    raise RequestError(
        f"policy {name!r:.40} is not known, expected one of: {', '.join(o.name for o in OFFERS)}."
    )
