"""CacheQuant: steps grouped by dynamic programming, corrected per channel, in int8 if wanted."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from caching.methods.base import Method, Plan, Setting, Source, choice, whole
from caching.policies.groups import group_starts
from caching.predictors.affine import Affine
from caching.predictors.quantised import Quantised, in_integers
from caching.schedule import Schedule

if TYPE_CHECKING:
    from caching.models.model import Model

MOST = 10


@dataclass(frozen=True)
class CacheQuant(Method):
    """CacheQuant (arXiv 2503.01323), made for U-Nets: its schedule, correction and quantisation.

    DPS: of the steps of full runs K = S / N groups (nearest whole number that fits), N/2 (rounded
    up) to 2 N steps long, such that the sum over all groups and steps of |F_i - F_start|_1 is
    least; the first step of each is computed. F is one feature there, that of DeepCache's branch;
    here what all blocks add to the tokens. DEC: F = a F_start + b with a = cov(F, F_start) /
    var(F_start) and b = mean(F) - a mean(F_start), per step and channel; here of every branch of
    every block (`Affine`). Its intervals are 5, 10 and 20 of 50 to 250 steps; the default here is
    for 20 steps.

    Int8 switches on quantised linears wherever a branch is computed, step 0 apart (`Quantised`,
    dynamic; the paper's are static and reconstructed, and corrected once more). It leaves the
    number of multiply-accumulates as it is and makes them cheaper.
    """

    interval: int = whole(3, 2, MOST, "N", "one step in N is computed, not evenly spaced")
    int8: str = choice("off", ("off", "on"), "int8", "linears of computed branches in 8 bits")

    name = "cachequant"
    title = "CacheQuant"
    about = (
        "Parts the steps into groups within which full runs change least, computes the first of "
        "each, corrects reuse with a scale and a shift per channel, and can compute in int8."
    )
    source = Source(
        "CacheQuant: Comprehensively Accelerated Diffusion Models",
        2025, "2503.01323", "BienLuky/CacheQuant",
    )  # fmt: skip
    faithfulness = "recalibrated here"
    because = (
        "The paper's schedule search and least-squares correction, on a transformer's branches "
        "instead of a U-Net's one cached feature; int8 is dynamic where the paper's is calibrated."
    )
    needs = "calibration"
    tunes = "interval"

    def plan(self, setting: Setting) -> Plan:
        distance, whole_numbers = setting.measured("cachequant", _measured)
        steps, least, most = setting.steps, -(-self.interval // 2), 2 * self.interval
        groups = max(1, -(-steps // most), min(round(steps / self.interval), steps // least))
        starts = np.isin(np.arange(steps), group_starts(distance, groups, least, most))
        shape = (steps, setting.blocks, len(setting.branches))
        cells = np.broadcast_to(~starts[:, None, None], shape).astype(np.uint8)
        if self.int8 == "off":
            return Plan(Schedule(cells, (Affine(),), setting.branches).compact())
        cells[1:][starts[1:]] = 2
        note = (
            "Int8 linears are multiplied in integers on this device."
            if whole_numbers
            else "This device multiplies no int8 numbers: they are multiplied as floats, which has "
            "the picture of int8 and not its speed."
        )
        schedule = Schedule(cells, (Affine(), Quantised()), setting.branches)
        return Plan(schedule.compact(), notes=(note,))


def _measured(model: Model, **asked: Any) -> tuple[np.ndarray, bool]:
    return stack_distance(model, **asked), in_integers(model.device)


def stack_distance(model: Model, *, steps: int, **asked: Any) -> np.ndarray:
    """Mean |F_i - F_start| (S, S) of what all blocks add, over full runs, for i within 2 x 10 steps
    after start; zero elsewhere.

    Args:
        model: what is calibrated.
        steps: S.
        asked: cfg_scale, sampler, pictures, tell, stopped; see `full_steps`.
    """
    from caching.dynamic.calibrate import full_steps

    total, runs = np.zeros((steps, steps)), 0
    before: deque[tuple[int, Any]] = deque(maxlen=2 * MOST - 1)
    for step in full_steps(model, steps=steps, **asked):
        if not step.s:
            before.clear()
            runs += 1
        for start, added in before:
            total[start, step.s] += float((step.added.float() - added).abs().mean())
        before.append((step.s, step.added.float()))
    return total / max(1, runs)
